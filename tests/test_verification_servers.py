from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.asgi import get_asgi_application
from django.core.signals import request_started

from apikeys import keys
from apikeys.models import APIKey, EventKind, KeyEvent
from apikeys.testing import make_key

from .request_path import WHOAMI, RawResponse, code_of, connection_kept, run_async


def over_socket(server, *lines, path=WHOAMI):
    """Return what *server* answers to header *lines*, as they are on the wire."""
    address = urlsplit(server.url)
    head = [b"GET %s HTTP/1.0" % path.encode(), b"Host: " + address.netloc.encode(), *lines, b"", b""]
    with socket.create_connection((address.hostname, address.port), timeout=10) as connected:
        connected.sendall(b"\r\n".join(head))
        answer = b"".join(iter(lambda: connected.recv(65536), b""))
    before, _, content = answer.partition(b"\r\n\r\n")
    status, *headers = before.decode("latin-1").split("\r\n")
    pairs = dict(header.split(": ", 1) for header in headers)
    return RawResponse(status_code=int(status.split()[1]), headers=pairs, content=content)


def over_asgi(*headers, path=WHOAMI, query_string=b"", scheme="https"):
    """Return what Django's ASGI handler answers to *headers*, pairs of bytes."""

    async def send():
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query_string,
            "headers": [(b"host", b"testserver"), *headers],
            "client": ("127.0.0.1", 4711),
            "server": ("testserver", 443),
        }
        incoming: asyncio.Queue[Any] = asyncio.Queue()
        outgoing: list[Any] = []
        await incoming.put({"type": "http.request"})

        async def collect(message):
            outgoing.append(message)

        # A task of its own, as servers give each request.
        await asyncio.create_task(get_asgi_application()(scope, incoming.get, collect))
        return outgoing[0], b"".join(message.get("body", b"") for message in outgoing[1:])

    with connection_kept():
        start, content = run_async(send)
    pairs = {name.decode(): value.decode() for name, value in start["headers"]}
    return RawResponse(status_code=start["status"], headers=pairs, content=content)


@pytest.fixture
def plain_server(settings, live_server):
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_HTTPS": False}
    return live_server


@pytest.mark.django_db(transaction=True)
def test_a_real_server_answers_a_key_and_refuses_what_is_none(plain_server):
    issued = make_key()
    right = b"Authorization: Bearer " + issued.plaintext.encode()
    bad = {
        "two headers": ([right, right], 400, "invalid_request"),
        "two headers of two kinds": ([right, b"X-API-Key: x"], 400, "invalid_request"),
        "somebody else's first": ([b"Authorization: Basic dTpw", right], 400, "invalid_request"),
        "two X-API-Key": ([b"X-API-Key: a", b"X-API-Key: a"], 400, "invalid_request"),
        "not UTF-8": ([b"Authorization: Bearer ak_\xff\xfe"], 401, "key_malformed"),
        "NUL": ([b"X-API-Key: ak_live_\x00"], 401, "key_malformed"),
        "10 kB": ([b"Authorization: Api-Key ak_" + b"a" * 10_000], 401, "key_malformed"),
        "empty": ([b"X-API-Key:"], 401, "key_malformed"),
        "folded": ([right, b" ,x"], 400, "invalid_request"),
    }

    good = over_socket(plain_server, right)
    answers = {name: over_socket(plain_server, *lines) for name, (lines, _, _) in bad.items()}

    assert good.json()["key_id"] == issued.key.key_id
    assert {name: (answer.status_code, answer.json()["code"]) for name, answer in answers.items()} == {
        name: (status_code, code) for name, (_, status_code, code) in bad.items()
    }
    assert all(answer.headers["Content-Type"] == "application/json" for answer in answers.values())


@pytest.mark.django_db(transaction=True)
def test_a_real_server_does_not_let_a_header_with_underscores_pass_for_a_key(plain_server):
    answer = over_socket(plain_server, b"X_API_Key: " + make_key().plaintext.encode())

    assert code_of(answer) == "key_missing"


@pytest.mark.django_db
def test_asgi_answers_a_key_and_notes_its_use():
    issued = make_key()

    response = over_asgi((b"authorization", b"Bearer " + issued.plaintext.encode()))

    assert response.json()["key_id"] == issued.key.key_id
    assert APIKey.objects.get(pk=issued.key.pk).last_used_at is not None


@pytest.mark.django_db
def test_asgi_notes_a_use_also_where_a_project_listens_asynchronously():
    async def receiver(**kwargs):
        """Whatever a project does when a request starts."""

    issued = make_key()
    request_started.connect(receiver)
    try:
        response = over_asgi((b"x-api-key", issued.plaintext.encode()))
    finally:
        request_started.disconnect(receiver)

    assert response.status_code == 200
    assert APIKey.objects.get(pk=issued.key.pk).last_used_at is not None


@pytest.mark.django_db
def test_asgi_raises_the_alarm_of_a_dead_key():
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    response = over_asgi((b"x-api-key", issued.plaintext.encode()))

    assert code_of(response) == "key_revoked"
    assert KeyEvent.objects.get(kind=EventKind.USED_AFTER_END).key_id == issued.key.pk


ASGI_HEADERS = {
    "two headers": ([(b"authorization", b"Bearer KEY"), (b"authorization", b"Bearer KEY")], "invalid_request"),
    "two of two kinds": ([(b"authorization", b"Bearer KEY"), (b"x-api-key", b"KEY")], "invalid_request"),
    "somebody else's first": ([(b"authorization", b"Basic x"), (b"authorization", b"Bearer KEY")], "invalid_request"),
    "two X-API-Key": ([(b"x-api-key", b"KEY"), (b"x-api-key", b"KEY")], "invalid_request"),
    "not UTF-8": ([(b"authorization", b"Bearer ak_\xff\xfe")], "key_malformed"),
    "a lone surrogate in UTF-8": ([(b"x-api-key", b"ak_\xed\xa0\x80")], "key_malformed"),
    "NUL": ([(b"authorization", b"Api-Key ak_\x00")], "key_malformed"),
    "10 kB": ([(b"authorization", b"Bearer ak_" + b"a" * 10_000)], "key_malformed"),
    "empty": ([(b"x-api-key", b"")], "key_malformed"),
    "none": ([], "key_missing"),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("headers", "code"), ASGI_HEADERS.values(), ids=ASGI_HEADERS)
def test_asgi_refuses_bad_headers_with_a_body(headers, code):
    plaintext = make_key().plaintext.encode()

    response = over_asgi(*[(name, value.replace(b"KEY", plaintext)) for name, value in headers])

    assert response.status_code == (400 if code == "invalid_request" else 401)
    assert response.json()["code"] == code
    assert plaintext not in response.content


@pytest.mark.django_db
def test_asgi_refuses_a_key_in_the_address():
    issued = make_key()

    response = over_asgi(query_string=b"key=%61" + issued.plaintext[1:].encode())

    assert code_of(response) == "key_in_query"
    assert KeyEvent.objects.get(kind=EventKind.SENT_IN_QUERY).key_id == issued.key.pk


@pytest.mark.django_db
def test_asgi_refuses_a_key_in_the_clear():
    response = over_asgi((b"x-api-key", make_key().plaintext.encode()), scheme="http")

    assert code_of(response) == "https_required"
