"""
What slow hashes may cost.

A remembered proof never comes here. Any other request with a right tag passes a budget per key id; and whoever hashes,
for a request, after a response or for a new key, waits for a turn, so that hashes do not slow each other down. Both
hold in each process, and where processes share a storage of the rates, for all of them together.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..conf import settings
from ..core.errors import TooManyHashesError
from ..core.forks import after_fork
from ..core.memory import BoundedMemory
from . import shared
from .shared import Check

_MINUTE_SECONDS = 60
#: How long anybody waits for a check and its turn, all together: two hundred hashes of the default cost.
WAIT_SECONDS = 5.0
_KEY_IDS = 10_000

_spent: BoundedMemory[str, tuple[int, int]] = BoundedMemory()
#: Not a semaphore: the number of turns is a setting, which is read when it is used.
_turns = threading.Condition()
_running = 0
#: Requests with one new key arrive together; all but the first find its proof remembered.
_key_locks = tuple(threading.Lock() for _ in range(64))
#: When the waits that are under way end, on the monotonic clock.
_give_up_at: ContextVar[float] = ContextVar("apikeys_guard_give_up_at", default=math.inf)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """
    Have all that waits inside of the block give up once *seconds* are over, together: for locks, budgets and turns.

    It holds for the thread, or task, that enters it. Inside of another one, the earlier end counts; and nobody waits
    longer than ``WAIT_SECONDS``.
    """
    before = _give_up_at.set(min(_give_up_at.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _give_up_at.reset(before)


@contextmanager
def one_at_a_time(key_id: str) -> Iterator[None]:
    """
    Let one thread at a time check the secret of *key_id*; the next ones find it remembered.

    Who waited for the others has so much less time to wait for a turn.

    Raises:
        TooManyHashesError: If the others took too long.
    """
    lock = _key_locks[hash(key_id) % len(_key_locks)]
    with patience(WAIT_SECONDS):
        if not lock.acquire(timeout=max(0.0, _give_up_at.get() - time.monotonic())):
            raise TooManyHashesError(retry_after_seconds=1)
        try:
            yield
        finally:
            lock.release()


@contextmanager
def hashing(key_id: str) -> Iterator[Check]:
    """
    Take a turn to hash, and count it against the budget of *key_id*. Tell the check what came of it.

    Raises:
        TooManyHashesError: If the budget of this minute is spent, or no turn came in time.
    """
    _require_budget(key_id)
    with patience(WAIT_SECONDS):
        give_up_at = _give_up_at.get()
        # The budget first: who waits for what others find out of this key, holds no turn that another key needs.
        with shared.budget(key_id, give_up_at=give_up_at) as check, _turn(give_up_at=give_up_at):
            # Only now: a request that got no turn has hashed nothing.
            _spend(key_id)
            yield check


@contextmanager
def turn() -> Iterator[None]:
    """
    Wait for a turn to run one slow hash; ``CONCURRENT_HASHES`` of them run at a time. Turns do not nest.

    Raises:
        TooManyHashesError: If none came in time.
    """
    with patience(WAIT_SECONDS), _turn(give_up_at=_give_up_at.get()):
        yield


@contextmanager
def _turn(*, give_up_at: float) -> Iterator[None]:
    with _turn_of_process(give_up_at=give_up_at), shared.turn_of_host(give_up_at=give_up_at):
        yield


@contextmanager
def _turn_of_process(*, give_up_at: float) -> Iterator[None]:
    global _running  # noqa: PLW0603  # one number of the process, under its lock
    with _turns:
        wait = max(0.0, give_up_at - time.monotonic())
        if not _turns.wait_for(lambda: _running < settings.CONCURRENT_HASHES, timeout=wait):
            raise TooManyHashesError(retry_after_seconds=1)
        _running += 1
    try:
        yield
    finally:
        with _turns:
            _running -= 1
            _turns.notify()


def _require_budget(key_id: str) -> tuple[int, int]:
    """Return this minute and what *key_id* has spent in it."""
    now = int(time.monotonic())
    minute = now // _MINUTE_SECONDS
    spent_in, count = _spent.get(key_id) or (minute, 0)
    if spent_in != minute:
        count = 0
    if count >= settings.HASHES_PER_KEY_PER_MINUTE:
        raise TooManyHashesError(retry_after_seconds=_MINUTE_SECONDS - now % _MINUTE_SECONDS)
    return minute, count


def _spend(key_id: str) -> None:
    minute, count = _require_budget(key_id)
    _spent.put(key_id, (minute, count + 1), most=_KEY_IDS)


def _start_anew() -> None:
    global _turns, _running, _key_locks  # see above
    # Threads that hash in the parent are not there to end their turns, or to let go of their locks.
    _turns, _running, _key_locks = threading.Condition(), 0, tuple(threading.Lock() for _ in _key_locks)


after_fork(_start_anew)
