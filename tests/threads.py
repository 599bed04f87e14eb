"""Calls at once, with real threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import connection, connections


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return what *calls* return, each on a connection of its own; see ``at_once_without_database``."""

    def connected(call: Callable[[], Any], start: Callable[[], object]) -> Any:
        try:
            connection.ensure_connection()
            start()
            return call()
        finally:
            connections.close_all()

    return _together(calls, connected)


def at_once_without_database(*calls: Callable[[], Any]) -> list[Any]:
    """Return what *calls* return, in their order, started together. One that raises fails the test."""

    def alone(call: Callable[[], Any], start: Callable[[], object]) -> Any:
        start()
        return call()

    return _together(calls, alone)


def _together(calls: Sequence[Callable[[], Any]], run: Callable[[Callable[[], Any], Callable[[], object]], Any]) -> Any:
    pending = object()
    results: list[Any] = [pending] * len(calls)
    barrier = threading.Barrier(len(calls))

    def keep(index: int, call: Callable[[], Any]) -> None:
        results[index] = run(call, partial(barrier.wait, timeout=10))

    threads = [threading.Thread(target=keep, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    assert all(result is not pending for result in results)
    return results
