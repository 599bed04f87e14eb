"""One request against its quotas: all are spent, or none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError

from ..core.errors import LimitsUnavailableError
from ..core.rates import Quota
from ..core.standings import Standing
from ..limits.ledger import Taken
from ..logging import complaints
from . import rows
from .calendar import Span, span_of
from .leases import Lease, lease_of
from .rows import Account

logger = logging.getLogger("apikeys.auth")

#: A database that fails now may work at once again.
_RETRY_SECONDS = 1
_UNTOLD = "The database can't tell what is left of quotas: who has one is refused."


def take(family: str, quotas: Sequence[Quota], *, cost: int, now: datetime) -> Taken:
    """
    Spend *cost* of all *quotas* of *family*, or of none.

    Where the ledger can be written only in the caller's transaction, what is spent is rolled back with it.

    Raises:
        LimitsUnavailableError: If the database can't tell what is left.
    """
    try:
        return _take(family, quotas, cost=cost, now=now)
    except (DatabaseError, InterfaceError) as error:
        complaints.tell(_UNTOLD, reason=LimitsUnavailableError.code, cause=error)
        raise LimitsUnavailableError(retry_after_seconds=_RETRY_SECONDS) from error


def give_back(taken: Taken) -> None:
    """Undo *taken*, because something else refused the request. Where the database fails, it stays spent."""
    _put_back(taken.lease or ())


class _Asked(NamedTuple):
    quota: Quota
    span: Span
    lease: Lease


def _take(family: str, quotas: Sequence[Quota], *, cost: int, now: datetime) -> Taken:
    asked = _asked(family, quotas, now=now)
    spent: list[tuple[Lease, int]] = []
    try:
        refused = _spend(asked, spent, cost=cost)
    except (DatabaseError, InterfaceError):
        _put_back(spent)
        raise
    if refused is not None:
        _put_back(spent)
    standings = tuple(
        Standing(
            name=quota.name,
            amount=quota.amount,
            remaining=lease.remaining(amount=quota.amount),
            reset_seconds=(span.ends_at - now).total_seconds(),
        )
        for quota, span, lease in asked
    )
    return Taken(refused=refused, standings=standings, lease=None if refused else spent)


def _asked(family: str, quotas: Sequence[Quota], *, now: datetime) -> list[_Asked]:
    # Units that are rolled back with the transaction are of no use to the next request.
    is_bound = rows.is_bound_to_transaction()
    asked = []
    for quota in quotas:
        span = span_of(quota.period, now=now)
        account = Account(family, quota.period, span.starts_at)
        asked.append(_Asked(quota, span, Lease(account, is_kept=False) if is_bound else lease_of(account)))
    return asked


def _spend(asked: Sequence[_Asked], spent: list[tuple[Lease, int]], *, cost: int) -> Quota | None:
    """Spend, and note in *spent* what was; return the quota that has not so much left."""
    # The month first: of two that are used up, the answer names the one to wait longest for.
    for quota, _, lease in reversed(asked):
        if lease.is_refusing(cost, amount=quota.amount):
            return quota
    for quota, _, lease in reversed(asked):
        if not lease.spend(cost, amount=quota.amount):
            return quota
        spent.append((lease, cost))
    return None


def _put_back(spent: Sequence[tuple[Lease, int]]) -> None:
    for lease, cost in spent:
        try:
            lease.put_back(cost)
        except (DatabaseError, InterfaceError):
            logger.warning("could not give back what a refused request took of a quota", exc_info=True)
