"""
The budget and the turns that processes share, counted in the storage of the rates.

What each process allows by itself holds beside it, and alone where processes share no storage or it does not answer:
that makes hashes dearer, and refuses nobody. Only who is about to run a slow hash asks.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Literal

from ..conf import settings
from ..core.errors import TooManyHashesError
from ..core.forks import after_fork
from ..limits import storage

if TYPE_CHECKING:
    from limits.storage import Storage

_MINUTE_SECONDS = 60
#: After the minute that it is of, also where clocks differ.
_BUDGET_KEPT_SECONDS = 2 * _MINUTE_SECONDS
#: A process that dies while it hashes keeps its turn so long. No hash takes a tenth of it.
TURN_SECONDS = 10
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.05

#: One thread of a process looks for a free turn, or a crowd that waits would keep the storage busy.
_looking = threading.Lock()


class Check:
    """One slow hash that is run for a request."""

    #: Whether the secret was right; None where nothing was found out.
    is_right: bool | None = None


@contextmanager
def turn_of_host(*, give_up_at: float) -> Iterator[None]:
    """
    Wait for one of the ``CONCURRENT_HASHES`` turns of this machine, or container.

    Raises:
        TooManyHashesError: If there is none at *give_up_at* on the monotonic clock.
    """
    if not storage.is_shared():
        yield
        return
    taken = _take_turn(give_up_at=give_up_at)
    taken_at = time.monotonic()
    try:
        yield
    finally:
        # Later it is somebody else's.
        if taken is not None and time.monotonic() - taken_at < TURN_SECONDS - 1:
            storage.asked(lambda shared: shared.clear(taken))


@contextmanager
def budget(key_id: str, *, give_up_at: float) -> Iterator[Check]:
    """
    Count one slow hash for *key_id*, and give it back unless the secret turns out wrong.

    So a key that many processes meet for the first time at once is no guess. While right and wrong are still being
    found out for as many as may be wrong, the next one waits.

    Raises:
        TooManyHashesError: If ``HASHES_PER_KEY_PER_MINUTE`` were wrong in this minute, or nothing is found out in time.
    """
    check = Check()
    counts = _Counts(key_id) if storage.is_shared() else None
    if counts is None or not _begin(counts, give_up_at=give_up_at):
        yield check
        return
    try:
        yield check
    finally:
        ended = counts.wrong if check.is_right is False else counts.returned
        storage.asked(lambda shared: shared.incr(ended, _BUDGET_KEPT_SECONDS))


class _Counts:
    """The names of what is counted of a key id in one minute. All of them only grow, which every storage can do."""

    def __init__(self, key_id: str) -> None:
        now = int(time.time())
        minute = f"{key_id}:{now // _MINUTE_SECONDS}"
        self.retry_after_seconds = _MINUTE_SECONDS - now % _MINUTE_SECONDS
        self.begun = f"hashes-begun:{minute}"
        #: Of those the ones that count no longer, and the ones that do.
        self.returned = f"hashes-returned:{minute}"
        self.wrong = f"hashes-wrong:{minute}"

    def begin(self, shared: Storage) -> Literal["begun", "wait", "spent"]:
        most = settings.HASHES_PER_KEY_PER_MINUTE
        if shared.get(self.wrong) >= most:
            return "spent"
        # Before the own one is counted: what others return in between may only make this one wait for nothing.
        returned = shared.get(self.returned)
        if shared.incr(self.begun, _BUDGET_KEPT_SECONDS) - returned <= most:
            return "begun"
        shared.incr(self.returned, _BUDGET_KEPT_SECONDS)
        return "wait"


def _begin(counts: _Counts, *, give_up_at: float) -> bool:
    """Return whether a hash was counted; False where the storage does not answer."""
    pauses = _pauses()
    while True:
        answer = storage.asked(counts.begin)
        if answer is None or answer == "begun":
            return answer is not None
        if answer == "spent":
            raise TooManyHashesError(retry_after_seconds=counts.retry_after_seconds)
        _wait(next(pauses), give_up_at=give_up_at)


def _take_turn(*, give_up_at: float) -> str | None:
    """Return the name of the turn that was taken; None where the storage does not answer."""
    if not _looking.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
        raise TooManyHashesError(retry_after_seconds=1)
    try:
        pauses = _pauses()
        while True:
            # In another order each time, so that two processes that start together do not go through them together.
            for number in random.sample(range(settings.CONCURRENT_HASHES), settings.CONCURRENT_HASHES):
                name = f"hash-turn:{_host()}:{number}"
                holders = storage.asked(partial(_holders, name=name))
                if holders is None or holders == 1:
                    return None if holders is None else name
            _wait(next(pauses), give_up_at=give_up_at)
    finally:
        _looking.release()


def _holders(shared: Storage, *, name: str) -> int:
    return shared.incr(name, TURN_SECONDS)


def _wait(seconds: float, *, give_up_at: float) -> None:
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise TooManyHashesError(retry_after_seconds=1)
    time.sleep(min(seconds, left))


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  # spreads processes over time, and protects nothing
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


@cache
def _host() -> str:
    return socket.gethostname()


def _start_anew() -> None:
    global _looking  # noqa: PLW0603  # a thread of the parent may hold it, which is not there to let go
    _looking = threading.Lock()


after_fork(_start_anew)
