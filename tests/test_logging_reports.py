from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils.log import AdminEmailHandler, ServerFormatter, log_response

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


urlpatterns = [path("careless/<path:rest>", careless), path("careful/", careful)]


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
