"""A process that has proven nothing yet: what its first requests cost, and how often Argon2 runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .environment import Environment
from .processes import Process

_SLOW_KEYS = 100


def measure(environment: Environment, *, keys: int) -> dict[str, Any]:
    """
    Return the times and Argon2 runs of cold starts, with and without a shared cache.

    With one, another process has proven *keys* keys before; without, fewer do, because Argon2 is slow.
    """
    shared = replace(environment, contender="apikeys-distinct")
    alone = replace(environment, contender="apikeys-alone")
    return {
        "shared": _start(shared, keys=keys, is_known=True) if environment.redis_url else None,
        "alone": _start(alone, keys=min(keys, _SLOW_KEYS), is_known=False),
    }


def _start(environment: Environment, *, keys: int, is_known: bool) -> dict[str, Any]:
    if is_known:
        _in_new_process(environment, keys=keys, count=False, times=1)
    times = _in_new_process(environment, keys=keys, count=False, times=1)
    counts = _in_new_process(environment, keys=keys, count=True, times=2)
    return {
        "keys": keys,
        "microseconds": times[0]["microseconds"],
        "hashes": sum(count["hashes"] for count in counts),
        "queries": counts[0]["queries"] / keys,
        "writes": counts[0]["writes"] / keys,
    }


def _in_new_process(environment: Environment, *, keys: int, count: bool, times: int) -> list[dict[str, Any]]:
    with Process(environment) as process:
        process.answer()
        return [process.ask("cold", requests=keys, count=count) for _ in range(times)]
