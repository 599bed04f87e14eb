"""The demonstration as a newcomer starts it: another process, a database of its own."""

from __future__ import annotations

import os
import random
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    def hooli(self) -> str:
        """Where Hooli's program is."""
        return self._program(1)

    @property
    def piper(self) -> str:
        """Where Pied Piper's other programs are."""
        return self._program(2)

    @property
    def sharing(self) -> str:
        """Where the API server is that asks about keys."""
        return f"http://127.0.0.1:{int(self.environment['PORT']) + 3}"

    def ask_for_matrix(self, *, as_: str = "richard") -> str:
        """Return the home page once it has asked the API for *as_*."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(f"{self.url}/") as response:
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', response.read().decode())
        assert token
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1]}).encode()
        with opener.open(f"{self.url}/?as={as_}", data=form) as response:
            return str(response.read().decode())

    def _program(self, ports_on: int) -> str:
        return f"http://localhost:{int(self.environment['PORT']) + ports_on}"

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
    """Return a port that is free, as the four after it are, which the programs beside the site take."""
    while True:
        # Below those that the system gives away: a browser that calls somebody else would take one before it is used.
        # Not from the seed of the tests, which another process of them has as well.
        port = random.SystemRandom().randrange(10_000, 32_000, 5)
        with ExitStack() as sockets:
            try:
                for number in range(port, port + 5):
                    sockets.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
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


def is_answering(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def fetch(url: str) -> str:
    """Return the page at *url*, which is on this machine."""
    assert url.startswith(("http://127.0.0.1:", "http://localhost:"))
    with urllib.request.urlopen(url) as response:  # noqa: S310  # asserted above
        return str(response.read().decode())


def paste(command: str) -> tuple[int, str]:
    """Do what the ``curl`` line *command* says, and return status and body."""
    words = shlex.split(command)
    url = words[-1]
    fields = [words[position + 1] for position, word in enumerate(words) if word == "-H"]
    headers = dict(field.split(": ", 1) for field in fields)
    assert headers["Authorization"].startswith("Bearer ")
    data = words[words.index("-d") + 1].encode() if "-d" in words else None
    assert url.startswith("http://127.0.0.1:")
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  # asserted above
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310  # likewise
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
