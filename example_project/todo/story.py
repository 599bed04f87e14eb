"""Who is in the story: made-up people, the four apps that call the API, and two API servers beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apikeys.models import Client, ClientKind
from apikeys.oauth.sign_in import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, DEVICE_CODE

from . import programs

#: What a visitor's keys carry as note, which tells them from the seeded ones. A replacement keeps it.
VISITOR_NOTE = "Made by a visitor of the demonstration."

#: The key of the web app that says who calls, beside a person's token that says for whom.
BESIDE_TOKENS = "Beside people's tokens"

#: The key by which an API server asks about others.
OF_SERVER = "Of the server"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who can sign in, with a password that everybody may know."""

    username: str
    password: str
    role: Promise
    #: The Django group.
    group: str = "editor"
    is_administrator: bool = False

    @property
    def name(self) -> str:
        """What people call them."""
        return self.username.capitalize()


@dataclass(frozen=True, kw_only=True)
class App:
    """A client of the API, as it is seeded."""

    name: str
    kind: ClientKind
    scopes: tuple[str, ...]
    description: str
    #: False for a service: its keys act for nobody.
    acts_for_user: bool = True
    networks: tuple[str, ...] | None = None
    #: Of each of its keys.
    rates: tuple[str, ...] = ()
    quotas: tuple[str, ...] = ()
    #: How it signs in with OAuth, from which program, and as what that program knows it.
    sign_in: str
    program: programs.Program
    alias: str
    keeps_a_secret: bool = True
    skips_consent: bool = False
    optional_scopes: tuple[str, ...] = ()
    publisher: str = ""
    website: str = ""
    privacy_policy: str = ""
    #: What it pays for, which API servers are told.
    subscription: str = "premium"

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        """Where people come back to after they consented."""
        if self.sign_in != AUTHORIZATION_CODE:
            return ()
        return (f"{self.program.address(port=programs.site_port())}/callback",)


@dataclass(frozen=True, kw_only=True)
class Server:
    """An API server beside this site, which takes the credentials that this site gives."""

    name: str
    description: str
    program: programs.Program
    #: What names it in tokens. It is no place, so that it stays wherever the server runs.
    resource: str
    #: What a ``GET`` gets that holds ``scope``.
    path: str
    scope: str = "todo:read"
    #: Or the keys themselves, about which it asks.
    takes_signed_tokens: bool = False


RICHARD = Person(username="richard", password="middle-out", role=_("user"))  # noqa: S106  # printed on the login page
DINESH = Person(username="dinesh", password="pakistani-denzel", role=_("user"))  # noqa: S106  # likewise
GILFOYLE = Person(
    username="gilfoyle",
    password="hail-anton",  # noqa: S106  # likewise
    role=_("administrator"),
    group="admin",
    is_administrator=True,
)
PEOPLE = (RICHARD, DINESH, GILFOYLE)
#: Between whom the home page switches: each sees their own to-dos and never the other's.
ACTORS = (RICHARD, DINESH)
#: Left the company. Owns a key that is suspended, and can't sign in.
FORMER = "erlich"

WEB = App(
    name="Web app",
    kind=ClientKind.FIRST_PARTY,
    scopes=("todo:read", "todo:write", "profile:read"),
    description="Pied Piper Todo in the browser.",
    sign_in=AUTHORIZATION_CODE,
    program=programs.PIPER,
    alias="web",
    skips_consent=True,
)
SUMMARISER = App(
    name="LLM Summariser",
    kind=ClientKind.THIRD_PARTY,
    scopes=("todo:read",),
    description="By Hooli Labs. Reads your to-dos and says in one sentence what today is about.",
    rates=("60/min",),
    quotas=("10000/month",),
    sign_in=AUTHORIZATION_CODE,
    program=programs.HOOLI,
    alias="summariser",
    publisher="Hooli Labs",
    subscription="free",
    website="https://summariser.example/",
    privacy_policy="https://summariser.example/privacy/",
)
WATCH = App(
    name="Apple Watch app",
    kind=ClientKind.FIRST_PARTY,
    scopes=("todo:read", "todo:write"),
    description="Your to-dos on your wrist.",
    sign_in=DEVICE_CODE,
    program=programs.PIPER,
    alias="watch",
    keeps_a_secret=False,
    optional_scopes=("todo:write",),
    publisher="Pied Piper",
)
ANALYTICS = App(
    name="Analytics",
    kind=ClientKind.FIRST_PARTY,
    scopes=("usage:read",),
    description="Counts people and to-dos, from one range of addresses only. Never reads a text.",
    acts_for_user=False,
    networks=("127.0.0.0/8", "::1"),
    quotas=("1000/day",),
    sign_in=CLIENT_CREDENTIALS,
    program=programs.PIPER,
    alias="analytics",
)
APPS = (WEB, SUMMARISER, WATCH, ANALYTICS)

SHARING = Server(
    name="Sharing",
    description="Who shares a list with whom. Asks here about every key.",
    program=programs.SHARING,
    resource="https://sharing.piedpiper.example",
    path="/api/shares",
)
SUMMARIES = Server(
    name="Summaries",
    description="A day in a few words. Reads signed tokens by itself, and goes on while this site is away.",
    program=programs.SUMMARIES,
    resource="https://summaries.piedpiper.example",
    path="/api/summary",
    takes_signed_tokens=True,
)
SERVERS = (SHARING, SUMMARIES)


def user_of(person: Person) -> Any:
    """
    Return the user *person*.

    Raises:
        ObjectDoesNotExist: If nothing is seeded yet.
    """
    return get_user_model()._default_manager.get(username=person.username)


def client_of(app: App | Server) -> Client:
    """
    Return the client *app*.

    Raises:
        Client.DoesNotExist: If nothing is seeded yet, or somebody renamed it.
    """
    return Client.objects.get(name=app.name)
