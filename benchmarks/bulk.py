"""Millions of rows in the table of keys, made by the database out of one."""

from __future__ import annotations

import hashlib
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apikeys.models import APIKey

#: Rows to one statement, so that there is something to report.
_CHUNK = 250_000
#: From here on it is quicker to make indexes when the rows are there.
_MANY = 100_000

_SERIES = {
    "sqlite": "(WITH RECURSIVE n(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM n WHERE n < %s) SELECT n FROM n) AS g",
    "postgresql": "generate_series(%s, %s) AS g(n)",
}
#: Twelve base62 characters that look random and are the same on the next run.
_KEY_ID = {
    "sqlite": "benchmark_key_id(g.n)",
    "postgresql": "left(translate(encode(sha256(('key ' || g.n)::bytea), 'base64'), '+/=', 'xyz'), 12)",
}


@dataclass(frozen=True, kw_only=True)
class HeldKey:
    """A key whose plaintext somebody has."""

    key_id: str
    verifier: str
    last_used_at: datetime | None


def insert(
    *,
    like: APIKey,
    rows: int,
    held: Mapping[int, HeldKey],
    client_ids: Sequence[int],
    owner_ids: Sequence[int],
) -> None:
    """
    Insert *rows* keys that are *like* another, but for key id, client and owner.

    *held* has the keys that work, by their place among the rows. Nobody can prove the others: their verifier is that
    of *like*, whose secret has another key id.
    """
    statement = _statement(first_client=min(client_ids), first_owner=min(owner_ids), holders=len(client_ids))
    with _without_indexes(rows), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            connection.connection.create_function("benchmark_key_id", 1, _key_id, deterministic=True)
        cursor.execute(
            "CREATE TEMPORARY TABLE benchmark_held "
            "(place bigint PRIMARY KEY, key_id text, verifier text, last_used_at timestamp with time zone)"
        )
        cursor.executemany(
            "INSERT INTO benchmark_held VALUES (%s, %s, %s, %s)",
            [
                (place, key.key_id, key.verifier, connection.ops.adapt_datetimefield_value(key.last_used_at))
                for place, key in held.items()
            ],
        )
        for first in range(0, rows, _CHUNK):
            last = min(first + _CHUNK, rows) - 1
            cursor.execute(statement, [first, last, like.pk])
            if rows > _MANY:
                _say(f"{last + 1:,} of {rows:,} rows")


def _statement(*, first_client: int, first_owner: int, holders: int) -> str:
    # Columns that this module knows nothing of are copied, so that a new one needs no change here.
    made = {
        "key_id": f"coalesce(h.key_id, {_KEY_ID[connection.vendor]})",
        "family": f"coalesce(h.key_id, {_KEY_ID[connection.vendor]})",
        "verifier": "coalesce(h.verifier, t.verifier)",
        "last_used_at": "h.last_used_at",
        "client_id": f"{first_client} + g.n %% {holders}",
        "owner_id": f"{first_owner} + g.n %% {holders}",
    }
    columns = [str(field.column) for field in APIKey._meta.local_concrete_fields if not field.primary_key]
    values = [made.get(column, f"t.{column}") for column in columns]
    return f"""
        INSERT INTO {APIKey._meta.db_table} ({", ".join(columns)})
        SELECT {", ".join(values)}
        FROM {_SERIES[connection.vendor]}
        LEFT JOIN benchmark_held h ON h.place = g.n
        CROSS JOIN (SELECT * FROM {APIKey._meta.db_table} WHERE id = %s) t
    """  # noqa: S608  # names of our own


def _key_id(number: int) -> str:
    text = b64encode(hashlib.sha256(b"key %d" % number).digest()).decode()
    return text.translate(str.maketrans("+/=", "xyz"))[:12]


@contextmanager
def _without_indexes(rows: int) -> Iterator[None]:
    """Drop what only slows many inserts down, and make it again."""
    if connection.vendor != "postgresql" or rows < _MANY:
        yield
        return
    table = APIKey._meta.db_table
    with connection.cursor() as cursor:
        # Every owner and client that is inserted exists, and asking for each would be most of the work.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        unique = _rows(
            cursor,
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = %s::regclass AND contype = 'u'",
            table,
        )
        for name, _ in unique:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        indexes = _rows(
            cursor,
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname NOT IN "
            "(SELECT conname FROM pg_constraint WHERE contype = 'p')",
            table,
        )
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
    yield
    with connection.cursor() as cursor:
        for name, definition in unique:
            _say(f"making {name}")
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
        for name, definition in indexes:
            _say(f"making {name}")
            cursor.execute(definition)
        cursor.execute("RESET session_replication_role")


def _rows(cursor: Any, statement: str, table: str) -> list[tuple[str, str]]:
    cursor.execute(statement, [table])
    return list(cursor.fetchall())


def _say(sentence: str) -> None:
    print(f"  {sentence}", file=sys.stderr, flush=True)
