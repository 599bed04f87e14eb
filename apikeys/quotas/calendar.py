"""The day or month of an instant, in the project's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from django.utils import timezone

from ..core.rates import Period, period_end, period_start


class Span(NamedTuple):
    """One day or month: from midnight to midnight on the project's clocks, however long that is. Both in UTC."""

    starts_at: datetime
    ends_at: datetime
    zone: tzinfo


#: The span that was last asked for, of each period: a request asks for that of now.
_last: dict[Period, Span] = {}


def span_of(period: Period, *, now: datetime) -> Span:
    """Return the *period* that *now* is in."""
    # Not the zone that is active for a person on this request: their quota would start over when they travel.
    zone = timezone.get_default_timezone()
    span = _last.get(period)
    if span is None or span.zone is not zone or not span.starts_at <= now < span.ends_at:
        there = timezone.localtime(now, zone)
        span = Span(
            starts_at=period_start(period, now=there).astimezone(UTC),
            ends_at=period_end(period, now=there).astimezone(UTC),
            zone=zone,
        )
        _last[period] = span
    return span
