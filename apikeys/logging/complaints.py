"""What an operator should know and may have to mend, in the log: each kind of it once a minute."""

from __future__ import annotations

import logging
import threading
import time

from ..core.forks import after_fork

logger = logging.getLogger("apikeys.auth")

SECONDS_BETWEEN = 60.0

_told_at: dict[str, float] = {}
_lock = threading.Lock()


def tell(
    message: str,
    *details: object,
    reason: str,
    level: int = logging.WARNING,
    cause: BaseException | None = None,
) -> None:
    """Log *message*, with the traceback of *cause*, unless that was done in the last minute. No secret in *details*."""
    now = time.monotonic()
    with _lock:
        told_at = _told_at.get(message)
        if told_at is not None and now - told_at < SECONDS_BETWEEN:
            return
        _told_at[message] = now
    logger.log(level, message, *details, exc_info=cause, extra={"reason": reason})


def forget() -> None:
    """Tell everything anew, as a new process would."""
    with _lock:
        _told_at.clear()


def _start_anew() -> None:
    global _lock  # noqa: PLW0603  # of the process; after a fork another thread may have held it
    _lock = threading.Lock()
    forget()


after_fork(_start_anew)
