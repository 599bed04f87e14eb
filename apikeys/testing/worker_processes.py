"""The proof that a change reaches every process: workers that go on asking with one key while it happens."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection, wait
from typing import Any, Self, TypeVar

from django.conf import settings as django_settings
from django.db import connections

from ..keys import IssuedKey
from .rounds import Answer, Failed, Finish, GoOn, Ready, Round, Setup

#: What each worker asks once more after the bound, so that an answer from a stale memory would show.
_REQUESTS_AFTER = 10
#: A fault or a limit keeps a key out too, and proves nothing.
_REFUSALS = ("401", "403")
#: What the workers take over as it is in the test; the rest they read where the project has it.
_SHARED = ("APIKEYS", "CACHES")
_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 5.0

Message = TypeVar("Message")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the workers saw of a change."""

    workers: int
    requests: int
    #: When the last request started that was admitted, after the change; negative is before it.
    last_admitted: timedelta
    #: How many requests that started after the bound got which answer: ``{"401 key_revoked": 160}``.
    answers: Mapping[str, int]
    #: The longest that a request took, with what the app writes after the response.
    slowest: timedelta

    def __str__(self) -> str:
        return (
            f"{self.workers} processes, {self.requests} requests: the last admitted one started "
            f"{self.last_admitted / timedelta(milliseconds=1):+.1f} ms from the change, "
            f"the slowest took {self.slowest / timedelta(milliseconds=1):.1f} ms"
        )


class Hammering:
    """A round: every worker was admitted once and goes on asking. Made by ``hammering``."""

    def __init__(self, processes: WorkerProcesses) -> None:
        self._processes = processes
        self._answers: list[list[Answer]] | None = None

    def assert_refused(self, *, within: timedelta = timedelta(0), since: datetime | None = None) -> Figures:
        """
        Assert that no worker was admitted later than *within* after the change, end the round and print its figures.

        Call it right after the change: without *since* that is the instant of this call. *since* is for what comes
        due by itself, such as the end of an overlap, which may lie ahead.

        Raises:
            AssertionError: If a request that started later was admitted, or met anything but 401 and 403.
        """
        figures = self.finish(within=within, since=since)
        sys.stdout.write(f"{figures}\n")
        assert figures.last_admitted <= within, f"admitted {figures.last_admitted - within} too late; {figures}"
        others = {answer: count for answer, count in figures.answers.items() if not answer.startswith(_REFUSALS)}
        assert not others, f"neither admitted nor refused: {others}"
        return figures

    def finish(self, *, within: timedelta = timedelta(0), since: datetime | None = None) -> Figures:
        """End the round, once every worker asked some times more after *within*, and return what they saw."""
        changed_at = time.monotonic() if since is None else _on_monotonic_clock(since)
        if self._answers is not None:
            message = "This round is over."
            raise RuntimeError(message)
        bound_at = changed_at + within.total_seconds()
        self._answers = self._processes.finish(Finish(after=bound_at, requests=_REQUESTS_AFTER), until=bound_at)
        answers = [answer for each in self._answers for answer in each]
        last = max(answer.started_at for answer in answers if answer.is_admitted)
        return Figures(
            workers=len(self._answers),
            requests=len(answers),
            last_admitted=timedelta(seconds=last - changed_at),
            answers=Counter(str(answer) for answer in answers if answer.started_at > bound_at),
            slowest=timedelta(seconds=max(answer.finished_at - answer.started_at for answer in answers)),
        )

    def end(self) -> None:
        """End the round wherever it is."""
        if self._answers is None:
            self._answers = self._processes.finish(Finish(after=float("-inf"), requests=0), until=time.monotonic())


class WorkerProcesses:
    """
    Processes that serve this project to ``hammering``, for several rounds: starting them costs seconds.

    Each is a fresh interpreter with the settings in ``DJANGO_SETTINGS_MODULE`` and the database of the running test.
    *timeout_seconds* is how long a worker may be silent where an answer is due.
    """

    def __init__(self, number: int = 8, *, timeout_seconds: float = 60) -> None:
        self._number = number
        self._timeout_seconds = timeout_seconds
        self._running: list[tuple[subprocess.Popen[bytes], Connection[Any, Any]]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._stop)
            for _ in range(self._number):
                self._running.append(_started())
            self._tell(Setup(databases=_databases()))
            asked_at = time.monotonic()
            for ready in self._hear(Ready, later=_SECONDS_TO_START):
                # Linux, macOS and Windows count from the start of the machine; elsewhere a process may count from
                # its own, and instants could not be compared.
                assert asked_at <= ready.clock <= time.monotonic(), (
                    "time.monotonic() is not one clock for all processes"
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextmanager
    def hammering(
        self,
        url: str,
        key: IssuedKey | str,
        *,
        headers: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Iterator[Hammering]:
        """
        Let every worker ask with *key*, until the block ends. It is entered once each of them was admitted.

        *url* is a path, which a worker serves itself, or ``http(s)://…`` of a server that runs. *settings* hold in
        the workers alone, beside the ``APIKEYS`` and ``CACHES`` of the test.

        Raises:
            AssertionError: If a worker was not admitted, so that a refusal would prove nothing.
            RuntimeError: If the workers can't see the rows of this test.
        """
        if not self._running:
            message = "No worker is running."
            raise RuntimeError(message)
        if not url.startswith(("http:", "https:")):
            _require_visible_rows()
        plaintext = key.plaintext if isinstance(key, IssuedKey) else key
        shared = {name: getattr(django_settings, name) for name in _SHARED if hasattr(django_settings, name)}
        self._tell(
            Round(
                url=url,
                headers={"Authorization": f"Bearer {plaintext}", **(headers or {})},
                settings={**shared, **(settings or {})},
            )
        )
        first = self._hear(Answer)
        hammering = Hammering(self)
        try:
            refused = sorted({str(answer) for answer in first if not answer.is_admitted})
            assert not refused, f"not admitted before the change: {', '.join(refused)}"
            self._tell(GoOn())
            yield hammering
        finally:
            hammering.end()

    def finish(self, message: Finish, *, until: float) -> list[list[Answer]]:
        """End the round, which may last *until* that instant, and return the answers of each worker."""
        self._tell(message)
        return self._hear(list, later=max(0.0, until - time.monotonic()))

    def _tell(self, message: object) -> None:
        for process, channel in self._running:
            try:
                channel.send(message)
            except (BrokenPipeError, ConnectionResetError):
                self._stop(seconds=0)
                raise _death(process) from None

    def _hear(self, kind: type[Message], *, later: float = 0.0) -> list[Message]:
        """Return one message of each worker, which must be a *kind*."""
        give_up_at = time.monotonic() + later + self._timeout_seconds
        processes: dict[Any, subprocess.Popen[bytes]] = {channel: process for process, channel in self._running}
        heard: dict[Any, Any] = {}
        while len(heard) < len(processes):
            ready = wait([each for each in processes if each not in heard], timeout=give_up_at - time.monotonic())
            if not ready:
                self._stop(seconds=0)
                message = f"{len(processes) - len(heard)} of {len(processes)} workers were silent for too long"
                raise TimeoutError(message)
            for channel in ready:
                try:
                    heard[channel] = _received(channel, processes[channel], kind)
                except RuntimeError:
                    # One that failed leaves the others in the middle of a round.
                    self._stop(seconds=0)
                    raise
        return [heard[channel] for _, channel in self._running]

    def _stop(self, *, seconds: float = _SECONDS_TO_STOP) -> None:
        """End all processes: by hanging up, and where that is not heard within *seconds*, by force."""
        for _, channel in self._running:
            channel.close()
        give_up_at = time.monotonic() + seconds
        for process, _ in self._running:
            try:
                process.wait(timeout=max(0.0, give_up_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


@contextmanager
def hammering(
    url: str,
    key: IssuedKey | str,
    *,
    workers: int = 8,
    headers: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    timeout_seconds: float = 60,
) -> Iterator[Hammering]:
    """Let so many *workers*, processes of their own for this block, ask with *key*; see ``WorkerProcesses``."""
    with (
        WorkerProcesses(workers, timeout_seconds=timeout_seconds) as processes,
        processes.hammering(url, key, headers=headers, settings=settings) as round_,
    ):
        yield round_


def _started() -> tuple[subprocess.Popen[bytes], Connection[Any, Any]]:
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        message = "The workers read DJANGO_SETTINGS_MODULE, which is not set."
        raise RuntimeError(message)
    ours, theirs = multiprocessing.Pipe()
    with theirs:
        process = subprocess.Popen(  # noqa: S603  # this package's own module
            [sys.executable, "-m", f"{__package__}.worker", str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return process, ours


def _databases() -> dict[str, str]:
    names = {}
    for connection in connections.all():
        is_in_memory = getattr(connection, "is_in_memory_db", None)  # SQLite's alone
        if is_in_memory is not None and is_in_memory():
            message = f"Database {connection.alias!r} is in memory, out of reach for others: name a file in its TEST."
            raise RuntimeError(message)
        names[connection.alias] = str(connection.settings_dict["NAME"])
    return names


def _require_visible_rows() -> None:
    if any(connection.in_atomic_block for connection in connections.all(initialized_only=True)):
        message = "The test's rows are in a transaction: use TransactionTestCase, or django_db(transaction=True)."
        raise RuntimeError(message)


def _on_monotonic_clock(instant: datetime) -> float:
    # The clock of the day is read between two readings of the other; the later one never calls an instant too early.
    readings = []
    for _ in range(5):
        before = time.monotonic()
        now = datetime.now(UTC)
        after = time.monotonic()
        readings.append((after - before, after + (instant - now).total_seconds()))
    return min(readings)[1]


def _received(channel: Any, process: subprocess.Popen[bytes], kind: type[Message]) -> Message:
    try:
        message = channel.recv()
    except (EOFError, ConnectionResetError):
        raise _death(process) from None
    if isinstance(message, Failed):
        text = f"A worker gave up: {message.why}"
        raise RuntimeError(text)  # noqa: TRY004  # no type is wrong
    assert isinstance(message, kind), f"a worker said {type(message).__name__}, not {kind.__name__}"
    return message


def _death(process: subprocess.Popen[bytes]) -> RuntimeError:
    return RuntimeError(f"A worker ended with {process.wait(timeout=_SECONDS_TO_STOP)}; its standard error says why.")
