"""Counts as rows. They are added, and never read and changed: any number of processes write at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import DataError, IntegrityError, connections, router, transaction

from ..core import keyformat
from ..core.batches import batches
from ..counting import Counts, RefusalKind, RequestKind, Tally, Use
from ..logging import mask_keys
from ..models import APIKey, Grain, LastUse, Level, UsageCount

logger = logging.getLogger("apikeys.usage")

_BATCH = 1_000
_SCOPES_LENGTH = 500
_OUTCOME_LENGTH = 32
_KEY_ID_LENGTH = keyformat.KEY_ID_LENGTH


def database() -> str:
    """Return the alias of the database that counts are written to."""
    return router.db_for_write(UsageCount)


def write_counts(counts: Counts) -> int:
    """
    Add the rows of *counts*, all or none, and return how many there are.

    A row that this database can't store is left out, and the log says so: it would hold up all others for good.
    """
    owners = _owners_of(kind for kind in map(RefusalKind._make, counts.refusals) if kind.key_id)
    rows = [
        *(row for kind, tally in counts.requests.items() for row in _request_rows(RequestKind._make(kind), tally)),
        *(_refusal_row(RefusalKind._make(kind), tally, owners) for kind, tally in counts.refusals.items()),
    ]
    try:
        return _insert(rows)
    except (DataError, IntegrityError):
        with transaction.atomic(using=database()):
            return _insert_storable(rows)


def write_uses(uses: Mapping[str, Use]) -> None:
    """Note *uses*, by key id, where they are later than what is noted."""
    # In one order, so that two processes never wait for each other.
    for batch in batches(sorted(uses.items()), size=_BATCH):
        _write_uses(batch)


def _insert(rows: Sequence[UsageCount]) -> int:
    with transaction.atomic(using=database()):
        UsageCount.objects.using(database()).bulk_create(rows, batch_size=_BATCH)
    return len(rows)


def _insert_storable(rows: Sequence[UsageCount]) -> int:
    """Add what the database takes of *rows*, halving them until those that it does not take are alone."""
    try:
        return _insert(rows)
    except (DataError, IntegrityError):
        if len(rows) > 1:
            half = len(rows) // 2
            return _insert_storable(rows[:half]) + _insert_storable(rows[half:])
        (row,) = rows
        what = {"outcome": row.outcome, "key_id": row.key_id, "count": row.count}
        logger.exception("the database can't store a count of usage: it is lost", extra=what)
        return 0


def _request_rows(kind: RequestKind, tally: Tally) -> Iterator[UsageCount]:
    first, *others = _scope_texts(kind.scopes)
    yield _request_row(kind, tally, scopes=first, count=tally.count)
    for scopes in others:
        # They were needed by the same requests, which count once.
        yield _request_row(kind, tally, scopes=scopes, count=0)


def _request_row(kind: RequestKind, tally: Tally, *, scopes: str, count: int) -> UsageCount:
    return UsageCount(
        level=Level.REQUEST,
        grain=Grain.RAW,
        bucket=kind.hour,
        family=kind.family,
        key_id=kind.key_id,
        client_id=kind.client_id,
        route=kind.route,
        method=kind.method,
        outcome=kind.outcome,
        scopes=scopes,
        network=kind.network,
        count=count,
        last_at=tally.last_at,
    )


def _refusal_row(kind: RefusalKind, tally: Tally, owners: Mapping[str, tuple[str, str]]) -> UsageCount:
    family, client_id = owners.get(kind.key_id, (kind.family, kind.client_id))
    return UsageCount(
        level=Level.REFUSAL,
        grain=Grain.RAW,
        bucket=kind.minute,
        family=family[:_KEY_ID_LENGTH],
        # A scheme of the project's own may have ids and codes of any length.
        key_id=kind.key_id[:_KEY_ID_LENGTH],
        client_id=client_id,
        outcome=kind.code[:_OUTCOME_LENGTH],
        network=kind.network,
        count=tally.count,
        last_at=tally.last_at,
    )


def _owners_of(kinds: Iterable[RefusalKind]) -> dict[str, tuple[str, str]]:
    """Return family and client id by key id. A refusal carries what was at hand, to cost no query."""
    key_ids = {kind.key_id for kind in kinds}
    keys = APIKey.objects.using(router.db_for_write(APIKey))
    return {
        key_id: (family, client_id)
        for batch in batches(key_ids, size=_BATCH)
        for key_id, family, client_id in keys.filter(key_id__in=batch).values_list(
            "key_id", "family", "client__client_id"
        )
    }


def _scope_texts(scopes: str) -> list[str]:
    """Return *scopes* in texts that fit the column: what is cut off would pass for not needed."""
    texts = [""]
    for name in scopes.split():
        longer = f"{texts[-1]} {name}".strip()
        if len(longer) > _SCOPES_LENGTH:
            texts.append(name)
        else:
            texts[-1] = longer
    return texts


def _write_uses(batch: Sequence[tuple[str, Use]]) -> None:
    connection = connections[router.db_for_write(LastUse)]
    columns = {field.attname: field for field in LastUse._meta.concrete_fields}
    names = {name: connection.ops.quote_name(str(field.column)) for name, field in columns.items()}
    values: list[Any] = []
    for key_id, use in batch:
        row = {
            "key_id": key_id,
            "at": use.at,
            "address": None if use.address is None else str(use.address),
            "route": use.route,
            "method": use.method,
            "user_agent": _shown(use.user_agent),
        }
        values += [field.get_db_prep_save(row[name], connection) for name, field in columns.items()]
    placeholders = f"({', '.join(['%s'] * len(columns))})"
    table = connection.ops.quote_name(LastUse._meta.db_table)
    sql = (
        f"INSERT INTO {table} ({', '.join(names.values())}) VALUES {', '.join([placeholders] * len(batch))} "  # noqa: S608  # names of columns
        f"{_where_later(connection.vendor, names, table=table)}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _where_later(vendor: str, names: Mapping[str, str], *, table: str) -> str:
    """Return the end of an INSERT that changes a row only where the new one is later."""
    key_id, at = names["key_id"], names["at"]
    others = [name for field, name in names.items() if field not in {"key_id", "at"}]
    if vendor == "mysql":
        # Assigned in this order, and each sees the one before: the instant comes last.
        changes = [f"{name} = IF(VALUES({at}) > {at}, VALUES({name}), {name})" for name in others]
        changes.append(f"{at} = GREATEST({at}, VALUES({at}))")
        return f"ON DUPLICATE KEY UPDATE {', '.join(changes)}"
    changes = [f"{name} = excluded.{name}" for name in (at, *others)]
    return f"ON CONFLICT ({key_id}) DO UPDATE SET {', '.join(changes)} WHERE excluded.{at} > {table}.{at}"


def _shown(user_agent: str) -> str:
    """Return *user_agent* without control characters, and without what somebody pasted into the wrong header."""
    printable = "".join(character for character in user_agent if character.isprintable())
    return str(mask_keys(printable))
