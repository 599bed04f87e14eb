"""The how-to about one authority, followed to the letter: two projects, two servers, and somebody's app."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from tests.documents import ROOT, blocks, commands
from tests.empty_project import Project, Server
from tests.example_server import free_port

# One process starts the projects.
pytestmark = pytest.mark.xdist_group("an empty project")

PAGE = ROOT / "docs" / "how-to" / "many-services-one-authority.md"
SETTINGS, URLS, CLIENTS, SERVER_SETTINGS, SERVER_VIEWS, SERVER_URLS = blocks(PAGE, "python")
AUTHORITY = "http://127.0.0.1:8000"
TIMEOUT = 30
#: As the page says: the poll interval, and a second.
BOUND_SECONDS = 6


@dataclass(frozen=True, kw_only=True)
class Site:
    """Authority and API server, both running, and the app's key."""

    project: Project
    authority: Server
    server: Server
    key: str

    def get(self, path: str, credential: str) -> requests.Response:
        return requests.get(
            f"{self.server.url}{path}", headers={"Authorization": f"Bearer {credential}"}, timeout=TIMEOUT
        )

    def exchange(self) -> str:
        (line,) = [line for line in commands(PAGE) if line.startswith("curl -d")]
        words = shlex.split(line.replace("$KEY", self.key).replace(AUTHORITY, self.authority.url))
        form = dict(word.split("=", 1) for flag, word in pairwise(words) if flag == "-d")
        answer = requests.post(words[-1], form, timeout=TIMEOUT)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    lines = [line for line in commands(PAGE) if line.startswith("python manage.py") and "runserver" not in line]
    migrate, rotate, issue_server, issue_app = lines
    (secret,) = [line for line in commands(PAGE) if line.startswith("export")]
    authority_port = free_port()
    address = f"http://127.0.0.1:{authority_port}"
    project = _started(tmp_path_factory.mktemp("authority"))
    program = shlex.split(secret.partition("$(")[2].removesuffix(")"))
    project.environment["SIGNING_KEY_SECRET"] = project.run(*program[1:]).strip()
    project.write("settings.py", SETTINGS.replace(AUTHORITY, address))
    project.write("urls.py", URLS)
    project.run(*migrate.split()[1:])
    project.run(*rotate.split()[1:])
    project.run("manage.py", "shell", "--no-imports", "-c", CLIENTS)
    server_key, key = (
        project.run_on_terminal(*shlex.split(line)[1:]).split()[-1] for line in (issue_server, issue_app)
    )
    other = _started(tmp_path_factory.mktemp("server"))
    other.environment["AUTHORITY_KEY"] = server_key
    other.write("settings.py", SERVER_SETTINGS.replace(AUTHORITY, address))
    other.write("views.py", SERVER_VIEWS)
    other.write("urls.py", SERVER_URLS)
    with Server(project, port=authority_port) as authority, Server(other) as server:
        yield Site(project=project, authority=authority, server=server, key=key)


def _started(directory: Path) -> Project:
    project = Project(directory, python=Path(sys.executable))
    (start, _again) = [line for line in commands(PAGE) if "startproject" in line]
    project.run(*start.split()[1:])
    return project


def test_the_steps_lead_to_200_in_both_ways_and_a_revocation_ends_both(site):
    token = site.exchange()
    for path, credential in (("/shares/", site.key), ("/summary/", token)):
        answer = site.get(path, credential)
        assert answer.status_code == 200, answer.text
        assert answer.json()["person"].startswith("user:")

    key_id = site.key.split("_")[2]
    site.project.run("manage.py", "revoke_key", key_id, "--reason", "leaked", "--no-input")

    revoked_at = time.monotonic()
    assert site.get("/shares/", site.key).status_code == 401
    while site.get("/summary/", token).status_code == 200:
        assert time.monotonic() - revoked_at < BOUND_SECONDS
    assert site.get("/summary/", token).json()["code"] == "token_invalid"


def test_metadata_is_where_clients_look_for_it(site):
    document = requests.get(
        f"{site.authority.url}/.well-known/oauth-authorization-server/authority", timeout=TIMEOUT
    ).json()

    assert document["issuer"] == f"{site.authority.url}/authority"
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri"):
        assert document[name].startswith(f"{document['issuer']}/")
    assert requests.get(document["jwks_uri"], timeout=TIMEOUT).json()["keys"]
