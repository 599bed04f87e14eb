"""The access matrix: what each app may do, asked of the API, and of two more servers, with keys that live a minute."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from apikeys import keys
from apikeys.core.errors import APIKeysError
from apikeys.issuance import IssuedKey
from apikeys.models import Client, RevocationReason
from apikeys.registry import declared

from . import programs, story
from .calls import Exchange, call, call_server, signed_for
from .models import Todo

_LIFETIME = timedelta(minutes=1)
_SCRATCH = "Scratch to-do of the access matrix"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the API should answer."""

    status: int
    #: The permission that the answer names as missing.
    missing_scope: str = ""
    #: The code in the body of a refusal.
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Something that an app may want to do."""

    label: str
    scope: str
    #: What an app with that permission gets.
    status: int
    about_a_person: bool = True
    code: str = ""
    #: Who is asked; None for this site.
    server: story.Server | None = None

    def expected(self, client: Client, *, user: Any) -> Expected:
        """Return what a key of *client* for *user*, None for nobody, should get that holds all that the client may."""
        if self.scope not in _counting(client, user=user):
            return Expected(status=403, missing_scope=self.scope, code="insufficient_scope")
        if self.about_a_person and user is None:
            return Expected(status=403, code="owner_required")
        return Expected(status=self.status, code=self.code)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One call: what should come back and, once asked, what came."""

    column: Column
    expected: Expected
    exchange: Exchange | None = None
    #: The call that came first, for what this one showed.
    before: Exchange | None = None
    #: Titles of the other person's to-dos in the answer.
    leaked: tuple[str, ...] = ()
    #: Why it could not be asked.
    problem: str = ""

    @property
    def missing_scope(self) -> str:
        """The permission that the answer says is missing."""
        data = self.exchange.data if self.exchange is not None else {}
        if not isinstance(data, dict) or data.get("code") != "insufficient_scope":
            return ""
        return " ".join(name for name in data["required_scopes"] if name not in data["granted_scopes"])

    @property
    def is_as_expected(self) -> bool:
        """Whether the answer is what it should be, and nothing of the other person is in it."""
        if self.exchange is None:
            return True
        data = self.exchange.data
        code = data.get("code", "") if isinstance(data, dict) else ""
        answer = Expected(status=self.exchange.status, missing_scope=self.missing_scope, code=code)
        return answer == self.expected and not self.leaked


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one app may do."""

    app: story.App
    cells: list[Cell] = field(default_factory=list)
    #: Why it could not be asked.
    problem: str = ""


def columns(other: story.Person) -> list[Column]:
    """Return what is asked; *other* is the person whose to-dos should stay out of reach."""
    return [
        Column(label=_("List to-dos"), scope="todo:read", status=200),
        Column(label=_("Create"), scope="todo:write", status=201),
        Column(label=_("Delete"), scope="todo:write", status=204),
        Column(
            label=_("See %(person)s's to-dos") % {"person": other.name},
            scope="todo:read",
            status=404,
            code="not_found",
        ),
        Column(label=_("See usage"), scope="usage:read", status=200, about_a_person=False),
        *(Column(label=server.name, scope=server.scope, status=200, server=server) for server in story.SERVERS),
    ]


def rows(person: story.Person, *, other: story.Person, origin: HttpRequest | None) -> list[Row]:
    """
    Return the matrix of *person*, with today's answers of the API if *origin* wants them, else what is expected alone.

    Asking leaves nothing but revoked keys; else nothing is called or changed.
    """
    if origin is None:
        return _not_asked(person, other=other)
    return [_ask(app, person=person, other=other, origin=origin) for app in story.APPS]


def _not_asked(person: story.Person, *, other: story.Person) -> list[Row]:
    rows = []
    user = story.user_of(person)
    for app in story.APPS:
        client = Client.objects.filter(name=app.name).first()
        if client is None:
            rows.append(_without(app))
            continue
        rows.append(
            Row(
                app=app,
                cells=[
                    Cell(column=column, expected=column.expected(client, user=user if app.acts_for_user else None))
                    for column in columns(other)
                ],
            )
        )
    return rows


@sensitive_variables("key")
def _ask(app: story.App, *, person: story.Person, other: story.Person, origin: HttpRequest) -> Row:
    client = Client.objects.filter(name=app.name).first()
    if client is None:
        return _without(app)
    user = story.user_of(person)
    owner = user if app.acts_for_user else None
    try:
        with _one_minute_key(client, owner=owner) as key, _scratch_todo(user) as scratch:
            others = Todo.objects.owned_by(story.user_of(other))
            exchanges = iter(_exchanges(key, scratch=scratch, others=others.first(), origin=origin))
            cells = [
                _asked_elsewhere(column, column.server, key=key, client=client, user=owner, origin=origin)
                if column.server
                else Cell(column=column, expected=column.expected(client, user=owner), exchange=next(exchanges))
                for column in columns(other)
            ]
            titles = list(others.values_list("title", flat=True))
    except APIKeysError as error:
        return Row(app=app, problem=str(error))
    return Row(
        app=app,
        cells=[
            replace(cell, leaked=tuple(title for title in titles if cell.exchange and title in cell.exchange.body))
            for cell in cells
        ],
    )


@sensitive_variables("key")
def _exchanges(key: IssuedKey, *, scratch: Todo, others: Todo | None, origin: HttpRequest) -> list[Exchange]:
    """Return one exchange for each of ``columns`` that asks this site, in their order."""
    todos = reverse("todo-list")
    listed = call("GET", todos, key=key, origin=origin)
    created = call("POST", todos, key=key, body={"title": _SCRATCH}, origin=origin)
    if created.status == 201:  # noqa: PLR2004  # Created
        Todo.objects.filter(pk=created.data["id"]).delete()
    deleted = call("DELETE", reverse("todo-detail", args=[scratch.pk]), key=key, origin=origin)
    # Where the other person has nothing, an id that nobody has: the answer must be the same.
    unreachable = uuid.uuid4() if others is None else others.pk
    seen = call("GET", reverse("todo-detail", args=[unreachable]), key=key, origin=origin)
    usage = call("GET", reverse("usage"), key=key, origin=origin)
    return [listed, created, deleted, seen, usage]


@sensitive_variables("key", "bearer", "signed")
def _asked_elsewhere(
    column: Column, server: story.Server, *, key: IssuedKey, client: Client, user: Any, origin: HttpRequest
) -> Cell:
    """Return what *server* answers to *key*, or to the signed token that the key is exchanged for."""
    cell = Cell(column=column, expected=column.expected(client, user=user))
    if not programs.is_running(server.program):
        return replace(cell, problem=_("Not running: “make demo” starts it."))
    bearer, shown = key.plaintext, key.key.masked
    if server.takes_signed_tokens:
        counting = _counting(client, user=user)
        if not counting:
            return replace(cell, problem=_("There is no permission to ask a token for."))
        # No more than it needs. Where it may not, whatever it has, so that the server itself says no.
        wanted = [server.scope] if server.scope in counting else counting
        signed = signed_for(key, scopes=wanted, resource=server.resource, origin=origin)
        if not signed.token:
            return replace(cell, exchange=signed.exchange)
        cell, bearer, shown = replace(cell, before=signed.exchange), signed.token, signed.masked
    try:
        address = server.program.address(port=programs.site_port())
        return replace(cell, exchange=call_server(address, server.path, bearer=bearer, shown=shown))
    except OSError as error:
        return replace(cell, problem=str(error))


def _counting(client: Client, *, user: Any) -> list[str]:
    """Return what counts of all that *client* may: within the rights of *user*, None for nobody."""
    return [
        scope.name
        for scope in declared(client.allowed_scopes)
        if user is None or user.has_perms(list(scope.permissions))
    ]


@contextmanager
def _one_minute_key(client: Client, *, owner: Any) -> Iterator[IssuedKey]:
    issued = keys.issue(
        client,
        # Names are unique, and two visitors may ask at once.
        name=f"Access matrix {secrets.token_hex(4)}",
        scopes=client.allowed_scopes,
        owner=owner,
        lifetime=_LIFETIME,
    )
    try:
        yield issued
    finally:
        keys.revoke(issued.key, reason=RevocationReason.UNNEEDED)


@contextmanager
def _scratch_todo(owner: Any) -> Iterator[Todo]:
    todo = Todo.objects.create(owner=owner, title=_SCRATCH)
    try:
        yield todo
    finally:
        Todo.objects.filter(pk=todo.pk).delete()


def _without(app: story.App) -> Row:
    return Row(app=app, problem=_("There is no client “%(name)s”. Start over to get it back.") % {"name": app.name})
