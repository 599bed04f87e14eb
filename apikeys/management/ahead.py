"""Secrets for a long run, hashed on all cores while the keys before them are written."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from django.views.decorators.debug import sensitive_variables

from .. import issuance
from ..conf import settings
from ..issuance import NewSecret

#: How many secrets each thread may be ahead. They wait in memory, small and in no row.
_WAITING_FOR_EACH = 2


class SecretsAhead:
    """
    Makes *most* secrets at most: in as many threads as ``CONCURRENT_HASHES``, or in the caller's alone if that is one.

    The threads hash and do nothing else. What was hashed and is not wanted any more is dropped.
    """

    def __init__(self, *, most: int) -> None:
        self._threads = min(settings.CONCURRENT_HASHES, most)
        self._to_start = most
        self._pool = ThreadPoolExecutor(max(1, self._threads), thread_name_prefix="apikeys-hash")
        self._started: deque[Future[NewSecret]] = deque()
        self._last: NewSecret | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What runs takes milliseconds, and what waits is never run.
        self._pool.shutdown(cancel_futures=True)

    @sensitive_variables()
    def take(self) -> NewSecret:
        """
        Return a secret for the next key: the last one again if no key took it.

        Raises:
            HashingFailedError: If there was not enough memory to hash it, or no turn came in time.
        """
        if self._last is None or self._last.is_taken:
            self._last = None
            self._last = self._next()
        return self._last

    def _next(self) -> NewSecret:
        if self._threads <= 1:
            return issuance.new_secret()
        while self._to_start and len(self._started) <= self._threads * _WAITING_FOR_EACH:
            self._started.append(self._pool.submit(issuance.new_secret))
            self._to_start -= 1
        # Where keys failed, more are wanted than there are keys.
        return self._started.popleft().result() if self._started else issuance.new_secret()
