from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils.log import AdminEmailHandler, ServerFormatter, log_response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apikeys.logging import RedactKeys
from apikeys.testing import make_key

from .logs import JSONFormatter, written_by
from .test_logging_redaction import Hidden, ThingToo, encoded
from .test_verification_secrecy import tells

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.test_logging_reports")]


def careless(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Hold the key in every way that a view can."""
    text = request.headers["X-API-Key"]
    long_bytes = b"Bearer " + text.encode() * 3
    in_objects = {"thing": [ThingToo(text)], "hidden": Hidden(text), "bytes": {"nested": (long_bytes,)}}
    encoded_text = encoded(text)
    request.COOKIES["kept"] = text
    raise RuntimeError(f"could not use {text}", in_objects, encoded_text)


def careful(request: HttpRequest) -> HttpResponse:
    order = request.GET["order"]
    raise RuntimeError(f"no order {order}")


def failing(request: HttpRequest) -> HttpResponse:
    """Fail after reading the body, and hold it as bytes and as what it says."""
    body = request.body
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    raise RuntimeError(len(body), data is None)


urlpatterns = [path("careless/<path:rest>", careless), path("careful/", careful), path("failing/", failing)]


@contextmanager
def mailing(*filters: logging.Filter) -> Iterator[list[str]]:
    """Mail the administrators what ``django.request`` reports, and return the mails as text."""
    mails: list[str] = []

    class Collecting(AdminEmailHandler):
        def send_mail(self, subject, message, *args, **kwargs):
            mails.append(f"{subject}\n{message}\n{kwargs['html_message']}")

    handler = Collecting(include_html=True)
    handler.setLevel(logging.ERROR)
    for each in filters:
        handler.addFilter(each)
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        yield mails
    finally:
        logger.removeHandler(handler)


def call(plaintext, *, accept="text/html"):
    return Client(raise_request_exception=False).post(
        f"/careless/{plaintext}?again={encoded(plaintext)}&key={plaintext}",
        {"key": plaintext, "note": f"my key is {plaintext}"},
        headers={"X-API-Key": plaintext, "Referer": f"https://example.com/?key={plaintext}", "Accept": accept},
        secure=True,
    )


def holds(text, plaintext):
    return tells(text, plaintext) or encoded(plaintext[-20:]) in text


@pytest.fixture
def reporter(settings):
    settings.DEFAULT_EXCEPTION_REPORTER = "apikeys.logging.ExceptionReporter"
    return settings


def test_django_alone_shows_the_key(settings):
    settings.DEBUG = True
    plaintext = make_key().plaintext

    assert holds(call(plaintext).content.decode(), plaintext)


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_no_debug_page_holds_a_key(reporter, accept):
    reporter.DEBUG = True
    plaintext = make_key().plaintext

    response = call(plaintext, accept=accept)

    page = response.content.decode()
    assert response.status_code == 500
    assert "could not use ak_live_" in page
    assert "in_objects" in page or accept == "text/plain"
    assert not holds(page, plaintext)


def test_no_mail_to_administrators_holds_a_key(reporter):
    plaintext = make_key().plaintext

    # The filter for the subject, which is a line of the log; the reporter for the report.
    with mailing(RedactKeys()) as mails:
        call(plaintext)

    [mail] = mails
    assert "could not use ak_live_" in mail
    assert "in_objects" in mail
    assert "REQUEST_METHOD" in mail
    assert not holds(mail, plaintext)


def test_a_report_without_a_key_says_what_django_says(settings):
    settings.DEBUG = True
    pages = []
    for name in ("django.views.debug.ExceptionReporter", "apikeys.logging.ExceptionReporter"):
        with override_settings(DEFAULT_EXCEPTION_REPORTER=name):
            page = Client(raise_request_exception=False).get("/careful/?order=5").content.decode()
            # Of objects in the memory, an id.
            lines = re.sub(r"\d{6,}|0x[0-9a-f]+", "", page).splitlines()
            pages.append([line for line in lines if "order" in line])

    assert len(pages[0]) > 5
    assert pages[0] == pages[1]


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
@pytest.mark.parametrize("letters", ["&<>", "'", "'\"", "\\", "+ ", "é\u2028"], ids=ascii)
def test_no_debug_page_holds_a_secret_of_oauth_whatever_letters_it_has(reporter, accept, letters):
    reporter.DEBUG = True
    halves = "hTq7vKzP2mWx", "Nc4RbY8sLd1J"
    form = {"client_secret": letters.join(halves), "grant_type": "client_credentials"}

    response = Client(raise_request_exception=False).post("/careful/?order=5", form, headers={"Accept": accept})

    page = response.content.decode()
    assert "no order 5" in page
    assert "client_credentials" in page
    assert [half for half in halves if half in page] == []


SECRET = "hTq7vKzP2mWxNc4RbY8sLd1J"
BROKEN: dict[str, dict[str, Any]] = {
    "letters that are no Base64": {"headers": {"Authorization": f"Basic {'é' * 20}{SECRET}"}},
    "JSON in JSON without end": {"query_params": {"q": '{"a":' + "[" * 9_000, "token": SECRET}},
    "half a letter": {"data": f'{{"token":"\\ud800{SECRET}", "refresh_token":"{SECRET}"}}'},
    "half a letter in a name": {"data": f'{{"\\ud800":"1", "token":"{SECRET}"}}'},
    "a number that is none": {"query_params": {"q": '{"a":' + "9" * 9_000 + "}", "token": SECRET}},
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=list(BROKEN))
def test_no_request_keeps_its_own_failure_from_being_told(reporter, sent):
    with mailing(RedactKeys()) as mails:
        response = send(**sent)

    [mail] = mails
    assert response.status_code == 500
    assert "RuntimeError" in mail
    assert SECRET not in mail


TEXTS = st.text(max_size=40) | st.sampled_from(["{", "Basic é", "a=%ff&", "?", '{"token":'])
HEADER_TEXTS = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40)
#: What JSON may hold, half letters among it.
JSON = st.recursive(
    st.none() | st.text(st.characters(), max_size=30) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["token", "secret", "a"]), inner),
    max_leaves=8,
)


# Each example is a report of its own, which takes a while.
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    authorization=st.sampled_from(["", "Basic ", "Bearer "]).flatmap(lambda scheme: HEADER_TEXTS.map(scheme.__add__)),
    query=st.dictionaries(st.sampled_from(["token", "q"]), TEXTS, max_size=2),
    data=TEXTS | JSON.map(json.dumps),
    content_type=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data; x"]),
)
def test_whatever_a_request_holds_its_failure_is_told(authorization, query, data, content_type):
    name = "apikeys.logging.ExceptionReporter"
    with override_settings(DEFAULT_EXCEPTION_REPORTER=name), mailing(RedactKeys()) as mails:
        send(headers={"Authorization": authorization}, query_params=query, data=data, content_type=content_type)

    assert ["RuntimeError" in mail for mail in mails] == [True]


def send(*, data="{}", content_type="application/json", **sent):
    client = Client(raise_request_exception=False)
    return client.post("/failing/", data=data.encode(errors="replace"), content_type=content_type, **sent)


@pytest.mark.parametrize("formatter", [logging.Formatter(), JSONFormatter()], ids=["text", "json"])
def test_no_line_of_django_request_holds_a_key(formatter):
    plaintext = make_key().plaintext

    with written_by("django.request", RedactKeys(), formatter=formatter) as stream:
        call(plaintext)

    assert "Internal Server Error" in stream.getvalue()
    assert "could not use ak_live_" in stream.getvalue()
    assert not holds(stream.getvalue(), plaintext)


def test_no_line_about_a_refusal_of_django_holds_a_key(rf):
    plaintext = make_key().plaintext
    request = rf.get(f"/{plaintext}/", headers={"X-API-Key": plaintext})

    with written_by("django.request", RedactKeys(), formatter=JSONFormatter()) as stream:
        log_response("Not Found: %s", request.path, response=HttpResponse(status=404), request=request)

    assert "Not Found: /ak_live_" in stream.getvalue()
    assert not holds(stream.getvalue(), plaintext)


def test_no_line_of_runserver_holds_a_key(rf):
    plaintext = make_key().plaintext
    handler = WSGIRequestHandler.__new__(WSGIRequestHandler)
    handler.request = rf.get("/")
    handler.server = WSGIServer.__new__(WSGIServer)
    formatter = ServerFormatter("[{server_time}] {message}", style="{")

    with written_by("django.server", RedactKeys(), formatter=formatter) as stream:
        handler.log_message('"%s" %s %s', f"GET /?key={plaintext} HTTP/1.1", "200", "12")

    assert '"GET /?key=ak_live_' in stream.getvalue()
    assert not holds(stream.getvalue(), plaintext)


def test_a_request_in_a_record_is_read_as_before_but_for_its_keys(rf):
    plaintext = make_key().plaintext
    request = rf.post(f"/{plaintext}/?key={plaintext}", {"a": "1"}, headers={"X-API-Key": plaintext})
    record = logging.makeLogRecord({"msg": "clean", "request": request})

    RedactKeys().filter(record)

    masked = vars(record)["request"]
    assert isinstance(masked, HttpRequest)
    assert masked.method == "POST"
    assert masked.POST["a"] == "1"
    assert masked.headers["x-api-key"].startswith("ak_live_")
    parts = (masked, masked.path, masked.META, masked.GET, masked.headers, masked.build_absolute_uri())
    assert not holds(repr(parts), plaintext)
    assert request.META["HTTP_X_API_KEY"] == plaintext
    assert not hasattr(masked, "nothing")
