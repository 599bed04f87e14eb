"""What is left of quotas, for people and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone

from ..core.rates import Quota
from . import rows
from .calendar import Span, span_of
from .leases import left_of
from .rows import Account


class Balance(NamedTuple):
    """What is left of one quota."""

    quota: Quota
    #: What other processes leased and did not spend yet counts as spent: a block each at most, for a minute.
    remaining: int
    resets_at: datetime


def standing_of(family: str, quotas: Sequence[Quota], *, now: datetime | None = None) -> list[Balance]:
    """Return what *family* has left of *quotas*. One query; none where there is no quota."""
    return standings_of({family: quotas}, now=now)[family]


def standings_of(quotas_of: Mapping[str, Sequence[Quota]], *, now: datetime | None = None) -> dict[str, list[Balance]]:
    """Return what each family in *quotas_of* has left of its quotas. One query for all of them."""
    now = timezone.now() if now is None else now
    spans = {quota.period: span_of(quota.period, now=now) for quotas in quotas_of.values() for quota in quotas}
    wanted = [
        Account(family, quota.period, spans[quota.period].starts_at)
        for family, quotas in quotas_of.items()
        for quota in quotas
    ]
    taken = rows.taken_of(wanted, alias=rows.database().alias)
    return {
        family: [_balance(family, quota, taken, span=spans[quota.period]) for quota in quotas]
        for family, quotas in quotas_of.items()
    }


def _balance(family: str, quota: Quota, taken: Mapping[Account, int], *, span: Span) -> Balance:
    account = Account(family, quota.period, span.starts_at)
    remaining = quota.amount - taken.get(account, 0) + left_of(account)
    return Balance(quota=quota, remaining=max(0, remaining), resets_at=span.ends_at)
