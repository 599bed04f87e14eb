"""An authority and the API servers of the example in processes of their own, and what they answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from django.db import connection

from apikeys import clients
from apikeys.issuance import IssuedKey
from apikeys.limits import storage
from apikeys.models import Client
from apikeys.testing import make_key
from example_project.api_servers.handover import ServerHandover
from example_project.todo import programs, story
from tests.authority_server import VARIABLE
from tests.example_server import free_port

#: How long anything may take on a machine that is busy with other tests, where no bound is promised.
PATIENCE_SECONDS = 60
_WORKERS, _THREADS = 2, 4


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered, and after how long."""

    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(self.data["code"])


def ask(address: str, *, bearer: str = "", form: Mapping[str, str] | None = None) -> Answer:
    """Return the answer at *address*, which is on this machine, to a GET, or to a POST of *form*."""
    host, _slash, path = address.removeprefix("http://").partition("/")
    began = time.monotonic()
    conversation = HTTPConnection(host, timeout=PATIENCE_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        if form is None:
            conversation.request("GET", f"/{path}", headers=headers)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            conversation.request("POST", f"/{path}", body=urlencode(form), headers=headers)
        response = conversation.getresponse()
        body = response.read().decode()
        seconds = time.monotonic() - began
        return Answer(status=response.status, headers=dict(response.headers), body=body, seconds=seconds)
    finally:
        conversation.close()


def until(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> float:
    """Return after how many seconds *condition* held, which must be within *seconds*."""
    began = time.monotonic()
    while not condition():
        taken = time.monotonic() - began
        assert taken < seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - began


class Authority:
    """The tests' project, served by gunicorn in processes that end with a signal to their group."""

    def __init__(self, *, seconds: Mapping[str, float]) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}/authority"
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, on the port that it always had."""
        name = str(connection.settings_dict["NAME"])
        given = {"database": name, "issuer": self.issuer, "seconds": dict(self._seconds)}
        self._process = subprocess.Popen(  # noqa: S603  # our own words
            [
                *(sys.executable, "-m", "gunicorn", "tests.authority_server:application"),
                *("--bind", f"127.0.0.1:{self.port}", "--log-level", "error"),
                *("--workers", str(_WORKERS), "--threads", str(_THREADS), "--keep-alive", "5"),
            ],
            env={**os.environ, VARIABLE: json.dumps(given)},
            # Of its own: a signal to it is not one to the tests.
            start_new_session=True,
        )
        until(self._is_answering)

    def kill(self) -> None:
        """End all its processes at once."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            # A process that is killed while it hashes keeps its turn for ten seconds, and the next test issues keys.
            storage.asked(lambda shared: shared.reset())

    def stop(self) -> None:
        """Let it hang: the system still takes connections for it, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def exchange(self, key: IssuedKey, *, server: story.Server = story.SUMMARIES) -> str:
        """Return a signed token for *server*, given for *key*."""
        answer = ask(
            f"{self.issuer}/token",
            form={
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token": key.plaintext,
                "subject_token_type": "urn:apikeys:token-type:api-key",
                "scope": server.scope,
                "resource": server.resource,
            },
        )
        assert answer.status == 200, answer.body
        return str(answer.data["access_token"])

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _is_answering(self) -> bool:
        try:
            return ask(f"{self.issuer}/jwks.json").status == 200
        except OSError:
            return False


@contextmanager
def running_authority(*, seconds: Mapping[str, float]) -> Iterator[Authority]:
    """Start an authority, which has a signing key only once ``rotate_signing_key`` has run."""
    authority = Authority(seconds=seconds)
    authority.start()
    try:
        yield authority
    finally:
        authority.kill()


@contextmanager
def running_server(server: story.Server, authority: Authority, *, seconds: Mapping[str, float]) -> Iterator[str]:
    """Start *server*, a client of *authority* from now on, and return the address that is asked."""
    client = clients.create(name=server.name, allowed_scopes=["apikeys:introspect"], resource=server.resource)
    handover = ServerHandover(
        port=free_port(),
        issuer=authority.issuer,
        audience=server.resource,
        authority_key=make_key(scopes=["apikeys:introspect"], client=client, owner=None).plaintext,
        seconds=seconds,
    )
    with programs.start(server.program, handover) as process:
        try:
            yield f"http://127.0.0.1:{handover.port}{server.path}"
        finally:
            process.kill()


def calling_client() -> Client:
    """Return a client whose credentials the API servers that run may know."""
    resources = Client.objects.exclude(resource=None).values_list("resource", flat=True)
    return clients.create(name="Caller", allowed_scopes=["todo:read"], audiences=list(resources))
