"""Whether a look-up among millions costs what it costs among thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import processes, rounds
from .environment import Environment
from .figures import BASELINE


def measure(environment: Environment, length: rounds.Length, *, keys: int) -> dict[str, Any]:
    """Return rounds of look-ups among the environment's keys and among *keys*, whose table is filled first."""
    few = replace(environment, contender="apikeys-distinct")
    many = replace(few, keys=keys)
    processes.fill(many, ["apikeys"])
    compared: Mapping[str, tuple[str, Environment]] = {
        BASELINE: ("no authentication", replace(environment, contender=BASELINE)),
        "few": (f"apikeys, among {few.keys:,} keys", few),
        "many": (f"apikeys, among {keys:,} keys", many),
    }
    measured = rounds.measure({name: told for name, (_, told) in compared.items()}, length)
    return {
        "keys": keys,
        "contenders": {name: {"label": compared[name][0], **result} for name, result in measured.items()},
    }
