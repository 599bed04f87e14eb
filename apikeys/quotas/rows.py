"""The ledger: one row of a family in a day or month, changed by conditional UPDATEs alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, QuerySet

from ..core.rates import Period
from ..counting import Database
from ..models import QuotaLedger

#: How often a lease is tried for as many units as are wanted, before it is tried for what is needed.
_TRIES = 3


class Account(NamedTuple):
    """What a row of the ledger is about."""

    family: str
    period: Period
    starts_at: datetime


class Leased(NamedTuple):
    """What came of asking for a lease."""

    #: Zero where not enough is left.
    units: int
    #: What the ledger says is taken, these units included.
    taken: int


def lease(account: Account, *, amount: int, least: int, most: int, alias: str) -> Leased:
    """
    Take at least *least* and about *most* units of *amount* from *alias*' ledger, or none. They outlive a transaction.

    The less is left the less is taken at once, a tenth at most, so that little lies idle in other processes at the end.
    """
    with _kept_by_itself(alias):
        for _ in range(_TRIES):
            taken = _taken(account, alias=alias)
            if taken is None:
                # Somebody else may be quicker; the row then has what that one took.
                QuotaLedger.objects.using(alias).bulk_create([QuotaLedger(**account._asdict())], ignore_conflicts=True)
                taken = 0
            left = amount - taken
            if left < least:
                return Leased(units=0, taken=taken)
            units = max(least, min(most, left // 10))
            if _take(account, units, amount=amount, alias=alias):
                return Leased(units=units, taken=taken + units)
        # Others were quicker each time. Only the row itself says that nothing is left.
        units = least if _take(account, least, amount=amount, alias=alias) else 0
        return Leased(units=units, taken=_taken(account, alias=alias) or 0)


def give_back(account: Account, units: int, *, alias: str) -> None:
    """Return *units* to the ledger; nothing where its row does not have so many, because it is another database's."""
    with _kept_by_itself(alias):
        _rows([account], alias=alias).filter(taken__gte=units).update(taken=F("taken") - units)


def taken_of(accounts: Iterable[Account], *, alias: str) -> dict[Account, int]:
    """Return what is taken of each of *accounts*, where anything ever was. One query."""
    wanted = list(accounts)
    if not wanted:
        return {}
    values = _rows(wanted, alias=alias).values_list("family", "period", "starts_at", "taken")
    taken = {(family, period, starts_at): taken for family, period, starts_at, taken in values}
    return {account: taken[account] for account in wanted if account in taken}


def delete_before(instant: datetime) -> int:
    """Delete what is known of days and months that began before *instant*, and return how many rows that were."""
    return QuotaLedger.objects.using(database().alias).filter(starts_at__lt=instant).delete()[0]


def is_bound_to_transaction() -> bool:
    """
    Whether a row could now be changed only in the transaction around the request, and would be rolled back with it.

    SQLite has one writer: a second connection would wait for the transaction that waits for it. And nobody but a
    ``TestCase`` sees what is in its transaction.
    """
    return _is_bound(connections[database().alias])


def database() -> Database:
    """Return the database whose ledger counts now: a project may have several, and a router that asks the request."""
    alias = router.db_for_write(QuotaLedger)
    return Database(alias=alias, name=_name_of(alias))


def is_still_there(leased_from: Database) -> bool:
    """Whether *leased_from* goes by its alias still: a test run puts another one in the place of the project's."""
    return _name_of(leased_from.alias) == leased_from.name


def connect(alias: str) -> None:
    """
    Open the connection to *alias*' ledger, if it is not open.

    Raises:
        DatabaseError: If that fails.
    """
    connections[alias].ensure_connection()


@contextmanager
def _kept_by_itself(alias: str) -> Iterator[None]:
    """Let statements of this thread commit by themselves, if that is possible, also where a transaction is open."""
    connection = connections[alias]
    if not _is_in_transaction(connection) or _is_bound(connection):
        yield
        return
    # In the view's transaction the lease would be rolled back while this process spends it, and the row would stay
    # locked for every other process until the view ends.
    separate = connection.copy()
    separate.settings_dict["AUTOCOMMIT"] = True
    # A pool may have no other one left, each of whose connections is held by a request that waits here.
    separate.settings_dict["OPTIONS"].pop("pool", None)
    connections[alias] = separate
    try:
        yield
    finally:
        connections[alias] = connection
        separate.close()


def _take(account: Account, units: int, *, amount: int, alias: str) -> bool:
    # Whatever was read before: the row decides, and decides one after the other.
    has_enough = _rows([account], alias=alias).filter(taken__lte=amount - units)
    return bool(has_enough.update(taken=F("taken") + units))


def _taken(account: Account, *, alias: str) -> int | None:
    return _rows([account], alias=alias).values_list("taken", flat=True).first()


def _rows(accounts: Iterable[Account], *, alias: str) -> QuerySet[QuotaLedger]:
    # Families of one day are asked for together.
    families: dict[tuple[Period, datetime], list[str]] = {}
    for account in accounts:
        families.setdefault((account.period, account.starts_at), []).append(account.family)
    wanted = Q()
    for (period, starts_at), names in families.items():
        wanted |= Q(period=period, starts_at=starts_at, family__in=names)
    return QuotaLedger.objects.using(alias).filter(wanted).order_by()


def _name_of(alias: str) -> str:
    # A project that makes connections as it goes along may have put this one away.
    return str(connections.settings.get(alias, {}).get("NAME", ""))


def _is_bound(connection: BaseDatabaseWrapper) -> bool:
    return _is_in_transaction(connection) and (connection.vendor == "sqlite" or _is_of_test_case(connection))


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    # A project without autocommit is in one all the time.
    return connection.in_atomic_block or not connection.settings_dict["AUTOCOMMIT"]


def _is_of_test_case(connection: BaseDatabaseWrapper) -> bool:
    # As Django tells the two apart, where a block has to be the outermost one.
    blocks = connection.atomic_blocks
    return bool(blocks) and getattr(blocks[0], "_from_testcase", False)
