"""Who is in the story: made-up people, and the four apps that call the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apikeys.models import Client, ClientKind

#: What a visitor's keys carry as note, which tells them from the seeded ones. A replacement keeps it.
VISITOR_NOTE = "Made by a visitor of the demonstration."


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who can sign in, with a password that everybody may know."""

    username: str
    password: str
    role: Promise
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


RICHARD = Person(username="richard", password="middle-out", role=_("user"))  # noqa: S106  # printed on the login page
DINESH = Person(username="dinesh", password="pakistani-denzel", role=_("user"))  # noqa: S106  # likewise
GILFOYLE = Person(username="gilfoyle", password="hail-anton", role=_("administrator"), is_administrator=True)  # noqa: S106  # likewise
PEOPLE = (RICHARD, DINESH, GILFOYLE)
#: Between whom the home page switches: each sees their own to-dos and never the other's.
ACTORS = (RICHARD, DINESH)
#: Left the company. Owns a key that is suspended, and can't sign in.
FORMER = "erlich"

WEB = App(
    name="Web app",
    kind=ClientKind.FIRST_PARTY,
    scopes=("todo:read", "todo:write"),
    description="Pied Piper Todo in the browser.",
)
SUMMARISER = App(
    name="LLM Summariser",
    kind=ClientKind.THIRD_PARTY,
    scopes=("todo:read",),
    description="By Hooli Labs. Reads your to-dos and says in one sentence what today is about.",
)
WATCH = App(
    name="Apple Watch app",
    kind=ClientKind.FIRST_PARTY,
    scopes=("todo:read", "todo:write"),
    description="Your to-dos on your wrist.",
)
ANALYTICS = App(
    name="Analytics",
    kind=ClientKind.FIRST_PARTY,
    scopes=("usage:read",),
    description="Counts people and to-dos, from one range of addresses only. Never reads a text.",
    acts_for_user=False,
    networks=("127.0.0.0/8", "::1"),
)
APPS = (WEB, SUMMARISER, WATCH, ANALYTICS)


def user_of(person: Person) -> Any:
    """
    Return the user *person*.

    Raises:
        ObjectDoesNotExist: If nothing is seeded yet.
    """
    return get_user_model()._default_manager.get(username=person.username)


def client_of(app: App) -> Client:
    """
    Return the client *app*.

    Raises:
        Client.DoesNotExist: If nothing is seeded yet, or somebody renamed it.
    """
    return Client.objects.get(name=app.name)
