"""How much each of many keys is used now, in one query: for lists, and for pages that stop keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from ..core import buckets, outcomes
from ..models import APIKey, Grain, Level, UsageCount

#: What was rolled up, and what is still as a process wrote it: together everything, at any moment.
_COUNTED = Q(level=Level.KEY) | Q(level=Level.REQUEST, grain=Grain.RAW)
#: Not the credentials that were refused, whose outcome is a code: those were no use of a key. Statuses sort first.
_WORDS = (outcomes.OK, outcomes.UNCOUNTED, outcomes.LIMITED, outcomes.SCOPE_MISSING)
_IS_REQUEST = Q(outcome__in=_WORDS) | Q(outcome__lt="a")


def requests_of(keys: Iterable[APIKey], *, now: datetime, within: timedelta = timedelta(hours=24)) -> dict[str, int]:
    """
    Return by key id how many requests came with each of *keys*; those without any are left out.

    Counts are kept by the hour: the hour in which *within* began does not count.
    """
    rows = _requests(keys).filter(bucket__gt=now - within).exclude(grain=Grain.DAY)
    return dict(rows.values_list("key_id").annotate(Sum("count")))


def days_of(keys: Iterable[APIKey], *, days: int, now: datetime) -> dict[str, list[int]]:
    """
    Return by key id the requests with each of *keys* on the last *days* days, oldest first.

    Those without any are left out. Replacements count for themselves. Days are those of the project's time zone.
    """
    zone = timezone.get_default_timezone()
    starts = [buckets.first_day(days=back, now=now, zone=zone) for back in range(days, -1, -1)]
    # No TruncDay: MySQL needs time zones for that which may not be loaded. And hours would be many rows for each key.
    sums = {
        f"day_{number}": Sum("count", filter=Q(bucket__gte=starts[number], bucket__lt=starts[number + 1]), default=0)
        for number in range(days)
    }
    rows = _requests(keys).filter(bucket__gte=starts[0]).values_list("key_id").annotate(**sums)
    return {key_id: counts for key_id, *counts in rows}


def _requests(keys: Iterable[APIKey]) -> QuerySet[UsageCount]:
    chosen = list(keys)
    families = {key.family for key in chosen}
    rows = UsageCount.objects.filter(_COUNTED, _IS_REQUEST, family__in=families)
    return rows.filter(key_id__in=[key.key_id for key in chosen]).order_by()
