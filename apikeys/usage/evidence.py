"""What was needed, by key and by client, as the counts have it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import Max, Q, Sum
from django.utils import timezone

from ..conf import settings
from ..core import buckets, outcomes
from ..models import Grain, Level, UsageCount

#: How far what is known of a key's last use may be ahead of the counts.
_LAG = timedelta(hours=1)
_SUMMED_OVER_ALL = Q(level=Level.ALL, grain__in=(Grain.HOUR, Grain.DAY))
#: Requests that wait for the roll-up.
_WAITING = Q(level=Level.REQUEST, grain=Grain.RAW)


@dataclass(frozen=True, kw_only=True)
class Need:
    """How often something was needed, and when last."""

    requests: int = 0
    last_at: datetime | None = None

    def __add__(self, other: Need) -> Need:
        last_at = max(filter(None, (self.last_at, other.last_at)), default=None)
        return Need(requests=self.requests + other.requests, last_at=last_at)


@dataclass(kw_only=True)
class Evidence:
    """What one family or client asked for."""

    requests: Need = field(default_factory=Need)
    #: What requests needed scopes that their count does not say: it may be any.
    unsaid: Need = field(default_factory=Need)
    by_scope: dict[str, Need] = field(default_factory=dict)

    def of(self, scope: str) -> Need:
        """Return how much *scope* was needed, or may have been."""
        return self.by_scope.get(scope, Need()) + self.unsaid


def collected(
    column: Literal["family", "client_id"], values: Collection[str], *, since: datetime
) -> Mapping[str, Evidence]:
    """Return the evidence for each of *values*, also where there is none. One query."""
    found = {value: Evidence() for value in values}
    rows = UsageCount.objects.filter(
        Q(**{f"{column}__in": values}), level=Level.REQUEST, grain__in=list(Grain), bucket__gte=since
    )
    sums = rows.order_by().values_list(column, "scopes").annotate(requests=Sum("count"), at=Max("last_at"))
    for value, scopes, requests, at in sums:
        _add(found[value], scopes=scopes.split(), need=Need(requests=requests, last_at=at))
    return found


def collected_over_all(*, since: datetime) -> Evidence:
    """Return the evidence of all clients together. One query."""
    rows = UsageCount.objects.filter(_SUMMED_OVER_ALL | _WAITING, bucket__gte=since)
    found = Evidence()
    for scopes, requests, at in rows.order_by().values_list("scopes").annotate(r=Sum("count"), at=Max("last_at")):
        _add(found, scopes=scopes.split(), need=Need(requests=requests, last_at=at))
    return found


def needed_and_not_summed(*, since: datetime) -> set[str]:
    """Return what requests since *since* needed, of those that no sum knows of yet. One query."""
    rows = UsageCount.objects.filter(_WAITING, bucket__gte=since).order_by().values_list("scopes", flat=True)
    return {name for scopes in rows.distinct() for name in scopes.split()}


def counting_began() -> datetime | None:
    """
    Return since when it is known of every request what it needed; None if it never was. Four queries.

    That is the first hour or day that is kept, or the day after memory last ran out and keys were not told apart.
    """
    rows = UsageCount.objects.filter(level=Level.REQUEST).order_by("bucket").values_list("bucket", flat=True)
    # Their client is not said either, and the index finds that: without a family are all requests of OAuth, too.
    unsaid = rows.filter(client_id="", family="", grain__in=list(Grain), scopes=outcomes.SCOPES_UNSAID).last()
    if unsaid is not None:
        return buckets.day_end(unsaid, zone=timezone.get_default_timezone())
    return min(filter(None, (rows.filter(grain=grain).first() for grain in Grain)), default=None)


def window_start(*, days: int, now: datetime) -> datetime:
    """Return when the window of so many *days* begins: with the whole day, as only days may be left of it."""
    return buckets.first_day(days=days + 1, now=now, zone=timezone.get_default_timezone())


def reaches_back_to(since: datetime) -> bool:
    """Whether something was counted before *since* that is summed and kept. One query."""
    rows = UsageCount.objects.filter(_SUMMED_OVER_ALL, bucket__lt=since)
    return rows.exists()


def is_complete(counted: Need, *, last_used_at: datetime | None, since: datetime) -> bool:
    """Whether the counts know of the last use, which the keys record by themselves."""
    if last_used_at is None or last_used_at < since:
        return True
    return counted.last_at is not None and counted.last_at >= last_used_at - max(
        _LAG, 2 * settings.USAGE_FLUSH_INTERVAL
    )


def _add(evidence: Evidence, *, scopes: Iterable[str], need: Need) -> None:
    evidence.requests += need
    for scope in scopes:
        if scope == outcomes.SCOPES_UNSAID:
            evidence.unsaid += need
        else:
            evidence.by_scope[scope] = evidence.by_scope.get(scope, Need()) + need
