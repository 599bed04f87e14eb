"""A project that starts empty, and its own development server."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from tests.example_server import await_answer, free_port


class Project:
    """An empty Django project, run by *python*."""

    def __init__(self, directory: Path, *, python: Path) -> None:
        self.directory = directory
        self.python = python
        # Nothing of this run's environment may help.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("APIKEYS_", "DJANGO_", "PYTEST_", "COVERAGE_", "PYTHON"))
        }

    def run(self, *arguments: str) -> str:
        words = [str(self.python), *arguments]
        done = subprocess.run(  # noqa: S603  # what the page says
            words, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def run_on_terminal(self, *arguments: str) -> str:
        """Return what a person sees who types it."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(  # noqa: S603  # what the page says
            [str(self.python), *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:
                break
            if not seen:
                break
        os.close(ours)
        assert process.wait(timeout=60) == 0, seen.decode()
        return seen.decode()

    def write(self, name: str, text: str) -> None:
        with (self.directory / "mysite" / name).open("a") as file:
            file.write(f"\n{text}")


class Server:
    """The project's own development server."""

    def __init__(self, project: Project, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = project.environment
        # A pipe that nobody reads fills up with its log, and the server waits for ever.
        with (project.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  # what the page says
                [str(project.python), "manage.py", "runserver", "--noreload", str(self.port)],
                cwd=project.directory,
                env=project.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        await_answer(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)

    def get(self, path: str, *, key: str | None = None) -> tuple[int, dict]:
        request = urllib.request.Request(f"{self.url}{path}")  # noqa: S310  # an address of our own
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # an address of our own
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
