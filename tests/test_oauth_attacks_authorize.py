from __future__ import annotations

import pytest
from django.test import Client as Browser
from oauth2_provider.models import get_grant_model

from apikeys import clients
from apikeys.oauth import consents
from tests import oauth
from tests.oauth_pages import CHALLENGE, answer, ask, parameters_in

pytestmark = pytest.mark.django_db

REGISTERED = "https://app.example/callback"


def both_ways(app, person, **changes):
    """Return what comes of reading the page at an address with *changes*, and of pressing Allow there."""
    return ask(app, person, **changes), answer(app, person, **changes)


# Where a code may go


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://app.example/callback/",
        "https://app.example/callback/../callback",
        "https://app.example/Callback",
        "https://app.example/callback;x=1",
        "https://app.example//callback",
        "https://app.example/callback%2f",
        "https://app.example:443/callback",
        "https://app.example:8443/callback",
        "https://app.example:x/callback",
        "https://app.example/callback?next=https://evil.example",
        "https://app.example/callback?",
        "https://app.example/callback#",
        "https://app.example/callback#x",
        "https://evil@app.example/callback",
        "https://app.example@evil.example/callback",
        "https://app.example\\@evil.example/callback",
        "https://app.example.evil.example/callback",
        "https://evil-app.example/callback",
        "https://sub.app.example/callback",
        "https://APP.example/callback",
        "https://\u0430pp.example/callback",
        "https://xn--pp-6kc.example/callback",
        "https://[::1/callback",
        "https://app.example/call\tback",
        "https://app.example/callback\n",
        " https://app.example/callback",
        "http://app.example/callback",
        "javascript:alert(1)//app.example/callback",
        "//app.example/callback",
        "/callback",
        "",
        "https://app.example/callback https://app.example/callback",
    ],
    ids=[
        "slash at the end",
        "dots",
        "case of the path",
        "path parameter",
        "two slashes",
        "escaped slash",
        "default port",
        "another port",
        "no port",
        "query",
        "empty query",
        "empty fragment",
        "fragment",
        "user",
        "host as user",
        "backslash",
        "longer host",
        "host with the same end",
        "subdomain",
        "case of the host",
        "letter that looks the same",
        "its punycode",
        "broken host",
        "tab",
        "line end",
        "space before",
        "without TLS",
        "script",
        "no scheme",
        "path alone",
        "empty",
        "twice",
    ],
)
def test_a_code_goes_to_no_address_but_a_registered_one(redirect_uri):
    app, person = oauth.make_app(redirect_uris=[REGISTERED, "https://app.example/other"]), oauth.make_person()

    for response in both_ways(app, person, redirect_uri=redirect_uri):
        assert response.status_code == 400
        assert "Location" not in response
    assert oauth.issued() == (0, 0, 0)
    assert consents.live(person, app.client) is None
    assert oauth.refusals() == [(app.client.name, "invalid_request")]


@pytest.mark.parametrize(
    ("registered", "asked", "is_right"),
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", True),
        ("http://[::1]/cb", "http://[::1]:51004/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/other", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example:51004/cb", False),
        ("http://127.0.0.1/cb", "http://localhost:51004/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb?x=1", False),
        ("http://127.0.0.1/cb", "http://me@127.0.0.1:51004/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/\tcb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb", False),
        ("https://127.0.0.1/cb", "https://127.0.0.1:51004/cb", False),
    ],
    ids=[
        "any port",
        "any port of IPv6",
        "another path",
        "longer host",
        "name for it",
        "query",
        "user",
        "tab",
        "no port",
        "with TLS",
    ],
)
def test_an_app_on_the_persons_own_machine_chooses_the_port_and_nothing_else(registered, asked, is_right):
    app, person = oauth.make_app(redirect_uris=[registered], is_public=True), oauth.make_person()

    response = answer(app, person, redirect_uri=asked)

    assert (response.status_code in {302, 303}) is is_right
    assert (get_grant_model().objects.count() == 1) is is_right


# What proves that the app which asked is the one that comes back


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": ""},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge_method": "S512"},
        {"code_challenge": CHALLENGE[:-1]},
        {"code_challenge": CHALLENGE + "A"},
        {"code_challenge": CHALLENGE + "="},
        {"code_challenge": "A" * 10_000},
    ],
    ids=["none", "empty", "method left out", "plain", "other case", "unknown", "short", "long", "padded", "10 kB"],
)
def test_without_an_s256_challenge_nobody_is_asked(changes):
    app, person = oauth.make_app(), oauth.make_person()

    for response in both_ways(app, person, **changes):
        assert parameters_in(response)["error"] == "invalid_request"
        assert response["Location"].startswith(f"{REGISTERED}?")
    assert oauth.issued() == (0, 0, 0)
    assert oauth.refusals() == [(app.client.name, "invalid_request")]


@pytest.mark.parametrize(
    ("response_type", "error"),
    [
        ("token", "unsupported_response_type"),
        ("id_token", "unsupported_response_type"),
        ("x", "unsupported_response_type"),
        ("code token", "unauthorized_client"),
        ("code id_token", "unauthorized_client"),
        ("none", "unauthorized_client"),
    ],
)
def test_no_token_comes_through_an_address(response_type, error):
    app, person = oauth.make_app(), oauth.make_person()

    for response in both_ways(app, person, response_type=response_type):
        assert parameters_in(response)["error"] == error
        assert "#" not in response["Location"]
    assert oauth.issued() == (0, 0, 0)


# What is asked for


@pytest.mark.parametrize(
    "scope",
    ["todo:read todo:write", "todo:read usage:read", "todo:read apikeys:usage", "todo:unknown", "todo:x " * 1500],
    ids=["more than the ceiling", "another client's", "reserved", "unknown", "10 kB"],
)
def test_an_app_is_given_no_scope_that_its_client_may_not_hold(scope):
    app, person = oauth.make_app(scopes=["todo:read"]), oauth.make_person()
    oauth.make_app(scopes=["todo:read", "todo:write", "usage:read"])

    for response in both_ways(app, person, scope=scope):
        assert parameters_in(response)["error"] == "invalid_scope"
    assert oauth.issued() == (0, 0, 0)
    assert consents.live(person, app.client) is None
    assert oauth.refusals() == [(app.client.name, "invalid_scope")]


def test_the_form_adds_no_scope_to_what_was_asked_for():
    app, person = oauth.make_app(optional_scopes=["todo:write"]), oauth.make_person()
    url = oauth.authorization_url(app, "v" * 48, scope="todo:read")
    data = {"allow": "yes", "scope": "todo:read todo:write", "optional": ["todo:write"], "scopes": "todo:write"}

    response = oauth.press(oauth.browser_of(person), url, data)

    assert response.status_code == 400
    assert oauth.issued() == (0, 0, 0)
    assert consents.live(person, app.client) is None


def test_the_form_names_no_other_app_and_no_other_address():
    app, other, person = oauth.make_app(), oauth.make_app(), oauth.make_person()
    url = oauth.authorization_url(app, "v" * 48)
    data = {"allow": "yes", "client_id": other.client_id, "redirect_uri": "https://evil.example/"}

    response = oauth.press(oauth.browser_of(person), url, data)

    assert response["Location"].startswith(f"{REGISTERED}?")
    assert consents.live(person, other.client) is None


# How a person says yes


def test_reading_the_page_allows_nothing():
    app, person = oauth.make_app(), oauth.make_person()

    response = ask(app, person, allow="yes")

    assert response.status_code == 200
    assert oauth.issued() == (0, 0, 0)
    assert consents.live(person, app.client) is None
    assert oauth.refusals() == []


def test_nobody_says_yes_from_another_site():
    app, person = oauth.make_app(), oauth.make_person()
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(person)

    response = browser.post(oauth.authorization_url(app, "v" * 48), {"allow": "yes"}, secure=True)

    assert response.status_code == 403
    assert oauth.issued() == (0, 0, 0)
    assert consents.live(person, app.client) is None
    assert oauth.refusals() == []


def test_the_page_stands_in_no_frame():
    response = ask(oauth.make_app(), oauth.make_person())

    assert response["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]


def test_a_disabled_client_asks_nobody():
    app, person = oauth.make_app(), oauth.make_person()
    clients.disable(app.client)

    for response in both_ways(app, person):
        assert response.status_code == 400
        assert "Location" not in response
    assert oauth.issued() == (0, 0, 0)
    assert [client for client, _error in oauth.refusals()] == [app.client.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "\x00"},
        {"resource": "https://api.example/\x00"},
        {"resource": "no address"},
        {"client_id": "\x00"},
        {"client_id": "x" * 5000},
        {"client_id": "ü\ud800".encode("utf-8", "surrogatepass")},
        {"nonce": "n" * 5000},
        {"claims": "{" * 5000},
        {"scope": "\ud800".encode("utf-8", "surrogatepass")},
        {"prompt": "\x00"},
        {"response_mode": "fragment"},
    ],
    ids=[
        "NUL in state",
        "NUL in resource",
        "resource",
        "NUL as client",
        "long client",
        "surrogate as client",
        "long nonce",
        "claims",
        "surrogate",
        "NUL in prompt",
        "response mode",
    ],
)
def test_nothing_in_the_address_is_an_error_of_ours(changes):
    responses = both_ways(oauth.make_app(), oauth.make_person(), **changes)

    assert [response.status_code < 500 for response in responses] == [True, True]


@pytest.mark.parametrize(
    "query",
    ["%", "%zz", "client_id=%ff", "client_id=a&client_id=b", "scope=a&scope=b", "a" * 9000, "&&=&", "\xff"],
    ids=["half an escape", "no escape", "no text", "client twice", "scope twice", "long", "empty", "raw byte"],
)
def test_an_address_that_nobody_can_read_is_refused(query):
    browser = oauth.browser_of(oauth.make_person())

    response = browser.generic("GET", oauth.AUTHORIZE, secure=True, QUERY_STRING=query)

    assert response.status_code == 400
    assert [client for client, _error in oauth.refusals()] == [None]
