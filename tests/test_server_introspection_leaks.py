from __future__ import annotations

import logging
import secrets
import sys

import pytest
from django.test import RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter
from rest_framework.request import Request

from apikeys.core.credentials import RequestParts
from apikeys.resource_server import IntrospectionAuthentication, answers, connection, sockets

from .authority_stand_in import Reply, as_json
from .introspected import SERVER_KEY, SERVICE, asking, authority, bearer, get, new_key

KEY = new_key()
# Not written here: reports quote sources.
TOKEN = secrets.token_urlsafe(16)


def fail(*args, **kwargs):
    raise ZeroDivisionError


def fail_to_write_the_form(monkeypatch):
    monkeypatch.setattr(connection, "urlencode", fail)


def fail_to_connect(monkeypatch):
    monkeypatch.setattr(sockets, "connect", fail)


def fail_to_send(monkeypatch):
    # The frames of http.client hold header fields and body.
    monkeypatch.setattr(connection._Connection, "connect", lambda self: None)  # noqa: SLF001
    monkeypatch.setattr(connection._Connection, "send", fail)  # noqa: SLF001


def fail_to_read(monkeypatch):
    monkeypatch.setattr(connection, "post", lambda *args, **kwargs: connection.Answer(status=200, body=b"{}"))
    monkeypatch.setattr(answers, "read", fail)


def report_of(credential):
    """What Django writes about the fault that *credential* ends in, with the variables of every frame."""
    parts = RequestParts(headers={"authorization": f"Bearer {credential}"}, is_secure=True)
    del credential
    try:
        IntrospectionAuthentication().verify(Request(RequestFactory().get("/")), parts, now=timezone.now())
    except ZeroDivisionError:
        reporter = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info())
        return reporter.get_traceback_text() + reporter.get_traceback_html()
    raise AssertionError


@pytest.mark.parametrize(
    "break_", [fail_to_write_the_form, fail_to_connect, fail_to_send, fail_to_read], ids=lambda break_: break_.__name__
)
@pytest.mark.parametrize("credential", [KEY, TOKEN], ids=["key", "token"])
def test_a_fault_on_the_way_reports_neither_the_credential_nor_the_servers_key(monkeypatch, break_, credential):
    with asking("https://auth.example.com/", debug=False):
        break_(monkeypatch)
        report = report_of(credential)

    assert "ZeroDivisionError" in report
    assert credential not in report
    assert SERVER_KEY not in report


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(as_json(SERVICE), id="active"),
        pytest.param(as_json({"active": False}), id="inactive"),
        pytest.param(Reply(status=401), id="own-key-refused"),
        pytest.param(Reply(raw=b""), id="no-answer"),
        pytest.param(Reply(body=TOKEN.encode()), id="no-json"),
        pytest.param(Reply(raw=f"HTTP/1.1 {TOKEN}\r\n".encode()), id="no-status"),
    ],
)
@pytest.mark.parametrize("credential", [KEY, TOKEN], ids=["key", "token"])
def test_no_line_and_no_answer_holds_a_credential(caplog, reply, credential):
    caplog.set_level(logging.DEBUG)
    with authority(reply):
        response = get(**bearer(credential))

    told = f"{caplog.text} {[vars(record) for record in caplog.records]!r} {response.content!r} {response.headers!r}"
    assert credential not in told
    assert SERVER_KEY not in told


def test_what_is_told_of_a_caller_shows_no_claims_and_no_answer():
    answer = connection.Answer(status=200, body=as_json({**SERVICE, "subscription": "premium"}).body)

    assert "premium" not in repr(answer)
    assert "premium" not in repr(answers.read(answer.body))
