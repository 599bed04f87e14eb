"""The access matrix: what each app may do, asked of the API with keys that live a minute."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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

from . import story
from .calls import Exchange, call
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

    def expected(self, client: Client, *, acts_for_user: bool) -> Expected:
        """Return what a key of *client* should get that holds all that the client may."""
        if self.scope not in client.allowed_scopes:
            return Expected(status=403, missing_scope=self.scope, code="insufficient_scope")
        if self.about_a_person and not acts_for_user:
            return Expected(status=403, code="owner_required")
        return Expected(status=self.status, code=self.code)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One call: what should come back and, once asked, what came."""

    column: Column
    expected: Expected
    exchange: Exchange | None = None
    #: Titles of the other person's to-dos in the answer.
    leaked: tuple[str, ...] = ()

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
    ]


def not_asked(*, other: story.Person) -> list[Row]:
    """Return the matrix with what is expected alone. Calls and changes nothing."""
    rows = []
    for app in story.APPS:
        client = Client.objects.filter(name=app.name).first()
        if client is None:
            rows.append(_without(app))
            continue
        rows.append(
            Row(
                app=app,
                cells=[
                    Cell(column=column, expected=column.expected(client, acts_for_user=app.acts_for_user))
                    for column in columns(other)
                ],
            )
        )
    return rows


def asked(person: story.Person, *, other: story.Person, origin: HttpRequest) -> list[Row]:
    """Return the matrix with today's answers of the API to *person*'s keys. Leaves nothing but revoked keys."""
    return [_ask(app, person=person, other=other, origin=origin) for app in story.APPS]


@sensitive_variables("key")
def _ask(app: story.App, *, person: story.Person, other: story.Person, origin: HttpRequest) -> Row:
    client = Client.objects.filter(name=app.name).first()
    if client is None:
        return _without(app)
    user = story.user_of(person)
    try:
        with _one_minute_key(client, owner=user if app.acts_for_user else None) as key, _scratch_todo(user) as scratch:
            others = Todo.objects.owned_by(story.user_of(other))
            exchanges = _exchanges(key, scratch=scratch, others=others.first(), origin=origin)
            titles = list(others.values_list("title", flat=True))
    except APIKeysError as error:
        return Row(app=app, problem=str(error))
    return Row(
        app=app,
        cells=[
            Cell(
                column=column,
                expected=column.expected(client, acts_for_user=app.acts_for_user),
                exchange=exchange,
                leaked=tuple(title for title in titles if title in exchange.body),
            )
            for column, exchange in zip(columns(other), exchanges, strict=True)
        ],
    )


@sensitive_variables("key")
def _exchanges(key: IssuedKey, *, scratch: Todo, others: Todo | None, origin: HttpRequest) -> list[Exchange]:
    """Return one exchange for each of ``columns``, in their order."""
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
