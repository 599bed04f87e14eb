"""The quickstart, followed to the letter by a project that knows nothing of this repository."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import IN_CI
from tests.documents import ROOT, blocks, commands
from tests.empty_project import Project, Server

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("quickstart")
    # This run's own pip installs into it: a pip of its own would take longer than everything else.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / "env"], check=True)  # noqa: S603
    project = Project(directory, python=directory / "env" / "bin" / "python")
    source = directory / "apikeys"
    # A copy: a build leaves files behind, and other tests run at the same time.
    keep = shutil.ignore_patterns(".*", "*.sqlite3*", "build", "dist", "__pycache__", "tests")
    shutil.copytree(ROOT, source, ignore=keep)
    assert "python -m pip install path/to/apikeys" in commands(README)
    installed = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", "--python", project.python, "install", "--quiet", "--no-compile", source],
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
