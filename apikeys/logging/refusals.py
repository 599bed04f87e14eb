"""The lines about refusals, few enough that a flood of them fills no disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from functools import lru_cache

from ..core.forks import after_fork

logger = logging.getLogger("apikeys.auth")

#: So many lines at once, and from then on so many in a second, in a process.
LINES_AT_ONCE = 100
LINES_PER_SECOND = 10
#: What was left out is told in one line, this often.
SUMMARY_SECONDS = 10.0


class Tap:
    """A bucket of lines that refills steadily, and a count of what found it empty."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lines = float(LINES_AT_ONCE)
        self.filled_at = time.monotonic()
        self._left_out: Counter[str] = Counter()
        self.left_out_since = 0.0

    def lets_out(self, reason: str) -> bool:
        """Whether there may be a line about *reason*; if not, it is counted."""
        now = time.monotonic()
        with self._lock:
            self.lines = min(LINES_AT_ONCE, self.lines + (now - self.filled_at) * LINES_PER_SECOND)
            self.filled_at = now
            if self.lines >= 1:
                self.lines -= 1
                return True
            if not self._left_out:
                self.left_out_since = now
            self._left_out[reason] += 1
            return False

    def take_left_out(self, *, least_seconds: float) -> tuple[Counter[str], float]:
        """Return what was left out, by reason, and in how many seconds, once these are *least_seconds*."""
        seconds = time.monotonic() - self.left_out_since
        # Without the lock this is only a guess, good enough for each refusal.
        if not self._left_out or seconds < least_seconds:
            return Counter(), seconds
        with self._lock:
            left_out, self._left_out = self._left_out, Counter()
            return left_out, seconds


tap = Tap()


def tell(*, reason: str, key_id: str, family: str, address: str) -> None:
    """Log one refusal at INFO, or count it for the next summary. *key_id* and *family* only of a key issued here."""
    if not logger.isEnabledFor(logging.INFO):
        return
    tell_left_out()
    if tap.lets_out(reason):
        logger.info(
            "credential refused",
            extra={"reason": reason, "key_id": key_id, "family": family, "address": address},
        )


def tell_left_out() -> None:
    """Log how many refusals had no line of their own, if ten seconds have passed since the first of them."""
    _tell_left_out(least_seconds=SUMMARY_SECONDS)


def tell_rest() -> None:
    """Log how many refusals had no line of their own yet; the process ends."""
    _tell_left_out(least_seconds=0)


@lru_cache(maxsize=1)
def explain_https() -> None:
    """Log, once in a process, which setting to check where a key came over plain HTTP."""
    # Behind a proxy that ends TLS every request looks like this until it is named.
    logger.warning(
        "A key was refused over plain HTTP. Behind a proxy that ends TLS, name it in APIKEYS['TRUSTED_PROXIES'] and "
        "let it send X-Forwarded-Proto, or the header in SECURE_PROXY_SSL_HEADER."
    )


def _tell_left_out(*, least_seconds: float) -> None:
    left_out, seconds = tap.take_left_out(least_seconds=least_seconds)
    if left_out:
        logger.info(
            "%s more refusals in %.0f s",
            f"{left_out.total():,}",
            seconds,
            extra={"reason": "left_out", "left_out": dict(left_out.most_common()), "seconds": round(seconds, 1)},
        )


def _start_anew() -> None:
    global tap  # noqa: PLW0603  # that of the parent, whose lock another thread may hold, and who tells what is in it
    tap = Tap()


after_fork(_start_anew)
