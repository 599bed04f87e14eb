"""
What slow hashes may cost.

A remembered proof never comes here. Any other request with a right tag passes a budget per key id; and whoever hashes,
for a request, after a response or for a new key, waits for a turn, so that hashes do not slow each other down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .conf import settings
from .core.errors import TooManyHashesError
from .core.memory import BoundedMemory

_MINUTE_SECONDS = 60
#: How long anybody waits for a turn: two hundred hashes of the default cost.
WAIT_SECONDS = 5.0
_KEY_IDS = 10_000

_spent: BoundedMemory[str, tuple[int, int]] = BoundedMemory()
#: Not a semaphore: the number of turns is a setting, which is read when it is used.
_turns = threading.Condition()
_running = 0
#: Requests with one new key arrive together; all but the first find its proof remembered.
_key_locks = tuple(threading.Lock() for _ in range(64))


@contextmanager
def one_at_a_time(key_id: str) -> Iterator[None]:
    """
    Let one thread at a time check the secret of *key_id*; the next ones find it remembered.

    Raises:
        TooManyHashesError: If the others took too long.
    """
    lock = _key_locks[hash(key_id) % len(_key_locks)]
    if not lock.acquire(timeout=WAIT_SECONDS):
        raise TooManyHashesError(retry_after_seconds=1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def hashing(key_id: str) -> Iterator[None]:
    """
    Take a turn to hash, and count it against the budget of *key_id*.

    Raises:
        TooManyHashesError: If the budget of this minute is spent, or no turn came in time.
    """
    _require_budget(key_id)
    with turn():
        # Only now: a request that got no turn has hashed nothing.
        _spend(key_id)
        yield


@contextmanager
def turn() -> Iterator[None]:
    """
    Wait for a turn to run one slow hash; ``CONCURRENT_HASHES`` of them run at a time. Turns do not nest.

    Raises:
        TooManyHashesError: If none came in time.
    """
    global _running  # noqa: PLW0603  # one number of the process, under its lock
    with _turns:
        if not _turns.wait_for(lambda: _running < settings.CONCURRENT_HASHES, timeout=WAIT_SECONDS):
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
