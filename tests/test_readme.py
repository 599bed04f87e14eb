"""The quickstart, followed to the letter by a project that knows nothing of this repository."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import IN_CI
from tests.documents import ROOT, blocks, commands
from tests.example_server import await_answer, free_port

README = ROOT / "README.md"


class Project:
    """An empty Django project in an environment of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / "env" / "bin" / "python"
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

    def __init__(self, project: Project) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(  # noqa: S603  # what the page says
            [str(project.python), "-u", "manage.py", "runserver", "--noreload", str(self.port)],
            cwd=project.directory,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in self.process.stdout:
            if "Quit the server" in line:
                break
        await_answer(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()

    def get(self, path: str, *, key: str | None = None) -> tuple[int, dict]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # an address of our own
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("quickstart")
    subprocess.run([sys.executable, "-m", "venv", directory / "env"], check=True)  # noqa: S603
    project = Project(directory)
    source = directory / "apikeys"
    # A copy: a build leaves files behind, and other tests run at the same time.
    keep = shutil.ignore_patterns(".*", "*.sqlite3*", "build", "dist", "__pycache__", "tests")
    shutil.copytree(ROOT, source, ignore=keep)
    assert "python -m pip install path/to/apikeys" in commands(README)
    installed = subprocess.run(  # noqa: S603
        [project.python, "-m", "pip", "install", "--quiet", source],
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        if IN_CI:
            pytest.fail(installed.stderr, pytrace=False)
        pytest.skip("needs a package registry to make an empty environment")
    shutil.rmtree(source)
    return project


def test_the_quickstart_leads_from_an_empty_project_to_200_and_403(project):
    settings, urls, views, more_urls = blocks(README, "python")
    # What the fixture did is left out, and what runs until somebody stops it.
    lines = [line for line in commands(README) if line.startswith("python")]
    start, migrate, issue = [line for line in lines if "pip install" not in line and "runserver" not in line]
    project.run(*start.split()[1:])
    project.write("settings.py", settings)
    project.write("urls.py", urls)

    project.run(*migrate.split()[1:])
    seen = project.run_on_terminal(*shlex.split(issue)[1:])
    key = seen.split()[-1]

    assert re.fullmatch(r"ak_live_\w{64}", key)
    with Server(project) as server:
        status, body = server.get("/apikeys/whoami/", key=key)
        assert status == 200
        facts = {name: body[name] for name in ("name", "client", "owner", "scopes")}
        assert facts == {"name": "My first key", "client": "Default", "owner": "alice", "scopes": ["todo:read"]}
        assert server.get("/apikeys/whoami/")[1]["code"] == "key_missing"

    project.write("views.py", views)
    project.write("urls.py", more_urls)
    (answer,) = blocks(README, "json")
    with Server(project) as server:
        assert server.get("/todos/", key=key) == (403, json.loads(answer))


def test_the_first_screen_of_the_readme_has_the_two_commands():
    assert commands(README)[:2] == ["make demo", "make test"]
    assert all(f"\n{target}:" in (ROOT / "Makefile").read_text() for target in ("demo", "test"))
