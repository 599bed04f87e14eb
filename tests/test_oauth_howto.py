"""The how-to about OAuth, followed to the letter: a project, a server, a person with a browser, and somebody's app."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from tests.documents import ROOT, blocks, commands
from tests.empty_project import Project, Server

# One process starts the project.
pytestmark = pytest.mark.xdist_group("an empty project")

PAGE = ROOT / "docs" / "how-to" / "offer-oauth.md"
SETTINGS, VIEWS, URLS, APP, METADATA, _FROM_PYTHON = blocks(PAGE, "python")
CALLBACK = "http://127.0.0.1:9000/callback"
PASSWORD = "only-for-tests"
TIMEOUT = 30


class Browser:
    """Richard's: it keeps cookies and sends forms with what is hidden in them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.session = requests.Session()

    def get(self, url):
        return self.session.get(urljoin(self.server.url, url), timeout=TIMEOUT)

    def fill_in(self, url, fields, **options):
        """Return the answer to the form at *url*."""
        page = self.get(url)
        assert page.status_code == 200, page.text
        found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        hidden = {name: unescape(value) for name, value in found}
        filled_in = {**hidden, **fields}
        return self.session.post(page.url, filled_in, headers={"Referer": page.url}, timeout=TIMEOUT, **options)


class App:
    """The script of the page, in a terminal."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def read(self, pattern: str) -> str:
        line = self.process.stdout.readline()
        found = re.search(pattern, line)
        assert found, line
        return found[1]

    def type(self, line: str) -> None:
        print(line, file=self.process.stdin, flush=True)


@contextmanager
def running_app(directory: Path, *, server: Server, client_id: str, secret: str):
    script = directory / "summary.py"
    script.write_text(APP.replace("http://127.0.0.1:8000", server.url))
    environment = {**server.environment, "CLIENT_ID": client_id, "CLIENT_SECRET": secret}
    with subprocess.Popen(  # noqa: S603  # what the page says
        [sys.executable, script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield App(process)
        process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("howto"), python=Path(sys.executable))
    _install, start, migrate, operator, _serve = [line for line in commands(PAGE) if line.startswith("python")]
    project.run(*start.split()[1:])
    project.write("settings.py", SETTINGS)
    project.write("views.py", VIEWS)
    project.write("urls.py", URLS)
    project.write("urls.py", METADATA)
    project.run(*migrate.split()[1:])
    project.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    project.run(*operator.split()[1:], "--noinput", "--username", "richard", "--email", "richard@piedpiper.example")
    with Server(project) as server:
        yield server


def test_the_steps_lead_from_an_empty_project_to_a_token_and_to_its_end(server, tmp_path):
    richard = Browser(server)
    richard.fill_in("/admin/login/", {"username": "richard", "password": PASSWORD})
    registered = richard.fill_in(
        "/admin/apikeys/client/add/",
        {
            "name": "LLM Summariser",
            "kind": "third_party",
            "is_active": "on",
            "allowed_scopes": "todo:read",
            "sign_in": "authorization-code",
            "redirect_uris": CALLBACK,
        },
    )
    client_id, secret = shown_once(registered.text)

    with running_app(tmp_path, server=server, client_id=client_id, secret=secret) as app:
        address = app.read(r"^Open (\S+)$")
        asked = richard.get(address)
        sent_to = richard.fill_in(address, {"allow": "yes"}, allow_redirects=False).headers["Location"]
        app.type(sent_to)
        allowed = app.read(r"(200 .*)$")
        richard.fill_in(f"/oauth/connected-apps/{client_id}/withdraw/", {})
        app.type("")
        refused = app.read(r"(401 .*)$")

    assert "Allow LLM Summariser? – Piper Todo" in unescape(asked.text)
    assert sent_to.startswith(f"{CALLBACK}?")
    assert json.loads(allowed.removeprefix("200 ")) == {"app": "LLM Summariser", "person": "richard"}
    assert json.loads(refused.removeprefix("401 "))["code"] == "token_invalid"


def shown_once(page: str) -> tuple[str, str]:
    """Return the client id and the client secret that *page* shows."""
    (client_id,) = re.findall(r"Client id: <code>(\w+)</code>", page)
    (secret,) = re.findall(r'id="new-key" value="([^"]+)"', page)
    return client_id, unescape(secret)


def test_metadata_is_where_clients_look_for_it(server):
    browser = Browser(server)

    answer = browser.get("/.well-known/oauth-authorization-server/oauth")

    assert answer.status_code == 200
    assert answer.json()["token_endpoint"] == f"{server.url}/oauth/token/"


def test_the_extra_that_is_installed_brings_the_toolkit():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert 'python -m pip install "path/to/apikeys[oauth]"' in commands(PAGE)
    assert any(name.startswith("django-oauth-toolkit") for name in extras["oauth"])
