"""How often somebody tried something in a minute, where guessing must not pay."""

from __future__ import annotations

import threading
import time
from hashlib import blake2b

from ..core.forks import after_fork
from ..core.memory import BoundedMemory
from . import storage

#: Until the next try counts as the first.
MINUTE_SECONDS = 60
_MOST_REMEMBERED = 10_000

#: When the minute of a name began, and how many tries there were in it.
_tries: BoundedMemory[str, tuple[float, int]] = BoundedMemory()
_lock = threading.Lock()


def so_far(name: str) -> int:
    """Return how many tries of *name* this minute has, and count none."""
    with _lock:
        _began_at, tries = _this_minute(name, now=time.time())
    if not storage.is_shared():
        return tries
    return max(tries, storage.asked(lambda counters: counters.get(_stored(name))) or 0)


def count(name: str) -> int:
    """Return how many tries of *name* this minute has, with this one: in this process, or in all if they share."""
    with _lock:
        began_at, tries = _this_minute(name, now=time.time())
        tries += 1
        _tries.put(name, (began_at, tries), most=_MOST_REMEMBERED)
    if not storage.is_shared():
        return tries
    return max(tries, storage.asked(lambda counters: counters.incr(_stored(name), MINUTE_SECONDS)) or 0)


def _this_minute(name: str, *, now: float) -> tuple[float, int]:
    """Return when the minute of *name* began, and how many tries this process saw in it."""
    began_at, tries = _tries.get(name) or (now, 0)
    return (began_at, tries) if 0 <= now - began_at < MINUTE_SECONDS else (now, 0)


def _stored(name: str) -> str:
    # A name may hold what a person is called by, and a storage takes no space in a key, or not as many letters.
    return f"attempts:{blake2b(name.encode(), digest_size=16).hexdigest()}"


def _start_anew() -> None:
    global _lock  # noqa: PLW0603  # of the process; after a fork another thread may have held it
    _lock = threading.Lock()


after_fork(_start_anew)
