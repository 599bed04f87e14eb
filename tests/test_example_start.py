"""From nothing to the first answer: ``manage.py demo`` in a process of its own."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.example_data import A_KEY, cells_on
from tests.example_server import (
    Demo,
    environment_of,
    fetch,
    free_port,
    is_answering,
    paste,
    run_manage,
    running_demo,
)

# One process of the tests starts the demonstration, not each.
pytestmark = pytest.mark.xdist_group("demonstration")
A_SIGNED_TOKEN = re.compile(r"eyJ[\w-]{20}")
OFFSETS = pytest.mark.parametrize("ports_on", [0, 1, 2, 3, 4], ids=["site", "hooli", "piper", "sharing", "summaries"])


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


def test_the_printed_line_for_sharing_is_answered(demo):
    status, body = paste(demo.commands[2])

    assert (status, json.loads(body)["person"]) == (200, "richard")


def test_the_printed_line_for_summaries_fetches_a_token_and_is_answered(demo):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")

    pasted = subprocess.run(  # noqa: S603  # what the demonstration printed
        ["/bin/sh", "-c", demo.commands[3]], check=True, capture_output=True, text=True
    )

    assert json.loads(pasted.stdout)["subscription"] == "premium"


def test_the_matrix_calls_the_api_servers_as_well(demo):
    page = demo.ask_for_matrix()

    assert [row[5:] for row in cells_on(page)] == [["200", "200"]] * 3 + [["403 todo:read", "403 todo:read"]]
    assert "This is a bug" not in page
    assert not A_KEY.search(page)
    assert not A_SIGNED_TOKEN.search(page)


def key_of(demo: Demo, person: str, *, name: str) -> str:
    wanted = ("--owner", person, "--client", "Web app", "--name", name, "--show-secrets")
    scopes = ("--scope", "todo:read", "--scope", "todo:write")
    return demo.manage("issue_key", *wanted, *scopes).stdout.splitlines()[-1]


def share(demo: Demo, plaintext: str, with_whom: str) -> int:
    kind = '-H "Content-Type: application/json"'
    body = json.dumps({"name": with_whom})
    command = f"curl -H \"Authorization: Bearer {plaintext}\" {kind} -d '{body}' {demo.sharing}/api/shares"
    return paste(command)[0]


def shared_by(demo: Demo, plaintext: str) -> list[str]:
    _status, body = paste(f'curl -H "Authorization: Bearer {plaintext}" {demo.sharing}/api/shares')
    return list(json.loads(body)["shared_with"])


def test_sharing_keeps_for_a_person_what_that_person_shares(demo):
    richard, dinesh = (key_of(demo, person, name=f"Share of {person}") for person in ("richard", "dinesh"))

    assert share(demo, richard, "monica") == 201
    assert "monica" in shared_by(demo, richard)
    assert "monica" not in shared_by(demo, dinesh)


@pytest.mark.parametrize(("length", "status"), [(50, 201), (51, 400)])
def test_sharing_takes_names_up_to_fifty_characters(demo, length, status):
    plaintext = key_of(demo, "richard", name=f"Share {length}")

    assert share(demo, plaintext, "m" * length) == status


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


@OFFSETS
def test_a_taken_port_is_named_with_the_way_out(tmp_path, ports_on):
    port = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port + ports_on))
        listener.listen()
        result = run_manage("demo", environment=environment_of(tmp_path / "demo.sqlite3", port=port))

    assert result.returncode == 1
    assert f"Port {port + ports_on} is taken, and the demonstration needs {port} to {port + 4}." in result.stderr
    assert f"PORT={port + 10} make demo" in result.stderr


@pytest.mark.parametrize("port", ["http", "0", "70000", "65532"])
def test_a_port_that_leaves_none_for_the_apps_is_refused(tmp_path, port):
    environment = environment_of(tmp_path / "demo.sqlite3", port=free_port()) | {"PORT": port}

    result = run_manage("demo", environment=environment)

    assert (result.returncode, result.stdout) == (1, "")
    assert f"PORT={port} is not a port." in result.stderr


def test_without_debug_the_demo_does_not_start(tmp_path):
    environment = environment_of(tmp_path / "demo.sqlite3", port=free_port())

    result = run_manage("demo", environment=environment | {"DEBUG": "0", "SECRET_KEY": "known"})

    assert result.returncode == 1
    assert "DEBUG" in result.stderr


def test_the_programs_outside_answer_and_sign_in(demo):
    pages = [fetch(f"{demo.hooli}/"), fetch(f"{demo.piper}/watch/"), fetch(f"{demo.piper}/analytics/")]

    assert "Summarise my day" in pages[0]
    assert "Pair this watch" in pages[1]
    # Told by the API, to a client secret of this start.
    assert re.findall(r"<td>(\d+)</td>", pages[2]) == ["3", "21", "5"]


def test_the_programs_beside_it_end_with_the_demonstration(earlier, demo):
    ports = [int(earlier[1].environment["PORT"]) + ports_on for ports_on in (1, 2, 3, 4)]

    assert not [port for port in ports if is_answering(port)]
