from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.test import RequestFactory, override_settings
from django.utils import timezone
from django.views.debug import ExceptionReporter
from django.views.decorators.debug import sensitive_variables

from apikeys.core.credentials import RequestParts
from apikeys.resource_server import SignedTokenAuthentication, callers, connection, polling, signed_bearer, verifying

from .signed_requests import authority, make_token

#: What may fail, as the path of a request has it.
PLACES = {
    "reading the header": (signed_bearer, "looks_signed"),
    "checking the signature": (verifying, "verify"),
    "remembering": (verifying, "_fingerprint"),
    "fetching the keys": (connection, "_read_place"),
    "reading the list": (polling, "read_list"),
    "making the caller": (callers, "principal_of"),
}


@sensitive_variables()
def fail(*args: Any, **kwargs: Any) -> Any:
    raise ZeroDivisionError


def report_of(token: str) -> str:
    """What Django writes about the fault that *token* ends in, with the variables of every frame."""
    request: Any = RequestFactory().get("/")
    request.authenticators = []
    parts = RequestParts(headers={"authorization": f"Bearer {token}"}, is_secure=True)
    del token
    try:
        SignedTokenAuthentication().verify(request, parts, now=timezone.now())
    except ZeroDivisionError:
        # Developers see all of it.
        with override_settings(DEBUG=False):
            reporter = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info())
            return str(reporter.get_traceback_text() + reporter.get_traceback_html())
    raise AssertionError


@pytest.mark.parametrize(("module", "name"), PLACES.values(), ids=list(PLACES))
def test_fault_on_the_way_reports_neither_the_token_nor_the_key_of_this_server(monkeypatch, module, name):
    token = make_token()
    with authority():
        monkeypatch.setattr(module, name, fail)

        report = report_of(token)

    assert "ZeroDivisionError" in report
    for secret in (token, *token.split(".")[1:], "the-key-of-this-server"):
        assert secret not in report


def test_what_is_remembered_shows_no_token():
    token = make_token()
    with authority(REVOCATIONS_POLL_INTERVAL=timedelta(hours=1)):
        verified = verifying.verified(token, now=timezone.now())

    assert not [part for part in token.split(".") if part in repr(verified)]


PROGRAM = """
import sys
sys.modules["joserfc"] = None
from apikeys import resource_server
print(resource_server.IntrospectionAuthentication.__name__)
resource_server.SignedTokenAuthentication
"""


def test_server_without_the_extra_is_told_what_to_install():
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""}
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout == "IntrospectionAuthentication\n"
    assert done.stderr.endswith(
        'SignedTokenAuthentication needs joserfc: python -m pip install "path/to/apikeys[jwt]"\n'
    )
