"""A way to something that may fail, closed for a while once it did, so that not every request waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class ClosedForNowError(Exception):
    """It failed lately and is not asked."""


class Breaker:
    """
    Asks as long as there are answers.

    After a failure nothing is asked for ``pause_seconds``; then one thread at a time finds out whether there are
    answers again, and the others go on without.
    """

    def __init__(self, *, pause_seconds: float) -> None:
        self.pause_seconds = pause_seconds
        self.is_down = False
        self.ask_again_at = 0.0
        self._state = threading.Lock()
        self._trial = threading.Lock()

    def ask(self, question: Callable[[], T]) -> T:
        """
        Return the answer to *question*.

        Raises:
            ClosedForNowError: If it failed lately.
            Exception: Whatever *question* raises, which is a failure of the way if ``is_failure`` says so.
        """
        is_trial = self.is_down
        if is_trial and not self._may_try():
            raise ClosedForNowError
        try:
            answer = question()
            if is_trial:
                self._set_up()
        except Exception as error:
            if self.is_failure(error):
                self._set_down(error)
            raise
        finally:
            if is_trial:
                self._trial.release()
        return answer

    def reset(self) -> None:
        """Ask as if it had never failed."""
        self.is_down = False

    def is_failure(self, error: Exception) -> bool:
        """For subclasses: whether *error* says something of the way, and not of the question alone."""
        return True

    def went_down(self, error: Exception) -> None:
        """For subclasses: *error* is the first failure after answers."""

    def came_back(self) -> None:
        """For subclasses: there are answers again."""

    def _may_try(self) -> bool:
        if not self._trial.acquire(blocking=False):
            return False
        if time.monotonic() >= self.ask_again_at:
            return True
        self._trial.release()
        return False

    def _set_down(self, error: Exception) -> None:
        with self._state:
            was_down, self.is_down = self.is_down, True
            self.ask_again_at = time.monotonic() + self.pause_seconds
        if not was_down:
            self.went_down(error)

    def _set_up(self) -> None:
        with self._state:
            self.is_down = False
        self.came_back()
