"""From nothing to the first answer: ``manage.py demo`` in a process of its own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.example_server import Demo, environment_of, free_port, paste, run_manage, running_demo


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Demo]:
    directory = tmp_path_factory.mktemp("demo")
    with running_demo(directory) as demo:
        return directory, demo


@pytest.fixture(scope="module")
def demo(earlier: tuple[Path, Demo]) -> Iterator[Demo]:
    """Return the demonstration, started for the second time on its database."""
    with running_demo(earlier[0]) as demo:
        yield demo


def test_the_first_printed_line_is_answered_with_todos(demo):
    status, body = paste(demo.commands[0])

    assert status == 200
    assert json.loads(body)["count"] == 12


def test_the_second_printed_line_is_refused_and_told_what_it_lacks(demo):
    status, body = paste(demo.commands[1])

    assert status == 403
    assert json.loads(body)["required_scopes"] == ["todo:write"]


def test_the_key_of_an_earlier_start_is_revoked(earlier, demo):
    lost = earlier[1].commands[0].replace(earlier[1].url, demo.url)

    status, body = paste(lost)

    assert (status, json.loads(body)["code"]) == (401, "key_revoked")


def test_a_revoked_key_is_refused_by_the_server_at_once(demo):
    wanted = ("--owner", "richard", "--client", "Web app", "--name", "Try", "--scope", "todo:read", "--show-secrets")
    plaintext = demo.manage("issue_key", *wanted).stdout.splitlines()[-1]
    command = f'curl -H "Authorization: Bearer {plaintext}" {demo.url}/api/todos/'

    before, _body = paste(command)
    demo.manage("revoke_key", plaintext.split("_")[2], "--reason", "leaked", "--no-input")
    after, body = paste(command)

    assert (before, after) == (200, 401)
    assert json.loads(body)["code"] == "key_revoked"


def test_what_is_printed_leads_to_the_home_page_the_web_app_and_the_admin(demo):
    assert f"{demo.url}/\n" in demo.printed
    assert f"{demo.url}/todos/    richard / middle-out\n" in demo.printed
    assert f"{demo.url}/admin/    gilfoyle / " in demo.printed


def test_a_taken_port_is_named_with_the_way_out(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = run_manage("demo", environment=environment_of(tmp_path / "demo.sqlite3", port=port))

    assert result.returncode == 1
    assert f"Port {port} is taken. Choose another one, for example: PORT={port + 1} make demo" in result.stderr


@pytest.mark.parametrize("port", ["http", "70000"])
def test_a_port_that_is_none_is_refused(tmp_path, port):
    environment = environment_of(tmp_path / "demo.sqlite3", port=free_port()) | {"PORT": port}

    result = run_manage("demo", environment=environment)

    assert (result.returncode, result.stdout) == (1, "")
    assert f"PORT={port} is not a port." in result.stderr


def test_without_debug_the_demo_does_not_start(tmp_path):
    environment = environment_of(tmp_path / "demo.sqlite3", port=free_port())

    result = run_manage("demo", environment=environment | {"DEBUG": "0", "SECRET_KEY": "known"})

    assert result.returncode == 1
    assert "DEBUG" in result.stderr
