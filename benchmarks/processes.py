"""Starting what fills tables and what measures, and talking to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .environment import Environment

ROOT = Path(__file__).resolve().parent.parent


class WorkerFailedError(Exception):
    """A process ended before it answered; what it had to say stands on standard error."""


def fill(environment: Environment, names: Iterable[str]) -> None:
    """
    Fill the tables of the contenders called *names*, two at a time.

    Raises:
        WorkerFailedError: If that failed.
    """
    waiting = list(names)
    running: list[tuple[str, subprocess.Popen[bytes]]] = []
    while waiting or running:
        while waiting and len(running) < 2:  # noqa: PLR2004  # cores of a small machine
            name = waiting.pop(0)
            words = [sys.executable, "-m", "benchmarks.fill"]
            told = replace(environment, contender=name).for_process()
            running.append((name, subprocess.Popen(words, cwd=ROOT, env=told)))  # noqa: S603  # our own words
        name, process = running.pop(0)
        if process.wait():
            for _, other in running:
                other.terminate()
            raise WorkerFailedError(f"The tables of {name} could not be filled.")


class Process:
    """A worker, as it is seen by who orders."""

    def __init__(self, environment: Environment) -> None:
        self.name = environment.contender
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=ROOT,
            env=environment.for_process(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if kind is not None:
            self._process.terminate()
        self._process.wait()
        self._process.stdout.close()

    def answer(self) -> dict[str, Any]:
        """
        Return the next answer.

        Raises:
            WorkerFailedError: If the process ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailedError(f"{self.name} ended with {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, order: str, **arguments: Any) -> None:
        """Give one order, whose answer is to be fetched."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self._process.stdin.flush()

    def ask(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Give one order and return its answer."""
        self.tell(order, **arguments)
        return self.answer()
