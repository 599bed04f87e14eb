"""What the tests of the request path share: requests in the raw, keys with a right tag, counters."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

from asgiref.sync import async_to_sync
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from django.http import HttpRequest
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from apikeys.core import keyformat
from apikeys.core.credentials import Proof
from apikeys.core.verifiers import Argon2idHasher
from apikeys.issuance import IssuedKey
from apikeys.models import TagSecret
from apikeys.testing import ApiKeyClient

WHOAMI = "/apikeys/whoami/"
#: A proof for a test that is not about the secret.
ANY_SECRET = "0" * keyformat.SECRET_LENGTH


def whoami(key: IssuedKey | str, **extra: Any) -> Any:
    return ApiKeyClient(key).get(WHOAMI, **extra)


def request_with(key: IssuedKey, *, secure: bool = True) -> HttpRequest:
    """Return a request as a view that is not REST framework's gets it."""
    headers = {"Authorization": f"Bearer {key.plaintext}"}
    return RequestFactory(headers=headers).get("/", secure=secure)


def code_of(response: Any) -> str | None:
    """Return ``code`` of a refusal; None of an answer."""
    return response.json().get("code") if response.status_code >= 400 else None


def with_right_tag(key_id: str, *, secret: str = ANY_SECRET, mode: str = "live") -> str:
    """Return a text that was never issued, and that its tag lets in to the look-up."""
    newest = TagSecret.objects.order_by("-pk").values_list("secret", flat=True)[0]
    return keyformat.UntaggedKey(key_id=key_id, body=f"ak_{mode}_{key_id}_{secret}").tagged(bytes(newest))


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the SQL of the block, without what only opens and closes transactions."""
    collected: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield collected
    around = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
    collected += [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(around)]


class CountingHasher(Argon2idHasher):
    """Argon2id that counts its checks and can be held up."""

    checks: ClassVar[list[str]] = []
    hashes: ClassVar[list[str]] = []
    #: Closed, a check stays in its turn until it opens.
    gate: ClassVar[threading.Event] = threading.Event()
    entered: ClassVar[threading.Event] = threading.Event()

    @classmethod
    def start(cls) -> type[CountingHasher]:
        cls.checks.clear()
        cls.hashes.clear()
        cls.gate.set()
        cls.entered.clear()
        return cls

    def hash(self, secret: str) -> str:
        verifier = super().hash(secret)
        self.hashes.append(verifier)
        return verifier

    def matches(self, proof: Proof, verifier: str) -> bool:
        self.checks.append(verifier)
        self.entered.set()
        assert self.gate.wait(timeout=60)
        return super().matches(proof, verifier)


@dataclass(frozen=True, kw_only=True)
class RawResponse:
    """What left a server."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


@contextmanager
def connection_kept() -> Iterator[None]:
    """Keep the connection that holds the test's transaction, as Django's test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def run_async(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Return what the coroutine of *call* returns, also where a browser test left Playwright's loop in this thread."""
    # That one stands still between its calls, and would pass for the loop of this thread.
    beside = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return async_to_sync(call)()
    finally:
        asyncio._set_running_loop(beside)


def wsgi_request(path: str = WHOAMI, **environ: str) -> RawResponse:
    """Send *environ* through Django's WSGI handler as a server would, header bytes as latin-1."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    complete: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(),
        **environ,
    }
    handler: Any = WSGIHandler()
    with connection_kept():
        response = handler(complete, lambda status, headers: started.append((status, headers)))
        try:
            content = b"".join(response)
        finally:
            response.close()
    status, headers = started[0]
    return RawResponse(status_code=int(status.split()[0]), headers=dict(headers), content=content)
