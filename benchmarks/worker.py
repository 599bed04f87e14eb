"""
One contender in a process of its own: ``python -m benchmarks.worker``, told which by its environment.

It takes orders, one JSON object a line, and answers each with another.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.db import connection

from . import contenders, fill
from .counting import counted
from .environment import Environment
from .in_process import Sender

#: Requests before every round, at least: idle processes lose their caches.
_WARM_UP = 20
_COUNTED = 50


class Worker:
    """Does what it is ordered to; each method is one order."""

    def __init__(self, environment: Environment) -> None:
        self._package, self._case = contenders.find(environment.contender)
        self._credentials = fill.read_credentials(environment, self._package)[self._case.sends]
        self._sender = Sender(get_wsgi_application(), expects=self._case.expects, posts_to=self._case.posts_to)
        self._next = 0
        # As in every project that has a database, so that Django looks after an open connection on each request.
        connection.ensure_connection()

    def begin(self) -> dict[str, bool]:
        """Send everything once where that is the case's warm-up."""
        if self._case.warm_up == "once":
            self._sender.send(self._credentials)
        return {"has_begun": True}

    def time(self, *, requests: int) -> dict[str, float]:
        """Return the microseconds of one of *requests*, each credential of which was sent just before."""
        credentials = self._take(requests)
        self._warm_up(credentials)
        return {"microseconds": self._sender.send(credentials) / requests * 1e6}

    def count(self) -> dict[str, float]:
        """Return the queries, writes, hashes and model instances of one request."""
        credentials = self._take(_COUNTED)
        self._warm_up(credentials)
        with counted() as counts:
            self._sender.send(credentials)
        return {name: number / _COUNTED for name, number in asdict(counts).items()}

    def cold(self, *, requests: int, count: bool) -> dict[str, float]:
        """Send *requests* credentials, each once, after one that is not among them."""
        first, *credentials = self._credentials[: requests + 1]
        # Imports and compiling are not what is asked for.
        self._sender.send([first])
        if not count:
            return {"microseconds": self._sender.send(credentials) / len(credentials) * 1e6}
        with counted() as counts:
            self._sender.send(credentials)
        return asdict(counts)

    def _take(self, number: int) -> list[str]:
        places = range(self._next, self._next + number)
        self._next += number
        return [self._credentials[place % len(self._credentials)] for place in places]

    def _warm_up(self, credentials: list[str]) -> None:
        distinct = list(dict.fromkeys(credentials))
        number = _WARM_UP if self._case.warm_up == "once" else max(len(distinct), _WARM_UP)
        self._sender.send(list(itertools.islice(itertools.cycle(distinct), number)))
        self._package.before_round(self._case, distinct)


def main() -> None:
    """Take orders until there are no more."""
    worker = Worker(Environment.of_process())
    _answer({"ready": True})
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        _answer(getattr(worker, order.pop("order"))(**order))


def _answer(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
