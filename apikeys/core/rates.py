"""
Rates and quotas as they are written: ``"600/min"``, ``"20/s"``, ``"100000/month"``.

A rate counts over a window that slides. A quota counts over a day or a month of the calendar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

from .errors import RateSyntaxError

Period = Literal["day", "month"]

#: How a window is called, with its length in seconds. The first name of a length is the one that is stored.
_WINDOWS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "min": 60,
    "m": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "day": 86400,
    "d": 86400,
}
_NAMES = {1: "s", 60: "min", 3600: "h", 86400: "day"}
_WORDS = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}
_PERIODS: dict[str, Period] = {"day": "day", "d": "day", "month": "month"}
_SYNTAX = re.compile(r"([0-9]{1,12})/([0-9]{0,5})([a-z]+)", re.ASCII)
#: A month, which is also as long as a storage is asked to remember.
_LONGEST_SECONDS = 31 * 86400


@dataclass(frozen=True, order=True)
class Rate:
    """At most ``amount`` in any window of ``seconds``."""

    seconds: int
    amount: int

    def __str__(self) -> str:
        unit = max(length for length in _NAMES if self.seconds % length == 0)
        count = self.seconds // unit
        return f"{self.amount}/{'' if count == 1 else count}{_NAMES[unit]}"

    @property
    def name(self) -> str:
        """What the policy is called in header fields: ``minute``, ``10-second``."""
        unit = max(length for length in _NAMES if self.seconds % length == 0)
        count = self.seconds // unit
        return _WORDS[unit] if count == 1 else f"{count}-{_WORDS[unit]}"


@dataclass(frozen=True, order=True)
class Quota:
    """At most ``amount`` in a ``period`` of the calendar."""

    period: Period
    amount: int

    def __str__(self) -> str:
        return f"{self.amount}/{self.period}"

    @property
    def name(self) -> str:
        """What the policy is called in header fields: ``quota-month``."""
        return f"quota-{self.period}"


@lru_cache(maxsize=4096)
def parse_rate(text: str) -> Rate:
    """
    Return the rate in *text*: a number, a slash, and ``s``, ``min``, ``h`` or ``day``: ``"600/min"``, ``"5/10s"``.

    Raises:
        RateSyntaxError: If it is written otherwise, allows nothing, or counts over more than 31 days.
    """
    amount, count, unit = _split(text)
    if unit not in _WINDOWS or amount == 0 or count == 0 or count * _WINDOWS[unit] > _LONGEST_SECONDS:
        raise _not_a_rate(text)
    return Rate(seconds=count * _WINDOWS[unit], amount=amount)


@lru_cache(maxsize=4096)
def parse_quota(text: str) -> Quota:
    """
    Return the quota in *text*: a number, a slash, and ``day`` or ``month``.

    Raises:
        RateSyntaxError: If it is written otherwise.
    """
    amount, count, unit = _split(text)
    if unit not in _PERIODS or amount == 0 or count != 1:
        message = f"{text!r} is not a quota. Write it as 100000/month or 5000/day."
        raise RateSyntaxError(message, text=text)
    return Quota(period=_PERIODS[unit], amount=amount)


@lru_cache(maxsize=4096)
def strictest_rates(*sources: tuple[str, ...]) -> tuple[Rate, ...]:
    """
    Return what counts of the rates in *sources*, shortest window first: of each window the smallest amount.

    Raises:
        RateSyntaxError: If one can't be read.
    """
    amounts: dict[int, int] = {}
    for rate in (parse_rate(text) for source in sources for text in source):
        amounts[rate.seconds] = min(rate.amount, amounts.get(rate.seconds, rate.amount))
    return tuple(Rate(seconds=seconds, amount=amount) for seconds, amount in sorted(amounts.items()))


@lru_cache(maxsize=4096)
def strictest_quotas(*sources: tuple[str, ...]) -> tuple[Quota, ...]:
    """
    Return what counts of the quotas in *sources*, day before month: of each period the smallest amount.

    Raises:
        RateSyntaxError: If one can't be read.
    """
    amounts: dict[Period, int] = {}
    for quota in (parse_quota(text) for source in sources for text in source):
        amounts[quota.period] = min(quota.amount, amounts.get(quota.period, quota.amount))
    return tuple(Quota(period=period, amount=amount) for period, amount in sorted(amounts.items()))


def normalise_rates(lines: Sequence[str]) -> list[str]:
    """
    Return *lines* as rates are stored, without empty lines, of each window the smallest amount.

    Raises:
        RateSyntaxError: If a line is no rate.
    """
    return [str(rate) for rate in strictest_rates(_cleaned(lines))]


def normalise_quotas(lines: Sequence[str]) -> list[str]:
    """
    Return *lines* as quotas are stored, without empty lines, of each period the smallest amount.

    Raises:
        RateSyntaxError: If a line is no quota.
    """
    return [str(quota) for quota in strictest_quotas(_cleaned(lines))]


def period_start(period: Period, *, now: datetime) -> datetime:
    """Return when the *period* of *now* began, in the time zone that *now* is in."""
    start = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return start if period == "day" else start.replace(day=1)


def period_end(period: Period, *, now: datetime) -> datetime:
    """Return when the next *period* begins, in the time zone that *now* is in: wall-clock midnight, however long."""
    # 32 days from the first of a month, and 1 day from midnight, are in the next one; wall-clock arithmetic.
    start = period_start(period, now=now)
    return period_start(period, now=start + timedelta(days=1 if period == "day" else 32))


def _cleaned(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(filter(None, ("".join(line.split()).lower() for line in lines)))


def _split(text: str) -> tuple[int, int, str]:
    match = _SYNTAX.fullmatch(text)
    if match is None:
        raise _not_a_rate(text)
    amount, count, unit = match.groups()
    return int(amount), int(count or 1), unit


def _not_a_rate(text: str) -> RateSyntaxError:
    return RateSyntaxError(f"{text!r} is not a rate. Write it as 600/min or 20/s.", text=text)
