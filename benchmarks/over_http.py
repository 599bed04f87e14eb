"""Throughput behind gunicorn, with its contenders' servers up together and one at a time under load."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

from . import contenders, fill
from .environment import Environment
from .processes import ROOT
from .rounds import Length, interleave
from .server import THREADS, WORKERS, free_port, serving

#: Those that the targets are about, and what they are compared with.
CONTENDERS = ("unauthenticated", "drf-api-key", "simplejwt", "apikeys", "apikeys-stale")
_CONNECTIONS = 16


def measure(environment: Environment, names: Sequence[str], length: Length, *, seconds: float) -> dict[str, Any]:
    """Return the requests a second of the contenders called *names*, in interleaved rounds of *seconds* each."""
    busy: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        loads = {
            name: (stack.enter_context(_server(replace(environment, contender=name))), _request(environment, name))
            for name in names
        }

        def take(name: str) -> float:
            load = _load(*loads[name], seconds=seconds)
            busy[name].append(load["busy_seconds"] / load["seconds"])
            return load["requests"] / load["seconds"]

        for name in names:
            _load(*loads[name], seconds=seconds)
        found = interleave(names, length, take)
    return {
        "server": f"gunicorn, {WORKERS} workers of {THREADS} threads",
        "connections": _CONNECTIONS,
        "seconds": seconds,
        "contenders": {
            name: {
                "label": contenders.find(name)[1].label,
                "rounds": rounds,
                # What the client takes of a core, which the server can't have.
                "client_load": median(busy[name]),
            }
            for name, rounds in found.items()
        },
    }


def _request(environment: Environment, name: str) -> str:
    package, case = contenders.find(name)
    credential = fill.read_credentials(environment, package)[case.sends][0]
    # gunicorn takes the word of a proxy on this machine for how the request came.
    lines = [
        "GET /todos/ HTTP/1.1",
        "Host: localhost",
        "Accept: application/json",
        "X-Forwarded-Proto: https",
        f"Authorization: {credential}",
    ]
    return "\r\n".join([*lines, "", ""])


def _load(port: int, request: str, *, seconds: float) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.load", str(port), str(_CONNECTIONS), str(seconds)]
    done = subprocess.run(words, cwd=ROOT, input=request, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    result: dict[str, float] = json.loads(done.stdout)
    return result


@contextmanager
def _server(environment: Environment) -> Iterator[int]:
    port = free_port()
    with serving(environment, port=port):
        yield port
