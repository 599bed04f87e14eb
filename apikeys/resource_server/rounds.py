"""Questions that many ask at once: one is under way, and the others share the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NoRoundError(Exception):
    """The thread that asked for others as well did not come back with an answer."""


class _Round(Generic[T]):
    """One asking, for all who came before it began."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.answers: list[T] = []


class _Queue(Generic[T]):
    """Who asks about one thing: a round that runs, and one that waits for it."""

    def __init__(self) -> None:
        self.running: _Round[T] | None = None
        self.waiting: _Round[T] | None = None


class Rounds(Generic[T]):
    """
    One question in flight for each name, and nobody gets an answer that was asked for before they came.

    So an answer is never older than the request that it is for: a key that was revoked before a request came is
    refused, however many requests it shares the answer with. Whoever comes while a question is under way waits for the
    next one, which all of them share.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[bytes, _Queue[T]] = {}

    def answer(self, name: bytes, question: Callable[[], T], *, most_seconds: float) -> T:
        """
        Return the answer to *question*, asked by this thread or by another that asks the same of *name*.

        *most_seconds* is how long one asking takes at most; two are waited for.

        Raises:
            NoRoundError: If another thread asked, and failed in a way that is no answer.
        """
        with self._lock:
            queue = self._queues.setdefault(name, _Queue())
            before, found = queue.running, queue.waiting
            is_first = found is None
            if found is None:
                found = queue.waiting = _Round()
        if is_first:
            self._run(name, queue, found, question, after=before, most_seconds=most_seconds)
        else:
            found.is_over.wait(timeout=2 * most_seconds)
        if not found.answers:
            raise NoRoundError
        return found.answers[0]

    def _run(
        self,
        name: bytes,
        queue: _Queue[T],
        found: _Round[T],
        question: Callable[[], T],
        *,
        after: _Round[T] | None,
        most_seconds: float,
    ) -> None:
        # The waiting as well: what ends a worker must not leave a round that all join and nobody asks for.
        try:
            if after is not None:
                after.is_over.wait(timeout=most_seconds)
            with self._lock:
                # From here on nobody joins.
                queue.running, queue.waiting = found, None
            found.answers.append(question())
        finally:
            with self._lock:
                if queue.running is found:
                    queue.running = None
                if queue.waiting is found:
                    queue.waiting = None
                # By now another queue may stand there: of whoever did not wait longer for this round than it may take.
                if self._queues.get(name) is queue and queue.running is None and queue.waiting is None:
                    del self._queues[name]
            found.is_over.set()
