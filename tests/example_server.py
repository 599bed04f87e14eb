"""The demonstration as a newcomer starts it: another process, a database of its own."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A running demonstration, and what it printed on its way."""

    url: str
    printed: str
    environment: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """The lines that it printed to be pasted into a terminal."""
        return [line.strip() for line in self.printed.splitlines() if line.strip().startswith("curl ")]

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` on its database."""
        return run_manage(*arguments, environment=self.environment)


def environment_of(database: Path, *, port: int) -> dict[str, str]:
    """Return the environment of a process that serves the demonstration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "DEBUG"))}
    return kept | {"DEMO_DATABASE": str(database), "PORT": str(port), "PYTHONUNBUFFERED": "1"}


def run_manage(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(  # noqa: S603  # our own words
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_demo(directory: Path) -> Iterator[Demo]:
    """Start ``manage.py demo`` on a free port, and stop it."""
    port = free_port()
    environment = environment_of(directory / "demo.sqlite3", port=port)
    with subprocess.Popen(
        [sys.executable, "manage.py", "demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            printed = ""
            for line in process.stdout:
                printed += line
                if "Quit the server" in line:
                    break
            await_answer(port)
            yield Demo(url=f"http://127.0.0.1:{port}", printed=printed, environment=environment)
        finally:
            process.terminate()


def await_answer(port: int) -> None:
    """Return once somebody listens on *port*: Django says that it is ready a moment before."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def paste(command: str) -> tuple[int, str]:
    """Do what the ``curl`` line *command* says, and return status and body."""
    words = shlex.split(command)
    url = words[-1]
    header = re.fullmatch(r"(Authorization): (Bearer \S+)", words[words.index("-H") + 1])
    assert header
    data = words[words.index("-d") + 1].encode() if "-d" in words else None
    assert url.startswith("http://127.0.0.1:")
    request = urllib.request.Request(url, data=data, headers={header[1]: header[2]})  # noqa: S310  # asserted above
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310  # likewise
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
