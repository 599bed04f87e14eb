"""
One indexed SELECT: a key with its client, its owner and its revocation.

The SQL is compiled once and executed through Django's connection, so that routers, wrappers and query logs see it;
building it anew would cost more than running it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.core.signals import setting_changed
from django.db import DatabaseError, OperationalError, connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import JSONArray
from django.db.models.sql.compiler import SQLCompiler

from . import prepared
from .conf import settings
from .fields import words
from .models import APIKey, Client, KeyRevocation
from .registry import rights_count

#: What stands for the key id while the SQL is made.
_ANY_KEY_ID = "any-key-id"
_read_json = json.JSONDecoder().raw_decode
#: Columns of the key, in the order of ``Found``.
_OF_KEY = (
    "pk",
    "key_id",
    "verifier",
    "name",
    "family",
    "acts_for_user",
    "expires_at",
    "overlap_ends_at",
    "last_used_at",
    "owner_id",
)
_OF_CLIENT = ("client_id", "name", "is_active", "allowed_scopes", "allowed_networks")

Words = tuple[str, ...]


class Found(NamedTuple):
    """What the look-up brought. A tuple, because nothing is cheaper to make of a row."""

    key_pk: int
    key_id: str
    verifier: str
    name: str
    family: str
    acts_for_user: bool
    expires_at: datetime | None
    overlap_ends_at: datetime | None
    last_used_at: datetime | None
    owner_pk: Any
    revoked_at: datetime | None
    #: Or the primary key once more, where the user model has no such column; None where the person is gone.
    owner_is_active: Any
    #: None where no scope asks for a person's rights.
    owner_is_superuser: bool | None
    client_id: str
    client_name: str
    client_is_active: bool
    scopes: Words
    allowed_networks: Words | None
    client_scopes: Words
    client_networks: Words | None

    def __repr__(self) -> str:
        return f"<Found {self.key_id}>"


@dataclass(frozen=True, kw_only=True)
class _Statement:
    #: With named parameters: SQLite's back-end turns positional ones into its own with a slow search.
    sql: str
    parameters: dict[str, Any]
    #: What it is called where it is prepared, and its text there; empty where it can't be.
    name: str
    prepared_sql: str
    #: What turns the value at a place of the row, where it is not NULL, into that of the field.
    conversions: tuple[tuple[int, Callable[[Any, Any, Any], Any], Any], ...] = field(repr=False)


def find(key_id: str, *, alias: str) -> Found | None:
    """Return the key with *key_id* as it is now in the database *alias*, or None. One query."""
    connection = connections[alias]
    statement = _statement(alias)
    row = _row(connection, statement, key_id)
    # Compared once more here: a collation that folds case finds keys that differ only in it.
    if row is None or row[1] != key_id:
        return None
    *values, scopes, networks, client = row
    for place, convert, expression in statement.conversions:
        if values[place] is not None:
            values[place] = convert(values[place], expression, connection)
    client_id, client_name, client_is_active, client_scopes, client_networks = _read_json(client)[0]
    values += [
        client_id,
        client_name,
        bool(client_is_active),
        words(scopes),
        None if networks is None else words(networks),
        words(client_scopes),
        None if client_networks is None else words(client_networks),
    ]
    return Found._make(values)


def _row(connection: BaseDatabaseWrapper, statement: _Statement, key_id: str) -> tuple[Any, ...] | None:
    cursor = connection.cursor()
    try:
        if not _execute_prepared(cursor, statement, key_id):
            cursor.execute(statement.sql, {**statement.parameters, "key_id": key_id})
        # Django's own fetchone() makes a new function on each call.
        with connection.wrap_database_errors:
            row: tuple[Any, ...] | None = cursor.cursor.fetchone()
    finally:
        cursor.close()
    return row


def _execute_prepared(cursor: CursorWrapper, statement: _Statement, key_id: str) -> bool:
    if not statement.name or not prepared.is_ready(cursor.db, name=statement.name, sql=statement.prepared_sql):
        return False
    try:
        cursor.execute(f"EXECUTE {statement.name} (%s)", [key_id])
    except OperationalError:
        # The connection is lost or the time is up, which says nothing of the statement.
        raise
    except DatabaseError as error:
        prepared.give_up(cursor.db.alias, error=error)
        return False
    return True


def database() -> str:
    """Return the alias that keys are looked up in: the one they are written to, unless a replica may answer."""
    return router.db_for_read(APIKey) if settings.READ_REPLICA else router.db_for_write(APIKey)


@lru_cache(maxsize=16)
def column(users: type[models.Model], name: str) -> str | None:
    """Return *name* where it is a column of *users*; a model may lack it, or compute it."""
    try:
        found = users._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return found.attname if isinstance(found, models.Field) and found.concrete else None


@lru_cache(maxsize=16)
def _statement(alias: str) -> _Statement:
    users = get_user_model()
    # Subqueries by primary key, and not one join: PostgreSQL plans each statement anew, and joins double the time.
    person = users._base_manager.using(alias).filter(pk=OuterRef("owner_id"))
    revocation = KeyRevocation.objects.using(alias).filter(key=OuterRef("pk"))
    client = Client.objects.using(alias).filter(pk=OuterRef("client_id")).order_by()
    rights = column(users, "is_superuser") if rights_count() else None
    rows = APIKey.objects.using(alias).filter(key_id=_ANY_KEY_ID).order_by()
    columns = rows.values_list(
        *_OF_KEY,
        Subquery(revocation.values("at")),
        # A model without the column says by itself who is active; then the row's being there is what counts.
        Subquery(person.values(column(users, "is_active") or "pk")),
        Subquery(person.values(rights)) if rights else Value(None, output_field=models.BooleanField()),
        "scopes",
        "allowed_networks",
        Subquery(client.values_list(JSONArray(*_OF_CLIENT))),
    )
    compiler = columns.query.get_compiler(using=alias)
    sql, parameters = compiler.as_sql()
    names = ["key_id" if value == _ANY_KEY_ID else f"p{place}" for place, value in enumerate(parameters)]
    can_be_prepared = connections[alias].vendor == prepared.VENDOR and names == ["key_id"]
    prepared_sql = sql % "$1" if can_be_prepared else ""
    return _Statement(
        sql=sql % tuple(f"%({name})s" for name in names),
        parameters=dict(zip(names, parameters, strict=True)),
        name=prepared.name_of(prepared_sql) if can_be_prepared else "",
        prepared_sql=prepared_sql,
        conversions=tuple(_conversions(compiler)),
    )


def _conversions(compiler: SQLCompiler) -> Iterator[tuple[int, Callable[[Any, Any, Any], Any], Any]]:
    *selected, _scopes, _networks, _client = [column for column, _, _ in compiler.select[: compiler.col_count]]
    for place, (converters, expression) in compiler.get_converters(selected).items():
        for convert in converters:
            yield place, convert, expression


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "AUTH_USER_MODEL", "DATABASES", "INSTALLED_APPS", "DATABASE_ROUTERS", "USE_TZ"}:
        _statement.cache_clear()
        column.cache_clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.lookup")
