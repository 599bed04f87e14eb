"""The line that says how far a run is."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.core.management.base import OutputWrapper


class Progress:
    """
    One line on *err* about work of more than two seconds.

    On a terminal it is rewritten in place; elsewhere a new one comes every 30 seconds.
    """

    _silent_seconds = 2.0
    _seconds_between = {True: 0.2, False: 30.0}

    def __init__(
        self,
        err: OutputWrapper,
        *,
        sentence: str,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._err = err
        self._sentence = sentence
        self._total = total
        self._clock = clock
        self._began = clock()
        self._is_terminal = err.isatty()
        self._next = self._began + (self._silent_seconds if self._is_terminal else self._seconds_between[False])
        self._is_shown = False

    def report(self, done: int) -> None:
        """Say that *done* of all are done, if it is time to."""
        now = self._clock()
        if now < self._next or not done:
            return
        self._next = now + self._seconds_between[self._is_terminal]
        total = self._total or done
        left = max(0, round((now - self._began) / done * (total - done)))
        numbers = {"done": f"{done:,}", "total": f"{total:,}", "left": f"{left:,}"}
        line = self._sentence % numbers
        self._write(f"\r\x1b[K{line}" if self._is_terminal else f"{line}\n")
        self._is_shown = self._is_terminal

    def clear(self) -> None:
        """Take the line off the terminal."""
        if self._is_shown:
            self._write("\r\x1b[K")
            self._is_shown = False

    def _write(self, text: str) -> None:
        self._err.write(text, lambda unchanged: unchanged, ending="")
        self._err.flush()
