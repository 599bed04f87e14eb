"""The sums of all keys for one page, from one query: by hour or day, by outcome, and by the scopes that were needed."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum
from django.utils import timezone

from ..core import buckets, outcomes
from ..models import Grain, Level, UsageCount
from .questions import By, Point, Totals, starts_from, totals_of


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What all keys were used for, as far as it is summed."""

    totals: Totals
    #: As ``series`` has them.
    points: Sequence[Point]
    #: By scope, how many requests needed it.
    needed: Mapping[str, int]
    #: As ``questions.counted_until``; None where no hour in here says so.
    counted_until: datetime | None = None


def overview(*, since: datetime, until: datetime, by: By) -> Overview:
    """Return the sums from *since*, when an hour or day begins, to *until*."""
    rows = (
        UsageCount.objects.filter(
            level=Level.ALL, grain__in=(Grain.HOUR, Grain.DAY), bucket__gte=since, bucket__lt=until
        )
        .order_by()
        .values_list("bucket", "grain", "outcome", "scopes")
        .annotate(requests=Sum("count"))
    )
    starts = starts_from(since, until=until, by=by)
    by_outcome: Counter[str] = Counter()
    needed: Counter[str] = Counter()
    allowed, denied = [0] * len(starts), [0] * len(starts)
    last_hour: datetime | None = None
    for bucket, grain, outcome, scopes, requests in rows:
        if grain == Grain.HOUR:
            last_hour = max(bucket, last_hour or bucket)
        by_outcome[outcome] += requests
        (denied if outcomes.is_denied(outcome) else allowed)[bisect_right(starts, bucket) - 1] += requests
        for name in scopes.split():
            needed[name] += requests
    zone = timezone.get_default_timezone()
    return Overview(
        totals=totals_of(by_outcome),
        points=[
            Point(at=start.astimezone(zone), allowed=yes, denied=no)
            for start, yes, no in zip(starts, allowed, denied, strict=True)
        ],
        needed=needed,
        counted_until=last_hour and buckets.hour_end(last_hour, zone=zone),
    )
