"""One hour or day of counts, summed by the database: no row comes here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import DatabaseError, OperationalError, connections, transaction
from django.db.models import CharField, Count, DateTimeField, Max, PositiveSmallIntegerField, Q, QuerySet, Sum, Value
from django.db.models.sql import DeleteQuery

from ..counting import MOST_NETWORKS, OTHER
from ..models import Grain, Level, UsageCount
from .writing import database

#: What tells one count from another.
_WHAT = ("family", "key_id", "client_id", "route", "method", "outcome", "scopes", "network")
#: What of it each sum keeps.
_KEPT = {
    Level.KEY: ("family", "key_id", "client_id", "outcome"),
    Level.CLIENT: ("client_id", "outcome"),
    Level.ALL: ("outcome", "scopes"),
}
_TRIES = 5
#: Before another try, times its number.
_PAUSE_SECONDS = 0.05
#: By level, grain and bucket.
_INDEX = "apikeys_usage_level"
#: Deadlock, lock wait over, changed since it was read; of PostgreSQL: serialization failure, deadlock.
_COME_AGAIN = frozenset({1213, 1205, 1020, "40001", "40P01"})


@dataclass(frozen=True, kw_only=True)
class Span:
    """An hour or a day: from *start* until just before *end*."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Rows:
    """How many rows were summed, and how many stand for them."""

    read: int
    written: int


def first_bucket(grain: Grain, *, levels: Sequence[Level], since: datetime | None, before: datetime) -> datetime | None:
    """Return the earliest bucket of rows that are to be summed; None if there is none."""
    rows = UsageCount.objects.using(database()).filter(grain=grain, bucket__lt=before).order_by("bucket")
    if since is not None:
        rows = rows.filter(bucket__gte=since)
    # Level by level, so that each is one look into the index.
    found = [rows.filter(level=level).values_list("bucket", flat=True).first() for level in levels]
    return min((bucket for bucket in found if bucket is not None), default=None)


def sum_hour(span: Span) -> Rows:
    """Put sums in the place of the raw rows of *span*: of what they say, and by key, by client and over all."""

    def write(rows: QuerySet[UsageCount]) -> int:
        requests, refusals = rows.filter(level=Level.REQUEST), rows.filter(level=Level.REFUSAL)
        written = _insert(requests, level=Level.REQUEST, grain=Grain.HOUR, bucket=span.start, kept=_WHAT)
        written += _insert_refusals(refusals, bucket=span.start)
        for level, kept in _KEPT.items():
            of_them = rows if level is Level.ALL else rows.exclude(**{kept[0]: ""})
            written += _insert(of_them, level=level, grain=Grain.HOUR, bucket=span.start, kept=kept)
        return written

    return _replaced(span, grain=Grain.RAW, levels=(Level.REQUEST, Level.REFUSAL), write=write)


def sum_day(span: Span) -> Rows:
    """Put sums in the place of the hours of *span*. The networks are forgotten."""
    kept = tuple(name for name in _WHAT if name != "network")

    def write(rows: QuerySet[UsageCount]) -> int:
        return sum(
            _insert(rows.filter(level=level), level=level, grain=Grain.DAY, bucket=span.start, kept=kept)
            for level in Level
        )

    return _replaced(span, grain=Grain.HOUR, levels=tuple(Level), write=write)


def delete_days(*, before: datetime) -> int:
    """Delete the days before *before*, and return how many rows that were."""
    rows = UsageCount.objects.using(database()).filter(level__in=list(Level), grain=Grain.DAY, bucket__lt=before)
    return _delete(rows)


def _replaced(
    span: Span, *, grain: Grain, levels: Sequence[Level], write: Callable[[QuerySet[UsageCount]], int]
) -> Rows:
    rows = UsageCount.objects.using(database()).filter(
        level__in=levels, grain=grain, bucket__gte=span.start, bucket__lt=span.end
    )
    for tries_left in reversed(range(_TRIES)):
        try:
            with _alone_with(rows):
                written = write(rows)
                return Rows(read=_delete(rows), written=written)
        except OperationalError as error:
            if not tries_left or not _may_come_again(error):
                raise
        time.sleep(_PAUSE_SECONDS * (_TRIES - tries_left))
    raise AssertionError  # the last try returns or raises


@contextmanager
def _alone_with(rows: QuerySet[UsageCount]) -> Iterator[None]:
    """Enter a transaction in which all statements see the same of *rows*, and that two roll-ups enter one by one."""
    connection = connections[rows.db]
    # Django's TestCase is the one transaction that durable=True allows around it, and nobody else writes in there.
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(using=rows.db, durable=True):
        if is_outermost and connection.vendor in _ISOLATIONS:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute(*_ISOLATIONS[connection.vendor](rows))
        # SQLite has one writer, and the first statement is a write.
        yield


def _lock_of_postgresql(rows: QuerySet[UsageCount]) -> tuple[str, Sequence[Any]]:
    # Whoever writes counts does not wait for this lock. The snapshot is taken by the first statement after it.
    return f"LOCK TABLE {_table(rows.db)} IN SHARE UPDATE EXCLUSIVE MODE", ()


def _lock_of_mysql(rows: QuerySet[UsageCount]) -> tuple[str, Sequence[Any]]:
    # INSERT … SELECT and DELETE read what was committed last. This locks the rows, and the gaps that a new one could
    # come into; who writes into one of them waits.
    sql, params = _compiled(rows.order_by().values("level").annotate(rows=Count("*")))
    return f"{_by_index(sql, using=rows.db)} FOR UPDATE", params


_ISOLATIONS = {"postgresql": _lock_of_postgresql, "mysql": _lock_of_mysql}


def _insert_refusals(rows: QuerySet[UsageCount], *, bucket: datetime) -> int:
    """Write the hour of *rows*. Of credentials that name no key, only the networks with the most are told apart."""
    by_size: Any = rows.filter(family="").order_by().values_list("network").annotate(total=Sum("count"))
    large = list(by_size.order_by("-total", "network").values_list("network", flat=True)[: MOST_NETWORKS + 1])
    write = partial(_insert, level=Level.REFUSAL, grain=Grain.HOUR, bucket=bucket)
    if len(large) <= MOST_NETWORKS:
        return write(rows, kept=_WHAT)
    # Whoever holds a few networks of IPv6 could send each request from another, and fill the table with them.
    is_small = Q(family="") & ~Q(network__in=large[:MOST_NETWORKS])
    others = tuple(name for name in _WHAT if name != "network")
    return write(rows.exclude(is_small), kept=_WHAT) + write(rows.filter(is_small), kept=others, network=OTHER)


def _insert(
    rows: QuerySet[UsageCount], *, level: Level, grain: Grain, bucket: datetime, kept: Sequence[str], network: str = ""
) -> int:
    """
    Write the sums of *rows* by what is *kept* of them, and return how many rows that makes.

    Where it is not kept, *network* stands for all of theirs.
    """
    unsaid = {name: network if name == "network" else "" for name in _WHAT if name not in kept}
    said = {
        "level": Value(level.value, output_field=CharField()),
        "grain": Value(grain.value, output_field=PositiveSmallIntegerField()),
        "bucket": Value(bucket, output_field=DateTimeField()),
        **{name: Value(text, output_field=CharField()) for name, text in unsaid.items()},
        "count": Sum("count"),
        "last_at": Max("last_at"),
    }
    # Under other names: an annotation may not be called as a field is.
    sums = {f"new_{name}": expression for name, expression in said.items()}
    sql, params = _compiled(rows.order_by().values(*kept).annotate(**sums).values_list(*kept, *sums))
    quoted = connections[rows.db].ops.quote_name
    columns = ", ".join(quoted(name) for name in (*kept, *said))
    with connections[rows.db].cursor() as cursor:
        cursor.execute(f"INSERT INTO {_table(rows.db)} ({columns}) {_by_index(sql, using=rows.db)}", params)
        return int(cursor.rowcount)


def _delete(rows: QuerySet[UsageCount]) -> int:
    # Not delete(): where any receiver listens to all models, that reads every row first.
    sql, params = rows.query.chain(klass=DeleteQuery).get_compiler(using=rows.db).as_sql()
    with connections[rows.db].cursor() as cursor:
        cursor.execute(_by_index(sql, using=rows.db), params)
        return int(cursor.rowcount)


def _by_index(sql: str, *, using: str) -> str:
    """Return *sql* so that MySQL goes through the index: through the table, it would lock every row and gap."""
    if connections[using].vendor != "mysql":
        return sql
    table, index = _table(using), connections[using].ops.quote_name(_INDEX)
    if sql.startswith("DELETE FROM"):
        # The form that takes a hint.
        sql = sql.replace("DELETE FROM", f"DELETE {table} FROM", 1)
    return sql.replace(f"FROM {table}", f"FROM {table} FORCE INDEX ({index})", 1)


def _compiled(rows: QuerySet[UsageCount, Any]) -> tuple[str, Sequence[Any]]:
    sql, params = rows.query.get_compiler(using=rows.db).as_sql()
    return sql, params


def _table(using: str) -> str:
    return connections[using].ops.quote_name(UsageCount._meta.db_table)


def _may_come_again(error: DatabaseError) -> bool:
    cause = error.__cause__
    # What the driver says: psycopg's SQLSTATE, psycopg2's name for it, the number of MySQL.
    states = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *getattr(cause, "args", ())[:1]}
    return not _COME_AGAIN.isdisjoint(states)
