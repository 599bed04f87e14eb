"""Interleaved rounds: one contender works while the others wait, in a new order each time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .environment import Environment
from .figures import MOST_SPREAD, spread
from .processes import Process


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long a run is."""

    rounds: int = 11
    requests: int = 400
    #: Rounds are added while a spread is too wide, up to so many in all and until so long after the first began.
    most_rounds: int = 22
    most_seconds: float = 90


def interleave(names: Iterable[str], length: Length, take: Callable[[str], float]) -> dict[str, list[float]]:
    """Return what *take* gives for each of *names*, round by round."""
    found: dict[str, list[float]] = {name: [] for name in names}
    order = list(found)
    began = time.monotonic()
    for done in range(length.most_rounds):
        is_enough = all(spread(rounds) <= MOST_SPREAD for rounds in found.values())
        if done >= length.rounds and (is_enough or time.monotonic() - began > length.most_seconds):
            break
        random.shuffle(order)
        for name in order:
            found[name].append(take(name))
    return found


def measure(environments: Mapping[str, Environment], length: Length) -> dict[str, Any]:
    """Return what a process in each of *environments* took and counted: microseconds a request, round by round."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(Process(environment)) for name, environment in environments.items()}
        for process in running.values():
            process.answer()
            process.tell("begin")
        for process in running.values():
            process.answer()
        counts = {name: process.ask("count") for name, process in running.items()}
        times = interleave(
            running, length, lambda name: float(running[name].ask("time", requests=length.requests)["microseconds"])
        )
    return {name: {"rounds": times[name], "counts": counts[name]} for name in running}
