"""
How long one question waits for all of its answers.

The time limits of a client hold for each answer, of which a new connection takes half a dozen: a server that is slow
would hold up a request for as many of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

#: Also where no time is left: what has come by then is read, or a machine that is busy would pass for a slow server.
_LEAST_SECONDS = 0.001


class TooSlowError(Exception):
    """The storage answered, but not in time for all windows."""


class _Thread(threading.local):
    ends_at: float | None = None


_thread = _Thread()


@contextmanager
def of(seconds: float) -> Iterator[None]:
    """Have this thread wait no longer than *seconds* for answers, all together, of what ``bind`` was given."""
    before, _thread.ends_at = _thread.ends_at, time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.ends_at = before


def bind(storage: Any) -> None:
    """
    Have the connections of *storage*, of Redis or Valkey, wait only as long as ``of`` says.

    Not those of a cluster, which makes its clients by itself: there each answer has its own time.
    """
    sentinels = getattr(getattr(storage, "sentinel", None), "sentinels", [])
    for client in (storage.storage, *sentinels):
        pool = getattr(client, "connection_pool", None)
        if pool is not None:
            pool.connection_class = _bound(pool.connection_class)


@cache
def _bound(kind: Any) -> Any:
    class Bound(kind):  # type: ignore[misc]  # whatever the client connects by
        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            # Not a part of the client's interface: without it, each answer has its own time.
            socket = getattr(self, "_sock", None)
            if socket is not None and _thread.ends_at is not None:
                socket.settimeout(max(_thread.ends_at - time.monotonic(), _LEAST_SECONDS))
            return super().read_response(*args, **kwargs)

    return Bound
