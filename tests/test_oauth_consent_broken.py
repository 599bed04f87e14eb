from __future__ import annotations

import re

import pytest
from django.conf import settings as django_settings
from django.test import Client as Browser
from django.test import override_settings
from oauth2_provider.models import get_application_model, get_grant_model

from apikeys import clients
from apikeys.conf import settings
from apikeys.models import KeyEvent
from apikeys.oauth import consents
from tests.oauth import AUTHORIZE, CALLBACK, browser_of, make_app, make_person, press, question_in
from tests.oauth_pages import CHALLENGE, STATE, answer, ask, authorize_url, parameters_in, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def richard():
    return make_person("Richard")


def short_code(response):
    return "".join(re.findall(r"<code>(\w+)</code>", response.content.decode()))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"client_id": "unknown"}, "unknown_client", id="unknown-client"),
        pytest.param({"client_id": None}, "unknown_client", id="no-client"),
        pytest.param({"client_id": "\x00"}, "unknown_client", id="nul-client"),
        pytest.param({"redirect_uri": "https://evil.example/callback"}, "redirect_uri_mismatch", id="other-host"),
        pytest.param({"redirect_uri": f"{CALLBACK}/more"}, "redirect_uri_mismatch", id="other-path"),
        pytest.param({"redirect_uri": "callback"}, "redirect_uri_mismatch", id="relative"),
        pytest.param({"redirect_uri": "javascript:alert(1)"}, "redirect_uri_mismatch", id="script"),
    ],
)
def test_link_that_can_not_be_answered_is_called_broken_and_leads_nowhere(richard, change, code):
    response = ask(make_app(), richard, **change)

    text = text_of(response)
    assert response.status_code == 400
    assert "Location" not in response
    assert "This link is broken" in text
    assert "The app asked for something it may not have. Nothing was shared." in text
    assert short_code(response) == code
    assert "evil.example" not in re.sub(r'value="[^"]*"', "", response.content.decode())


def theirs_first(app, person):
    """As in a project that has the toolkit's page as well, where somebody visited that before."""
    browser_of(person).get(authorize_url(app).replace(AUTHORIZE, "/theirs/"), secure=True)


@pytest.mark.urls("tests.toolkit_urls")
def test_page_of_the_toolkit_lends_ours_nothing(richard):
    app = make_app()
    theirs_first(app, richard)

    press(browser_of(richard), authorize_url(app), {"allow": "yes", "scope": "todo:read todo:write"})

    assert consents.live(richard, app.client).scopes == ["todo:read"]


def over_http(person, method, path, data=None):
    return getattr(browser_of(person), method)(path, data or {}, secure=False)


class TestPlainHTTP:
    """RFC 6749 section 3.1: the endpoint is reached over TLS."""

    def test_page_is_not_shown(self, richard):
        response = over_http(richard, "get", authorize_url(make_app()))

        assert (response.status_code, short_code(response)) == (400, "https_required")

    def test_answer_gives_no_code(self, richard):
        app = make_app()
        question = question_in(ask(app, richard))

        response = over_http(richard, "post", authorize_url(app), {"allow": "yes", **question})

        assert response.status_code == 400
        assert consents.live(richard, app.client) is None
        assert not get_grant_model().objects.exists()

    def test_nobody_is_sent_to_sign_in(self, client):
        response = client.get(authorize_url(make_app()), secure=False)

        assert short_code(response) == "https_required"

    @pytest.mark.parametrize("path", ["device/", "connected-apps/", "device-done/allowed/"])
    def test_pages_of_people_are_not_shown(self, richard, path):
        response = over_http(richard, "get", f"/o/{path}")

        assert (response.status_code, short_code(response)) == (400, "https_required")

    def test_nothing_is_withdrawn(self, richard):
        app = make_app()
        consents.give(richard, app.client, scopes=["todo:read"])

        over_http(richard, "post", f"/o/connected-apps/{app.client.client_id}/withdraw/")

        assert consents.live(richard, app.client) is not None

    def test_project_that_allows_it_shows_the_page(self, richard):
        with override_settings(APIKEYS={**settings.given(), "REQUIRE_HTTPS": False}):
            response = over_http(richard, "get", authorize_url(make_app()))

        assert response.status_code == 200


def test_repeated_parameter_is_a_broken_link(richard, client):
    client.force_login(richard)

    response = client.get(f"{authorize_url(make_app())}&scope=todo:write", secure=True)

    assert (response.status_code, short_code(response)) == (400, "invalid_request")


@pytest.mark.parametrize(
    "query", ["client_id=%zz", "client_id=%00", "client_id=%ff%fe", "client_id=%ED%A0%80", "%", "a" * 20_000]
)
@pytest.mark.parametrize("is_signed_in", [True, False], ids=["signed-in", "signed-out"])
def test_query_that_is_no_text_is_a_broken_link(richard, query, is_signed_in):
    browser = Browser()
    if is_signed_in:
        browser.force_login(richard)

    response = browser.get(f"{AUTHORIZE}?{query}&prompt=none", secure=True)

    assert response.status_code == 400
    assert "This link is broken" in text_of(response)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"code_challenge": None, "code_challenge_method": None}, "invalid_request", id="no-pkce"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain-pkce"),
        pytest.param({"code_challenge_method": None}, "invalid_request", id="no-method"),
        pytest.param({"code_challenge": CHALLENGE[:-1]}, "invalid_request", id="short-challenge"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="implicit"),
        pytest.param({"response_type": None}, "invalid_request", id="no-type"),
        pytest.param({"scope": "todo:read usage:read"}, "invalid_scope", id="above-ceiling"),
        pytest.param({"scope": "todo:all"}, "invalid_scope", id="unknown-scope"),
        pytest.param({"scope": "apikeys:keys"}, "invalid_scope", id="reserved-scope"),
        pytest.param({"scope": "todo:read " * 1000}, None, id="ten-kilobytes-of-one-scope"),
        pytest.param({"resource": "nonsense"}, "invalid_target", id="resource"),
    ],
)
def test_request_that_asks_for_too_much_goes_back_with_its_standard_error(richard, change, error):
    response = ask(make_app(), richard, **change)

    if error is None:
        assert response.status_code == 200
    else:
        assert response["Location"].startswith(f"{CALLBACK}?")
        assert (parameters_in(response)["error"], parameters_in(response)["state"]) == (error, STATE)
        assert not get_grant_model().objects.exists()


@pytest.mark.parametrize("change", [{"code_challenge_method": "plain"}, {"scope": "usage:read"}, {"client_id": "x"}])
def test_form_is_checked_as_the_page_was(richard, change):
    app = make_app()

    answer(app, richard, **change)

    assert consents.live(richard, app.client) is None
    assert not get_grant_model().objects.exists()


def test_refusal_leaves_one_event_however_often_it_comes(richard):
    app = make_app()

    for _time in range(3):
        ask(app, richard, scope="usage:read")

    event = KeyEvent.objects.get(kind="oauth_refused")
    assert (event.client, event.details) == (app.client, {"error": "invalid_scope"})


def test_answer_of_the_person_is_no_refusal(richard):
    app = make_app()

    answer(app, richard, allow="no")
    ask(app, richard, prompt="none")

    assert not KeyEvent.objects.filter(kind="oauth_refused").exists()


def test_disabled_client_is_an_unknown_one(richard):
    app = make_app()
    clients.disable(app.client)

    assert short_code(ask(app, richard)) == "unknown_client"


@pytest.mark.parametrize("scope", ["todo:read", "todo:all"], ids=["right", "refused"])
@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "javascript://localhost/%0aalert(1)", "http://app.example/"]
)
def test_address_that_came_past_the_form_leads_nowhere(richard, address, scope):
    app = make_app()
    get_application_model().objects.filter(client_id=app.client_id).update(redirect_uris=address)

    response = ask(app, richard, redirect_uri=address, scope=scope)

    assert short_code(response) == "redirect_uri_mismatch"


def test_ceiling_that_is_lowered_while_the_page_is_read_gives_nothing(richard):
    app = make_app()
    ask(app, richard, scope="todo:write")
    clients.set_ceiling(app.client, scopes=["todo:read"])

    response = answer(app, richard, scope="todo:write")

    assert parameters_in(response)["error"] == "invalid_scope"
    assert consents.live(richard, app.client) is None


def test_form_of_another_site_is_refused(richard):
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(richard)
    app = make_app()

    response = browser.post(authorize_url(app), {"allow": "yes"}, secure=True)

    assert response.status_code == 403
    assert consents.live(richard, app.client) is None


@pytest.mark.parametrize("method", ["head", "put", "delete", "options"])
def test_other_methods_give_nothing(richard, method):
    browser = Browser()
    browser.force_login(richard)
    app = make_app()
    answer(app, richard)

    response = browser.generic(method.upper(), authorize_url(app), secure=True)

    assert response.status_code == 405
    assert get_grant_model().objects.count() == 1


class TestSwitchingAccounts:
    """“Not you?”."""

    def test_signs_out_and_comes_back_to_the_question(self, richard, client):
        client.force_login(richard)
        here = authorize_url(make_app())

        response = client.post("/o/switch-account/", {"next": here}, secure=True)

        assert response.status_code == 303
        assert response["Location"].startswith(f"{django_settings.LOGIN_URL}?next=/o/authorize/%3Fclient_id")
        assert "_auth_user_id" not in client.session

    @pytest.mark.parametrize(
        "address", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "", "evil"]
    )
    def test_leads_to_no_other_site(self, richard, client, address):
        client.force_login(richard)

        response = client.post("/o/switch-account/", {"next": address}, secure=True)

        assert response["Location"] == f"{django_settings.LOGIN_URL}?next=/"

    def test_does_nothing_by_get(self, richard, client):
        client.force_login(richard)

        assert client.get("/o/switch-account/", secure=True).status_code == 405
        assert "_auth_user_id" in client.session
