"""The programs outside: separate processes, which hold what they were handed and end with who handed it."""

from __future__ import annotations

import re
import subprocess
import urllib.error
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from example_project.api_servers.handover import ServerHandover
from example_project.hooli.summary import OpenTodo, sentence
from example_project.outside.handover import Handover, Registration
from example_project.todo import programs, story
from example_project.todo.seed import TODOS
from tests.example_server import ROOT, fetch, free_port, is_answering

SECRET = "not-to-be-seen-anywhere"
TODAY = date(2026, 3, 2)


def handover(port: int) -> Handover:
    apps = {
        app.alias: Registration(client_id=app.alias, client_secret=SECRET, api_key=f"{SECRET}-key")
        for app in story.APPS
    }
    return Handover(port=port, site="http://127.0.0.1:9", apps=apps)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Return Hooli's process and its port. No site answers it."""
    port = free_port()
    process = programs.start(programs.HOOLI, handover(port))
    with process:
        yield process, port
        process.kill()


@pytest.mark.parametrize("program", ["hooli", "piper", "outside"])
def test_a_program_imports_neither_the_app_nor_the_todo_service(program):
    files = list((ROOT / "example_project" / program).rglob("*.py"))

    assert files
    assert not [path for path in files if "apikeys" in imports_of(path) or "todo" in imports_of(path)]


def imports_of(path: Path) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if line.startswith(("import ", "from ")))


def test_a_program_answers_once_it_was_started(running):
    _process, port = running

    assert "Summarise my day" in fetch(f"http://localhost:{port}/")


def test_a_secret_is_neither_in_the_environment_nor_on_the_command_line(running):
    process, _port = running
    about = Path("/proc", str(process.pid))
    if not about.exists():
        pytest.skip("needs Linux")

    assert SECRET not in (about / "environ").read_text() + (about / "cmdline").read_text()


def test_a_callback_that_nobody_began_is_refused(running):
    _process, port = running

    with pytest.raises(urllib.error.HTTPError, match="400"):
        fetch(f"http://localhost:{port}/callback?code=stolen&state=guessed&iss=http://127.0.0.1:9/authority")


def test_a_program_ends_when_the_process_that_started_it_does():
    port = free_port()
    process = programs.start(programs.HOOLI, handover(port))

    with process:
        process.stdin.close()
        process.wait(timeout=30)

    assert not is_answering(port)


def test_a_program_that_can_not_listen_is_told(running):
    _process, port = running

    with pytest.raises(programs.ProgramError, match="hooli does not start"):
        programs.start(programs.HOOLI, handover(port))


def test_what_is_handed_over_arrives_whole():
    given = handover(8001)

    assert Handover.from_line(given.as_line()) == given


def test_what_is_handed_over_shows_no_secret():
    assert SECRET not in repr(handover(8001))


def server_handover(port: int) -> ServerHandover:
    return ServerHandover(
        port=port,
        issuer="http://127.0.0.1:9/authority",
        audience="https://sharing.example",
        authority_key=SECRET,
        seconds={"AUTHORITY_PAUSE": 0.5},
    )


@pytest.fixture(scope="module")
def running_server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Return Sharing's process and its port. No authority answers it."""
    port = free_port()
    with programs.start(programs.SHARING, server_handover(port)) as process:
        yield process, port
        process.kill()


def test_what_an_api_server_is_handed_arrives_whole_and_shows_no_secret():
    given = server_handover(8003)

    assert ServerHandover.from_line(given.as_line()) == given
    assert SECRET not in repr(given)


def test_the_key_of_an_api_server_is_neither_in_the_environment_nor_on_the_command_line(running_server):
    process, _port = running_server
    about = Path("/proc", str(process.pid))
    if not about.exists():
        pytest.skip("needs Linux")

    assert SECRET not in (about / "environ").read_text() + (about / "cmdline").read_text()


def test_an_api_server_refuses_who_shows_nothing(running_server):
    _process, port = running_server

    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        fetch(f"http://127.0.0.1:{port}/api/shares")

    refused.value.close()
    assert refused.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_only_what_this_process_started_counts_as_running(running_server):
    _process, port = running_server
    assert programs.is_running(programs.SHARING)

    assert is_answering(port)
    assert not programs.is_running(programs.SUMMARIES)


@pytest.mark.parametrize("server", ["sharing", "summaries"])
def test_what_an_api_server_does_is_read_in_a_minute(server):
    lines = (ROOT / "example_project" / server / "views.py").read_text().splitlines()

    assert len(lines) < 60


@pytest.mark.parametrize("server", ["sharing", "summaries", "api_servers"])
def test_an_api_server_imports_nothing_that_has_a_row(server):
    files = list((ROOT / "example_project" / server).rglob("*.py"))
    imported = "\n".join(map(imports_of, files))
    names = set(re.findall(r"apikeys[\w.]*", imported))

    assert files
    assert names <= {"apikeys.core.principals", "apikeys.drf", "apikeys.resource_server"}
    assert "todo" not in imported


def todo(title, days=None):
    return OpenTodo(title=title, due_on=None if days is None else TODAY + timedelta(days=days))


@pytest.mark.parametrize(
    ("todos", "expected"),
    [
        ([], "Nothing is open: enjoy your day."),
        ([todo("Sleep")], "1 to-do is open: nothing late, nothing for today."),
        ([todo("Sleep", 0)], "1 to-do is open: nothing late, “Sleep” for today."),
        ([todo("Sleep", -1), todo("Eat", 1)], "2 to-dos are open: “Sleep” late, nothing for today, “Eat” after that."),
        (
            [todo("One", 0), todo("Two", 0), todo("Three", 0), todo("Four", 0)],
            "4 to-dos are open: nothing late, “One”, “Two” and 2 more for today.",
        ),
        ([todo("<b>%(count)s {}", 0)], "1 to-do is open: nothing late, “<b>%(count)s {}” for today."),
    ],
    ids=["nothing", "no-date", "today", "late-and-later", "many", "markup"],
)
def test_a_day_in_one_sentence(todos, expected):
    assert sentence(todos, today=TODAY) == expected


@pytest.mark.parametrize("name", TODOS)
def test_no_two_people_of_the_story_share_a_title(name):
    mine = {title for _days, title, _is_done in TODOS[name]}
    others = {title for other, todos in TODOS.items() if other != name for _days, title, _is_done in todos}

    assert not mine & others
