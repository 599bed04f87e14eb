"""
What a slow hash may cost.

A remembered proof never comes here. Any other request with a right tag passes a budget per key id and a cap on
hashes at a time, both per process.
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
#: How long a request waits for its turn to hash: some forty hashes of the default cost.
_WAIT_SECONDS = 1.0
_KEY_IDS = 10_000

_spent: BoundedMemory[str, tuple[int, int]] = BoundedMemory()
_turns = threading.Condition()
_running = 0
#: Requests with one new key arrive together; all but the first find its proof remembered.
_key_locks = tuple(threading.Lock() for _ in range(64))


@contextmanager
def one_at_a_time(key_id: str) -> Iterator[None]:
    """Let one thread at a time check the secret of *key_id*; the next ones find it remembered."""
    with _key_locks[hash(key_id) % len(_key_locks)]:
        yield


@contextmanager
def hashing(key_id: str) -> Iterator[None]:
    """
    Count one slow hash against the budget of *key_id* and wait for a turn.

    Raises:
        TooManyHashesError: If the budget of this minute is spent, or no turn came in time.
    """
    global _running  # noqa: PLW0603  # one number of the process, under its lock
    _spend(key_id)
    with _turns:
        if not _turns.wait_for(lambda: _running < settings.CONCURRENT_HASHES, timeout=_WAIT_SECONDS):
            raise TooManyHashesError(retry_after_seconds=1)
        _running += 1
    try:
        yield
    finally:
        with _turns:
            _running -= 1
            _turns.notify()


def _spend(key_id: str) -> None:
    now = int(time.monotonic())
    minute = now // _MINUTE_SECONDS
    spent_in, count = _spent.get(key_id) or (minute, 0)
    if spent_in != minute:
        count = 0
    if count >= settings.HASHES_PER_KEY_PER_MINUTE:
        raise TooManyHashesError(retry_after_seconds=_MINUTE_SECONDS - now % _MINUTE_SECONDS)
    _spent.put(key_id, (minute, count + 1), most=_KEY_IDS)
