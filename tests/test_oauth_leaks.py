from __future__ import annotations

import base64
import inspect
import json
import logging
import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from authlib.common.security import generate_token
from django.core import checks
from django.db import transaction
from django.test import Client as Browser
from django.test import RequestFactory
from oauth2_provider.signals import app_authorized
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import usage
from apikeys.drf import HasScopes
from apikeys.logging import ExceptionReporter, RedactKeys
from apikeys.models import Client
from apikeys.oauth import OAuthTokenAuthentication, log_checks
from apikeys.oauth.models import ClientApplication
from apikeys.oauth.sign_in import DEVICE_CODE
from apikeys.oauth.testing import make_token
from apikeys.testing import assert_not_stored
from tests.factories import PersonFactory
from tests.oauth import (
    CALLBACK,
    TOKEN,
    App,
    approve_device,
    authorization_url,
    bearer,
    browser_of,
    client_credentials,
    code_in,
    exchange,
    get_code,
    get_token,
    make_app,
    make_person,
    poll_device,
    press,
    refresh,
    revoke,
    start_device,
)
from tests.test_logging_reports import mailing

pytestmark = pytest.mark.django_db

LIBRARIES = ["oauthlib", "oauth2_provider"]
ADD = "/admin/apikeys/client/add/"
CONNECTED = "/o/connected-apps/"


class Walk:
    """Everything that an app and people do, and the secrets that were seen on the way, by what they are."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.browsers: list[Browser] = []

    def register(self, operator) -> App:
        browser = self._browser_of(operator)
        form = {
            "name": "LLM Summariser",
            "kind": "third_party",
            "is_active": "on",
            "allowed_scopes": ["todo:read"],
            "sign_in": "authorization-code",
            "redirect_uris": "https://app.example/callback",
        }
        page = browser.post(ADD, form | hidden_in(browser.get(ADD, secure=True)), secure=True)
        first = secret_in(page)
        client = Client.objects.get(name="LLM Summariser")
        address = f"/admin/apikeys/client/{client.pk}/secret/"
        page = browser.post(address, hidden_in(browser.get(address, secure=True)), secure=True)
        second = secret_in(page)
        self.secrets |= {"the first client secret": first, "the second client secret": second}
        return App(link=ClientApplication.objects.get(client=client), secret=second)

    def grant(self, app: App, person) -> None:
        verifier = generate_token(48)
        browser = self._browser_of(person)
        url = authorization_url(app, verifier)
        code = code_in(press(browser, url, {"allow": "yes"})["Location"])
        unused = get_code(app, person)
        token = get_token(app, person)
        fresh = refresh(app, token["refresh_token"]).json()
        assert ask(fresh["access_token"]) == 200
        assert refresh(app, token["refresh_token"]).status_code == 400
        self._keep("the granted", token)
        self._keep("the refreshed", fresh)
        self.secrets |= {"a code": code, "its verifier": verifier, "an unused code": unused.code}

    def refuse(self, app: App, person) -> None:
        code = get_code(app, person)
        assert exchange(app, code, code_verifier="x" * 43).status_code == 400
        assert exchange(app, code, redirect_uri="https://evil.example/").status_code == 400
        token = exchange(app, code).json()
        assert ask(token["access_token"]) == 200
        assert exchange(app, code).status_code == 400
        self._keep("the replayed", token)
        revoked = get_token(app, person)
        assert revoke(app, revoked["access_token"]).status_code == 200
        self._keep("the revoked", revoked)
        assert ask(token["access_token"]) == 401
        assert ask(revoked["access_token"]) == 401
        assert ask("", query={"access_token": revoked["access_token"]}) == 400

    def start(self, person) -> None:
        watch = make_app(DEVICE_CODE)
        started = start_device(watch).json()
        poll_device(watch, started["device_code"])
        approve_device(watch, person, started)
        self._keep("the watch's", poll_device(watch, started["device_code"]).json())
        waiting = start_device(watch).json()
        self.secrets |= {"a device code": started["device_code"], "one that waits": waiting["device_code"]}

    def count(self) -> None:
        self._keep("the numbers'", client_credentials(make_app("client-credentials"), scope="todo:read").json())

    def withdraw(self, app: App, person) -> None:
        browser = self._browser_of(person)
        address = f"{CONNECTED}{app.client_id}/withdraw/"
        browser.get(CONNECTED, secure=True)
        browser.post(address, hidden_in(browser.get(address, secure=True)), secure=True)

    def cookies(self) -> dict[str, object]:
        return {f"cookies of browser {number}": browser.cookies for number, browser in enumerate(self.browsers)}

    def _keep(self, whose: str, answer: dict[str, str]) -> None:
        names = [name for name in ("access_token", "refresh_token") if name in answer]
        assert names, answer
        self.secrets |= {f"{whose} {name}": answer[name] for name in names}

    def _browser_of(self, person) -> Browser:
        self.browsers.append(browser_of(person))
        return self.browsers[-1]


class Todos(APIView):
    authentication_classes = [OAuthTokenAuthentication]
    permission_classes = [HasScopes("todo:read")]

    def get(self, request):
        return Response({"person": request.user.get_username()})


def ask(token: str, *, query: dict[str, str] | None = None) -> int:
    """Return the status of a request for to-dos with *token*."""
    headers = bearer(token) if token else {}
    request = RequestFactory().get("/todos/", query, headers=headers, secure=True)
    with transaction.atomic():  # what a refusal rolls back where each request is a transaction
        return Todos.as_view()(request).status_code


def hidden_in(response) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', response.content.decode())
    return {name: unescape(value) for name, value in found}


def secret_in(response) -> str:
    (secret,) = re.findall(r'id="new-key" value="([^"]+)"', response.content.decode())
    return unescape(secret)


@pytest.fixture
def walked(caplog):
    """Everything happened, with all loggers at their most talkative but those that were told otherwise."""
    caplog.set_level(logging.DEBUG)
    richard, walk = make_person(), Walk()
    app = walk.register(PersonFactory(is_superuser=True))
    walk.grant(app, richard)
    walk.refuse(app, richard)
    walk.start(richard)
    walk.count()
    walk.withdraw(app, richard)
    usage.flush()
    return walk


def test_no_table_cache_cookie_or_log_holds_a_secret_of_oauth(walked, caplog):
    records = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)

    assert len(walked.secrets) >= 15
    for secret in walked.secrets.values():
        assert_not_stored(secret, also={"the log": caplog.text, "its records": records, **walked.cookies()})


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_are_quiet_about_secrets_by_themselves(library):
    assert not logging.getLogger(library).isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_level_that_the_project_set_for_a_library_stays(caplog, library):
    caplog.set_level(logging.DEBUG, logger=library)

    log_checks.quiet_libraries()

    assert logging.getLogger(library).level == logging.DEBUG


def debugging():
    found = checks.run_checks(tags=["apikeys"], include_deployment_checks=True)
    return [warning for warning in found if warning.id == "apikeys.W217"]


def test_a_library_that_debugs_tells_codes_and_the_check_says_so(caplog):
    caplog.set_level(logging.DEBUG, logger="oauthlib")

    code = get_code(make_app(), make_person())

    assert code.code in caplog.text
    assert [warning.msg.split("'")[1] for warning in debugging()] == ["oauthlib"]


def test_a_part_of_a_library_that_debugs_is_found_by_its_own_name(caplog):
    caplog.set_level(logging.DEBUG, logger="oauthlib.oauth2.rfc6749.grant_types.authorization_code")

    assert [warning.msg.split("'")[1] for warning in debugging()] == [
        "oauthlib.oauth2.rfc6749.grant_types.authorization_code"
    ]


@pytest.fixture
def failing():
    """A receiver of the project's own that fails once a token is made; it notes the answer that nobody gets."""
    answers = []

    def receiver(sender, request, token, **kwargs):
        frame = inspect.currentframe()
        while "access_token" not in frame.f_locals:
            frame = frame.f_back
        answers.append(json.loads(frame.f_locals["body"]))
        raise RuntimeError("the project's own fault")

    app_authorized.connect(receiver)
    yield answers
    app_authorized.disconnect(receiver)


def by_code(app, person):
    code = get_code(app, person)
    return {"grant_type": "authorization_code", "code": code.code, "code_verifier": code.verifier}


def by_device_code(app, person):
    started = start_device(app).json()
    approve_device(app, person, started)
    return {"grant_type": DEVICE_CODE, "device_code": started["device_code"]}


#: How the app signs in, what it sends, and whether its secret goes as HTTP Basic.
WAYS = [
    pytest.param(("authorization-code", by_code, True), id="code, basic"),
    pytest.param(("authorization-code", by_code, False), id="code, body"),
    pytest.param((DEVICE_CODE, by_device_code, True), id="device code"),
]


def fail(app, sent, **options):
    """Send *sent* with the secret of *app*, in its body or as HTTP Basic, and return answer and secrets."""
    http = Browser(raise_request_exception=False)
    secrets = [value for name, value in sent.items() if name != "grant_type"] + [app.secret]
    if options.pop("basic"):
        text = base64.b64encode(f"{app.client_id}:{app.secret}".encode()).decode()
        options["headers"] = {**options.get("headers", {}), "authorization": f"Basic {text}"}
        secrets.append(text)
    else:
        sent = {**sent, "client_id": app.client_id, "client_secret": app.secret}
    form = urlencode({**sent, "redirect_uri": CALLBACK})
    return http.post(TOKEN, form, content_type="application/x-www-form-urlencoded", secure=True, **options), secrets


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
@pytest.mark.parametrize("way", WAYS)
def test_no_debug_page_holds_a_secret_of_oauth(settings, failing, way, accept):
    sign_in, sent_by, basic = way
    settings.DEBUG = True
    settings.DEFAULT_EXCEPTION_REPORTER = "apikeys.logging.ExceptionReporter"
    app = make_app(sign_in)

    response, secrets = fail(app, sent_by(app, make_person()), basic=basic, headers={"accept": accept})

    page = response.content.decode()
    assert response.status_code == 500
    assert "the project" in page
    told = [failing[0]["access_token"], failing[0]["refresh_token"]]
    assert [secret for secret in [*secrets, *told] if secret in page] == []


def test_no_mail_about_a_failure_holds_a_secret_of_oauth(settings, failing):
    settings.DEFAULT_EXCEPTION_REPORTER = "apikeys.logging.ExceptionReporter"
    app = make_app()

    with mailing(RedactKeys()) as mails:
        _response, secrets = fail(app, by_code(app, make_person()), basic=True)

    [mail] = mails
    told = [failing[0]["access_token"], failing[0]["refresh_token"]]
    assert [secret for secret in [*secrets, *told] if secret in mail] == []


def test_a_failing_view_shows_no_token_of_its_caller(settings):
    settings.DEBUG = True
    token = make_token(scopes="todo:read").plaintext
    request = RequestFactory().get("/todos/", headers=bearer(token), secure=True)

    with pytest.raises(ZeroDivisionError) as raised:
        divide_for(request)
    report = ExceptionReporter(request, raised.type, raised.value, raised.tb)

    assert token not in report.get_traceback_html()
    assert token not in report.get_traceback_text()


def divide_for(request):
    access_token = request.headers["Authorization"].removeprefix("Bearer ")
    return len(access_token) / 0


@pytest.mark.parametrize("fields", [{}, {"user": None}], ids=["of a person", "of nobody"])
def test_a_token_of_the_tests_works_and_is_stored_nowhere(fields: dict[str, Any]):
    made = make_token(scopes="todo:read", **fields)

    assert ask(made.plaintext) == 200
    assert (made.user is None) == ("user" in fields)
    assert_not_stored(made.plaintext, also={"repr": repr(made)})
