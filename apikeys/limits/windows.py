"""
Rates, counted in windows that slide, by the ``limits`` library's storages and arithmetic.

A sliding window is two counters: what the window before counted fades out as the current one goes on. That takes
constant time and memory, whatever the limit.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

from limits.limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage, SlidingWindowCounterSupport, Storage
from limits.strategies import STRATEGIES, RateLimiter, SlidingWindowCounterRateLimiter

from ..core.rates import Rate
from ..core.standings import Standing
from .deadline import TooSlowError
from .script import SLIDING_WINDOWS

_SLIDING = "sliding-window-counter"
_NAMESPACE = "rate"
_MILLISECONDS = 1000
_MORE_THAN_ANY_AMOUNT = 10**12
#: What is told is not to come too early by the last digit of a clock, in seconds.
_A_MOMENT = 0.001
#: Redis tells how long a fixed window lasts in whole seconds, rounded.
_ROUNDED_OFF = 0.5


class Item(RateLimitItemPerSecond):
    """A window of the library's, named without the amount, so that a changed amount counts on in the same window."""

    def key_for(self, *identifiers: bytes | str | float) -> str:
        return f"{self.namespace}/{'/'.join(map(str, identifiers))}/{self.multiples}"


class Window(NamedTuple):
    """A rate of one caller."""

    rate: Rate
    #: Whose requests count in it.
    bucket: str
    #: What the policy is called in header fields.
    name: str

    @property
    def key(self) -> str:
        """The name of its counters."""
        return f"{_NAMESPACE}/{self.bucket}/{self.rate.seconds}"


class Reading(NamedTuple):
    """A window, as it was found."""

    is_enough: bool
    remaining: int
    reset_seconds: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What spending came to: all windows were spent, or a request is refused."""

    standings: tuple[Standing, ...]
    #: The names of the windows that had not enough left.
    violated: tuple[str, ...]


class Counter(Protocol):
    """Spends rates in a storage."""

    strategy: str

    def take(self, windows: Sequence[Window], *, cost: int, timeout_seconds: float) -> Outcome:
        """Spend *cost* of all *windows*, or refuse."""


def counter(storage: Storage, *, strategy: str) -> Counter:
    """Return what counts in *storage* by the *strategy* of the ``limits`` library."""
    if strategy == _SLIDING and type(storage) is RedisStorage:
        return InOneTrip(storage)
    return OneByOne(storage, strategy=strategy)


class InOneTrip:
    """
    Asks Redis once for all windows.

    The script does to each what the library's own does, over the same keys, but spends none unless all have enough.
    """

    strategy = _SLIDING

    def __init__(self, storage: RedisStorage) -> None:
        self._storage = storage
        self._script = storage.get_connection().register_script(SLIDING_WINDOWS)

    def take(self, windows: Sequence[Window], *, cost: int, timeout_seconds: float) -> Outcome:
        keys: list[str] = []
        # No amount has more than twelve digits, and no number may have so many that it can't be written.
        numbers: list[int] = [min(cost, _MORE_THAN_ANY_AMOUNT)]
        for window in windows:
            current = f"{self._storage.key_prefix}:{{{window.key}}}"
            keys += (f"{current}/-1", current)
            numbers += (window.rate.amount, window.rate.seconds * _MILLISECONDS)
        answer: Any = self._script(keys, numbers)
        is_spent, *found = map(int, answer.split())
        readings = [
            sliding(
                window.rate.amount,
                length=window.rate.seconds * _MILLISECONDS,
                cost=0 if is_spent else cost,
                previous=found[at],
                previous_left=found[at + 1],
                # The script tells what it found, so that an answer is read in one way.
                current=found[at + 2] + (cost if is_spent else 0),
                current_left=found[at + 3],
                unit=_MILLISECONDS,
            )
            for at, window in zip(range(0, len(found), 4), windows, strict=True)
        ]
        return _outcome(windows, readings, is_spent=bool(is_spent))


class OneByOne:
    """
    Asks any storage of the library, window by window: whether all have enough, then for each.

    In between another request may spend the last. Then this one is refused and has spent the windows before.
    """

    def __init__(self, storage: Storage, *, strategy: str) -> None:
        self.strategy = strategy
        self._limiter = STRATEGIES[strategy](storage)
        # The library's memory loses counts among threads, and two requests that meet at the limit refuse each other.
        self._is_memory = isinstance(storage, MemoryStorage)
        self._turn = threading.Lock() if self._is_memory else nullcontext()

    def take(self, windows: Sequence[Window], *, cost: int, timeout_seconds: float) -> Outcome:
        # Memory answers at once. Where that takes long, the machine is busy, which lets nobody in uncounted.
        with self._turn, _deadline(math.inf if self._is_memory else timeout_seconds) as require_time:
            readings = self._read(windows, cost, require_time)
            if not all(reading.is_enough for reading in readings):
                return _outcome(windows, readings, is_spent=False)
            lost = []
            for window in windows:
                require_time()
                if not self._limiter.hit(_item(window.rate), window.bucket, cost=cost):
                    lost.append(window)
                    break
            readings = self._read(windows, 0, require_time)
            # Memcached's storage lets several requests at once through that no longer fit together.
            lost += [window for window, reading in zip(windows, readings, strict=True) if not reading.is_enough]
            return _outcome(windows, readings, is_spent=not lost, lost=lost)

    def _read(self, windows: Sequence[Window], cost: int, require_time: Callable[[], None]) -> list[Reading]:
        readings = []
        for window in windows:
            require_time()
            readings.append(_read(self._limiter, window, cost=cost))
        return readings


def sliding(
    amount: int,
    *,
    length: int,
    cost: int,
    previous: int,
    previous_left: float,
    current: int,
    current_left: float,
    unit: int = 1,
) -> Reading:
    """
    Return how a sliding window of *length* stands that counted *previous* and *current*.

    *previous_left* is how long *previous* still counts, *current_left* how long the counter of *current* is kept: a
    *length* earlier it becomes what was before. *unit* is how many of these make a second.
    """
    # As the library adds it up, to the last bit.
    remaining = amount - math.floor(previous * previous_left / length + current)
    turns_in = max(0, current_left - length)
    if remaining >= cost:
        return Reading(is_enough=True, remaining=max(0, remaining), reset_seconds=turns_in / unit)
    room = amount - cost - current
    if cost > amount:
        wait: float = length
    elif room >= 0:
        # The smallest wait after which floor(previous * left / length) is within the room.
        wait = previous_left - (room + 1) * length / previous
    else:
        # Not before the window turns and the current count fades in its place.
        wait = turns_in + max(0.0, length - (amount - cost + 1) * length / current)
    return Reading(is_enough=False, remaining=max(0, remaining), reset_seconds=wait / unit + _A_MOMENT)


def _read(limiter: RateLimiter, window: Window, *, cost: int) -> Reading:
    item, rate = _item(window.rate), window.rate
    if isinstance(limiter, SlidingWindowCounterRateLimiter):
        counting = cast("SlidingWindowCounterSupport", limiter.storage)
        previous, previous_left, current, current_left = counting.get_sliding_window(
            item.key_for(window.bucket), rate.seconds
        )
        return sliding(
            rate.amount,
            length=rate.seconds,
            cost=cost,
            previous=previous,
            previous_left=previous_left,
            current=current,
            current_left=current_left,
        )
    stats = limiter.get_window_stats(item, window.bucket)
    reset = max(0.0, stats.reset_time - time.time())
    is_enough = stats.remaining >= cost
    if not is_enough:
        # Of a moving window it is known when the oldest request leaves it, not when as many as needed have.
        reset = (reset if stats.remaining + 1 >= cost else rate.seconds) + _ROUNDED_OFF
    return Reading(is_enough=is_enough, remaining=max(0, stats.remaining), reset_seconds=reset)


def _outcome(
    windows: Sequence[Window], readings: Sequence[Reading], *, is_spent: bool, lost: Sequence[Window] = ()
) -> Outcome:
    violated: tuple[str, ...] = ()
    if not is_spent:
        pairs = zip(windows, readings, strict=True)
        short = [window.name for window, reading in pairs if window in lost or not reading.is_enough]
        # Refused and none too short can't be. Should it be, the request is refused all the same.
        violated = tuple(short or [window.name for window in windows])
    return Outcome(
        violated=violated,
        standings=tuple(
            Standing(
                name=window.name,
                amount=window.rate.amount,
                remaining=reading.remaining,
                reset_seconds=reading.reset_seconds,
                window_seconds=window.rate.seconds,
            )
            for window, reading in zip(windows, readings, strict=True)
        ),
    )


@contextmanager
def _deadline(timeout_seconds: float) -> Iterator[Callable[[], None]]:
    ends_at = time.monotonic() + timeout_seconds

    def require_time() -> None:
        if time.monotonic() > ends_at:
            raise TooSlowError

    yield require_time


@lru_cache(maxsize=1024)
def _item(rate: Rate) -> Item:
    return Item(rate.amount, rate.seconds, namespace=_NAMESPACE)
