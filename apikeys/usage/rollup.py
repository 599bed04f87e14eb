"""
Sums of what was counted: raw rows into hours, hours into days, days that are old away.

One hour or day is summed and its rows are deleted in one transaction, in which no other row can appear or go: whoever
adds up all rows has the same total before, during and after. Rows that come late are summed by the next run, into
further rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from .. import quotas
from ..conf import settings
from ..core import buckets
from ..models import Grain, Level
from . import summing
from .forgetting import forget
from .summing import Span

#: How long after its end an hour is left to the processes that still hold some of it.
SETTLING = timedelta(minutes=5)
#: Longer than any month.
_LONGEST_PERIOD = timedelta(days=32)
#: What processes write; the other levels are sums of it.
_COUNTED = (Level.REQUEST, Level.REFUSAL)


@dataclass(frozen=True, kw_only=True)
class RolledUp:
    """What a roll-up did."""

    #: Hours and days that were summed.
    hours: int = 0
    days: int = 0
    #: Rows that were summed, and the rows that stand for them.
    rows_read: int = 0
    rows_written: int = 0
    #: Rows that were too old to be kept.
    rows_deleted: int = 0


def rollup(*, now: datetime | None = None) -> RolledUp:
    """
    Sum up every hour and day that is over, and delete what is too old. Safe to run twice, also at the same time.

    Raises:
        RuntimeError: Inside a transaction, whose isolation is the caller's.
    """
    result = RolledUp()
    for result in steps(now=now):  # noqa: B007  # the last one has all
        pass
    return result


def steps(*, now: datetime | None = None) -> Iterator[RolledUp]:
    """Do as ``rollup``, and yield what was done so far after each hour and day, which stays done."""
    now = now or timezone.now()
    hours = days = read = written = 0
    for span in _spans(Grain.RAW, levels=_COUNTED, before=hours_end(now), unit=_hour):
        rows = summing.sum_hour(span)
        hours, read, written = hours + 1, read + rows.read, written + rows.written
        yield RolledUp(hours=hours, days=days, rows_read=read, rows_written=written)
    for span in _spans(Grain.HOUR, levels=tuple(Level), before=days_end(now), unit=_day):
        rows = summing.sum_day(span)
        days, read, written = days + 1, read + rows.read, written + rows.written
        yield RolledUp(hours=hours, days=days, rows_read=read, rows_written=written)
    # A quota of this month is never too old, however short usage is kept: without its row it would begin anew.
    ledgers = quotas.delete_before(min(oldest_day(now), now - _LONGEST_PERIOD))
    deleted = summing.delete_days(before=oldest_day(now)) + forget(before=oldest_day(now), now=now) + ledgers
    yield RolledUp(hours=hours, days=days, rows_read=read, rows_written=written, rows_deleted=deleted)


def hours_end(now: datetime) -> datetime:
    """Return the end of the last hour that is summed at *now*."""
    return _hour(now - SETTLING).start


def days_end(now: datetime) -> datetime:
    """Return the end of the last day of which only the day is kept at *now*."""
    return _day(now - settings.USAGE_HOURS_KEPT).start


def oldest_day(now: datetime) -> datetime:
    """Return the first day that is kept at *now*."""
    return _day(now - settings.USAGE_DAYS_KEPT).start


def due(*, now: datetime) -> tuple[int, int]:
    """Return how many hours and days there are to sum."""
    hours = sum(1 for _ in _spans(Grain.RAW, levels=_COUNTED, before=hours_end(now), unit=_hour))
    days = sum(1 for _ in _spans(Grain.HOUR, levels=tuple(Level), before=days_end(now), unit=_day))
    return hours, days


def _spans(
    grain: Grain, *, levels: Sequence[Level], before: datetime, unit: Callable[[datetime], Span]
) -> Iterator[Span]:
    # Ever later: rows that come in behind are the next run's, so that this one ends.
    after = None
    while (first := summing.first_bucket(grain, levels=levels, since=after, before=before)) is not None:
        span = unit(first)
        # Where clocks went back by half an hour, an hour of the wall clock may begin within the one before.
        yield span if after is None else Span(start=max(span.start, after), end=span.end)
        after = span.end


def _hour(instant: datetime) -> Span:
    zone = timezone.get_default_timezone()
    return Span(start=buckets.hour_start(instant, zone=zone), end=buckets.hour_end(instant, zone=zone))


def _day(instant: datetime) -> Span:
    zone = timezone.get_default_timezone()
    return Span(start=buckets.day_start(instant, zone=zone), end=buckets.day_end(instant, zone=zone))
