"""
A SELECT by one text, compiled once and executed through Django's connection.

So routers, wrappers and query logs see it; building SQL with the ORM anew would cost more than running it. On
PostgreSQL it is a prepared statement where the connection lives long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.signals import setting_changed
from django.db import DatabaseError, OperationalError, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from django.db.models.sql.compiler import SQLCompiler

from . import prepared

#: What stands for the wanted text while the SQL is made.
ANY = "any-text-at-all"
_WANTED = "wanted"
#: Settings that change what is compiled.
CHANGING = frozenset({"APIKEYS", "AUTH_USER_MODEL", "DATABASES", "INSTALLED_APPS", "DATABASE_ROUTERS", "USE_TZ"})


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A compiled SELECT of at most one row."""

    #: With named parameters: SQLite's back-end turns positional ones into its own with a slow search.
    sql: str
    parameters: dict[str, Any]
    #: What it is called where it is prepared, and its text there; empty where it can't be.
    name: str
    prepared_sql: str
    #: What turns the value at a place of the row, where it is not NULL, into that of the field.
    conversions: tuple[tuple[int, Callable[[Any, Any, Any], Any], Any], ...] = field(repr=False)


def compiled(rows: QuerySet[Any, Any], *, alias: str, left_raw: int) -> Statement:
    """
    Return the statement of *rows*, filtered by one column that is ``ANY``, for the database *alias*.

    The last *left_raw* columns stay as the database's driver has them.
    """
    compiler = rows.query.get_compiler(using=alias)
    sql, parameters = compiler.as_sql()
    names = [_WANTED if value == ANY else f"p{place}" for place, value in enumerate(parameters)]
    can_be_prepared = connections[alias].vendor == prepared.VENDOR and names == [_WANTED]
    prepared_sql = sql % "$1" if can_be_prepared else ""
    return Statement(
        sql=sql % tuple(f"%({name})s" for name in names),
        parameters=dict(zip(names, parameters, strict=True)),
        name=prepared.name_of(prepared_sql) if can_be_prepared else "",
        prepared_sql=prepared_sql,
        conversions=tuple(_conversions(compiler, left_raw=left_raw)),
    )


def fetch(statement: Statement, wanted: str, *, connection: BaseDatabaseWrapper) -> list[Any] | None:
    """Return the values of the row that *statement* finds for *wanted*, or None. One query."""
    cursor = connection.cursor()
    try:
        if not _execute_prepared(cursor, statement, wanted):
            cursor.execute(statement.sql, {**statement.parameters, _WANTED: wanted})
        # Django's own fetchone() makes a new function on each call.
        with connection.wrap_database_errors:
            row: tuple[Any, ...] | None = cursor.cursor.fetchone()
    finally:
        cursor.close()
    if row is None:
        return None
    values = list(row)
    for place, convert, expression in statement.conversions:
        if values[place] is not None:
            values[place] = convert(values[place], expression, connection)
    return values


@lru_cache(maxsize=16)
def column(model: type[models.Model], name: str) -> str | None:
    """Return *name* where it is a column of *model*; a user model may lack it, or compute it."""
    try:
        found = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return found.attname if isinstance(found, models.Field) and found.concrete else None


def _execute_prepared(cursor: CursorWrapper, statement: Statement, wanted: str) -> bool:
    if not statement.name or not prepared.is_ready(cursor.db, name=statement.name, sql=statement.prepared_sql):
        return False
    try:
        cursor.execute(f"EXECUTE {statement.name} (%s)", [wanted])
    except OperationalError:
        # The connection is lost or the time is up, which says nothing of the statement.
        raise
    except DatabaseError as error:
        prepared.give_up(cursor.db.alias, error=error)
        return False
    return True


def _conversions(compiler: SQLCompiler, *, left_raw: int) -> Iterator[tuple[int, Callable[[Any, Any, Any], Any], Any]]:
    selected = [selection for selection, _, _ in compiler.select[: compiler.col_count]]
    for place, (converters, expression) in compiler.get_converters(selected[: len(selected) - left_raw]).items():
        for convert in converters:
            yield place, convert, expression


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in CHANGING:
        column.cache_clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.compiled")
