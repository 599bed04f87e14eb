"""Throughput behind gunicorn, with its contenders' servers up together and one at a time under load."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

from . import contenders, fill
from .environment import Environment
from .processes import ROOT, WorkerFailedError
from .rounds import Length, interleave

#: Those that the targets are about, and what they are compared with.
CONTENDERS = ("unauthenticated", "drf-api-key", "simplejwt", "apikeys", "apikeys-stale")
_WORKERS = 2
_THREADS = 4
_CONNECTIONS = 16
_START_SECONDS = 60


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
        "server": f"gunicorn, {_WORKERS} workers of {_THREADS} threads",
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
    port = _free_port()
    words = [
        *(sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"),
        *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--keep-alive", "75"),
        *("--workers", str(_WORKERS), "--threads", str(_THREADS), "--log-level", "warning"),
    ]
    with subprocess.Popen(words, cwd=ROOT, env=environment.for_process()) as process:  # noqa: S603  # our own words
        try:
            _await(process, port)
            yield port
        finally:
            process.terminate()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise WorkerFailedError("gunicorn did not start.") from None
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
