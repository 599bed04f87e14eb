from __future__ import annotations

import itertools
import logging
import sys
from datetime import timedelta

import pytest
from django.core import signals
from django.utils import timezone
from django.utils.log import AdminEmailHandler

from apikeys import clients, keys
from apikeys.core.verifiers import Argon2idHasher
from apikeys.models import APIKey, KeyEvent
from apikeys.testing import ApiKeyClient, assert_not_stored, make_key

from .request_path import WHOAMI, with_right_tag, wsgi_request

pytestmark = pytest.mark.django_db

#: So much of a secret, wherever it shows up, is no chance.
_TELLING = 10


def tells(text, plaintext):
    """Return whether *text* holds the secret of *plaintext*, or a telling part of it."""
    secret = plaintext.rpartition("_")[2]
    pieces = (secret[start : start + _TELLING] for start in range(len(secret) - _TELLING + 1))
    return any(piece in text for piece in pieces)


def everything_in(record):
    # Django hands its own handlers the request, whose address and headers are what was sent.
    extra = [repr(value) for name, value in record.__dict__.items() if name != "request"]
    return " ".join([logging.Formatter().format(record), *extra])


def revoked(issued):
    keys.revoke(issued.key, reason="leaked")


def expired(issued):
    APIKey.objects.filter(pk=issued.key.pk).update(expires_at=timezone.now())


def rotated(issued):
    keys.rotate(issued.key, overlap=timedelta(0))


def client_disabled(issued):
    clients.disable(issued.key.client)


def owner_disabled(issued):
    type(issued.key.owner).objects.filter(pk=issued.key.owner_id).update(is_active=False)


def address_closed(issued):
    APIKey.objects.filter(pk=issued.key.pk).update(allowed_networks=[])


def stays(issued):
    pass


#: What happens to the key, how it is sent, and the code of the answer.
SENT = {
    "taken": (stays, {"HTTP_X_API_KEY": "KEY"}, None),
    "revoked": (revoked, {"HTTP_X_API_KEY": "KEY"}, "key_revoked"),
    "expired": (expired, {"HTTP_X_API_KEY": "KEY"}, "key_expired"),
    "rotated": (rotated, {"HTTP_X_API_KEY": "KEY"}, "key_rotated"),
    "client disabled": (client_disabled, {"HTTP_X_API_KEY": "KEY"}, "client_disabled"),
    "owner disabled": (owner_disabled, {"HTTP_X_API_KEY": "KEY"}, "owner_disabled"),
    "address": (address_closed, {"HTTP_X_API_KEY": "KEY"}, "ip_not_allowed"),
    "doubled": (stays, {"HTTP_X_API_KEY": "KEY,KEY"}, "invalid_request"),
    "cut off": (stays, {"HTTP_X_API_KEY": "CUT"}, "key_malformed"),
    "mistyped": (stays, {"HTTP_AUTHORIZATION": "Bearer TYPO"}, "key_invalid"),
    "in the clear": (stays, {"HTTP_AUTHORIZATION": "Bearer KEY", "wsgi.url_scheme": "http"}, "https_required"),
    "in the address": (stays, {"QUERY_STRING": "key=KEY"}, "key_in_query"),
    "hidden in the address": (stays, {"QUERY_STRING": "key=%61k_REST"}, "key_in_query"),
}


def sent(environ, plaintext):
    letters = {
        "KEY": plaintext,
        "CUT": plaintext[:-1],
        "TYPO": plaintext[:-1] + ("x" if plaintext[-1] != "x" else "y"),
        "REST": plaintext[3:],
    }
    for word, letter in itertools.product(letters, environ):
        environ = environ | {letter: environ[letter].replace(word, letters[word])}
    return environ


@pytest.mark.parametrize(("happens", "environ", "code"), SENT.values(), ids=SENT)
def test_no_answer_record_event_or_cache_holds_the_key(caplog, happens, environ, code):
    caplog.set_level(logging.DEBUG)
    issued = make_key()
    happens(issued)

    response = wsgi_request(**sent(environ, issued.plaintext))

    assert response.json().get("code") == code
    assert not tells(response.content.decode() + repr(response.headers), issued.plaintext)
    assert not [record for record in caplog.records if tells(everything_in(record), issued.plaintext)]
    assert not tells(repr(list(KeyEvent.objects.values_list())), issued.plaintext)
    assert not tells(repr(list(APIKey.objects.values_list())), issued.plaintext)
    assert_not_stored(issued.plaintext)


@pytest.mark.parametrize(
    ("happens", "environ", "code"),
    [case for name, case in SENT.items() if name != "taken"],
    ids=[name for name in SENT if name != "taken"],
)
def test_a_refused_key_is_one_line_in_the_log(caplog, happens, environ, code):
    caplog.set_level(logging.DEBUG, logger="apikeys")
    issued = make_key()
    happens(issued)

    wsgi_request(**sent(environ, issued.plaintext))

    records = [record for record in caplog.records if record.name == "apikeys.auth" and record.levelname == "INFO"]
    assert [(record.getMessage(), record.reason, record.exc_info) for record in records] == [
        ("credential refused", code, None)
    ]
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


@pytest.fixture
def reports():
    """What Django would mail to the administrators."""
    collected: list[str] = []

    class Collecting(AdminEmailHandler):
        def send_mail(self, subject, message, *args, **kwargs):
            collected.append(subject + message + kwargs["html_message"])

    handler = Collecting(include_html=True)
    handler.setLevel(logging.ERROR)
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    yield collected
    logger.removeHandler(handler)


HEADERS = {
    "bearer": {"HTTP_AUTHORIZATION": "Bearer KEY"},
    "api-key": {"HTTP_AUTHORIZATION": "Api-Key KEY"},
    "x-api-key": {"HTTP_X_API_KEY": "KEY"},
}
headers = pytest.mark.parametrize("environ", HEADERS.values(), ids=HEADERS)
debug = pytest.mark.parametrize("debug", [True, False], ids=["debug page", "mail to administrators"])


def report_of(response, reports):
    return response.content.decode() + "".join(reports)


@headers
@debug
@pytest.mark.urls("tests.request_path_urls")
def test_no_report_of_a_view_that_fails_holds_the_key(settings, reports, environ, debug):
    settings.DEBUG = debug
    issued = make_key()

    response = wsgi_request("/broken/", **sent(environ, issued.plaintext))

    report = report_of(response, reports)
    assert response.status_code == 500
    assert "a fault of the project" in report
    assert not tells(report, issued.plaintext)


class Failing(Argon2idHasher):
    """A verifier that fails where the key is in work."""

    def matches(self, proof, verifier):
        raise RuntimeError("a fault of the verifier")


@headers
@debug
def test_no_report_of_a_verification_that_fails_holds_the_key(settings, reports, environ, debug):
    issued = make_key()
    settings.DEBUG = debug
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.test_verification_secrecy.Failing"]}

    response = wsgi_request(**sent(environ, issued.plaintext))

    report = report_of(response, reports)
    assert response.status_code == 500
    assert "a fault of the verifier" in report
    assert not tells(report, issued.plaintext)


def test_no_frame_of_ours_shows_the_key_to_who_reads_them_unfiltered(settings):
    # As an error tracker does.
    seen = []

    def track(sender, request, **kwargs):
        traceback = sys.exc_info()[2]
        while traceback is not None:
            if traceback.tb_frame.f_globals["__name__"].startswith("apikeys."):
                seen.append(repr(traceback.tb_frame.f_locals))
            traceback = traceback.tb_next

    issued = make_key()
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.test_verification_secrecy.Failing"]}
    signals.got_request_exception.connect(track)
    try:
        wsgi_request(HTTP_X_API_KEY=issued.plaintext)
    finally:
        signals.got_request_exception.disconnect(track)

    assert len(seen) > 3
    assert not [variables for variables in seen if tells(variables, issued.plaintext)]


def test_a_guess_is_not_logged_with_the_id_it_guessed(caplog):
    caplog.set_level(logging.DEBUG, logger="apikeys")
    issued = make_key()

    ApiKeyClient(with_right_tag(issued.key.key_id)).get(WHOAMI)

    assert [record.key_id for record in caplog.records if record.name == "apikeys.auth"] == [""]
