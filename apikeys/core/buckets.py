"""
The hours and days that usage is counted in, as the wall clock of a time zone cuts them.

All instants come back in UTC: two of one zone are compared by their wall clocks, which run twice through an hour in
autumn.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from .rates import period_end, period_start

_HOUR = timedelta(hours=1)


def hour_start(instant: datetime, *, zone: tzinfo) -> datetime:
    """Return when the hour of *instant* began on the clocks of *zone*, where that may be half past in UTC."""
    local = instant.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return instant.astimezone(UTC) - past


def hour_end(instant: datetime, *, zone: tzinfo) -> datetime:
    """Return when the hour of *instant* ends and the next begins."""
    return hour_start(instant, zone=zone) + _HOUR


def day_start(instant: datetime, *, zone: tzinfo) -> datetime:
    """Return when the day of *instant* began in *zone*."""
    return period_start("day", now=instant.astimezone(zone)).astimezone(UTC)


def first_day(*, days: int, now: datetime, zone: tzinfo) -> datetime:
    """Return when the first of the last *days* days began in *zone*, that of *now* among them."""
    # By the wall clock: 24 hours before midnight are the same day where clocks were put back.
    return day_start(now.astimezone(zone) - timedelta(days=days - 1), zone=zone)


def day_end(instant: datetime, *, zone: tzinfo) -> datetime:
    """Return when the day of *instant* ends in *zone*: after 23 or 25 hours where clocks change."""
    return period_end("day", now=instant.astimezone(zone)).astimezone(UTC)
