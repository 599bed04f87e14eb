from __future__ import annotations

import base64
import secrets

import pytest
from django.test import Client as Browser
from oauth2_provider.models import get_device_grant_model

from apikeys import guard
from apikeys.core.memory import BoundedMemory
from apikeys.limits import attempts
from apikeys.oauth import client_secrets
from tests import oauth

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
ENDPOINTS = (oauth.TOKEN, oauth.REVOKE, oauth.DEVICE_AUTHORIZATION)
every_endpoint = pytest.mark.parametrize("path", ENDPOINTS, ids=["token", "revoke", "device"])


def send(path, body, *, content_type=FORM, query="", **options):
    browser = Browser(enforce_csrf_checks=True)
    options.setdefault("secure", True)
    return browser.generic("POST", f"{path}{query}", body, content_type=content_type, **options)


def error_in(response):
    assert response["Cache-Control"] == "no-store"
    assert response["Pragma"] == "no-cache"
    return response.status_code, response.json()["error"]


@every_endpoint
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_post_is_answered(path, method):
    response = Browser().generic(method, f"{path}?grant_type=client_credentials&client_secret=x", secure=True)

    assert response.status_code == 405
    assert oauth.refusals() == []


@every_endpoint
def test_parameters_in_the_address_are_refused(path):
    app = oauth.make_app("client-credentials")
    body = f"grant_type=client_credentials&scope=todo:read&client_id={app.client_id}&client_secret={app.secret}"

    assert error_in(send(path, "", query=f"?{body}")) == (400, "invalid_request")
    assert error_in(send(path, body, query="?%zz")) == (400, "invalid_request")
    assert oauth.issued() == (0, 0, 0)


@every_endpoint
def test_without_https_nothing_is_read(path):
    app = oauth.make_app("client-credentials")
    body = f"grant_type=client_credentials&scope=todo:read&client_id={app.client_id}&client_secret={app.secret}"

    assert error_in(send(path, body, secure=False)) == (400, "invalid_request")
    assert oauth.issued() == (0, 0, 0)


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "client_secret", "code", "x"])
def test_a_parameter_stands_once(name):
    app = oauth.make_app("client-credentials")
    body = f"grant_type=client_credentials&scope=todo:read&client_id={app.client_id}&client_secret={app.secret}"

    response = send(oauth.TOKEN, f"{body}&{name}=a&{name}=b")

    assert error_in(response) == (400, "invalid_request")
    assert oauth.issued() == (0, 0, 0)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),
        (b"&&&=", FORM),
        (b"%", FORM),
        (b"%zz=%", FORM),
        (b"client_id=%00", FORM),
        (b"client_id=a%00b&client_secret=%00", FORM),
        (b"client_id=%ed%a0%80&token=%ed%a0%80&scope=%ed%a0%80", FORM),
        (b"client_id=\xff\xfe", FORM),
        (b"client_id=" + b"a" * 100_000, FORM),
        (b"client_id=a&token=" + b"t" * 100_000, FORM),
        (b"&".join(b"p%d=1" % number for number in range(2000)), FORM),
        (b"client_id=a&scope=" + b"s" * 3_000_000, FORM),
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"--x", "multipart/form-data"),
        (b"grant_type=client_credentials", "text/plain"),
        (b"grant_type=client_credentials", ""),
        (b"grant_type=client_credentials", f"{FORM}; charset=nonsense"),
        (b"grant_type=client_credentials", f"{FORM}; charset=utf-16"),
    ],
    ids=[
        "empty",
        "no names",
        "half an escape",
        "no escape",
        "NUL",
        "NUL inside",
        "surrogate",
        "no text",
        "long client",
        "long token",
        "2000 parameters",
        "3 MB",
        "JSON",
        "broken parts",
        "no boundary",
        "text",
        "no type",
        "unknown charset",
        "another charset",
    ],
)
@every_endpoint
def test_no_form_is_an_error_of_ours(path, body, content_type):
    status, error = error_in(send(path, body, content_type=content_type))

    assert (status, error) in {(400, "invalid_request"), (400, "unsupported_grant_type"), (401, "invalid_client")}
    assert oauth.refusals() == [(None, error)]


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic %%%",
        "Basic ü",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"a\x00b:c").decode(),
        "Basic " + base64.b64encode(b"a:" + b"s" * 100_000).decode(),
        "Basic " + base64.b64encode(b"%00:%00").decode(),
        "basic YTpi",
        "Basic YTpi, Basic YTpi",
        "Bearer YTpi",
        "Negotiate",
    ],
    ids=[
        "nothing",
        "empty",
        "no base64",
        "no ASCII",
        "no colon",
        "no text",
        "NUL",
        "long",
        "escaped NUL",
        "lower case",
        "two",
        "bearer",
        "another scheme",
    ],
)
@every_endpoint
def test_no_authorization_header_is_an_error_of_ours(path, header):
    response = send(path, "grant_type=client_credentials&token=x", headers={"authorization": header})

    assert error_in(response) in {(400, "invalid_request"), (401, "invalid_client")}


@pytest.mark.parametrize("sign_in", ["client-credentials", oauth.DEVICE_CODE])
def test_10_kb_of_scopes_give_nothing(sign_in):
    app = oauth.make_app(sign_in)
    scopes = " ".join(f"todo:read{number}" for number in range(800))

    ask = oauth.start_device if sign_in == oauth.DEVICE_CODE else oauth.client_credentials
    response = ask(app, scope=f"todo:read {scopes}")

    assert oauth.error_of(response) == (400, "invalid_scope")
    assert "todo" not in response.text
    assert oauth.issued() == (0, 0, 0)
    assert not get_device_grant_model().objects.exists()
    assert oauth.refusals() == [(app.client.name, "invalid_scope")]


@pytest.mark.parametrize(
    "resource",
    ["no address", "https://a@b.example/", "https://api.example/#x", "//x", "https://[::1", "https://\u2100.example/"],
)
def test_a_resource_that_is_no_address_gives_nothing(resource):
    app = oauth.make_app("client-credentials")

    response = oauth.client_credentials(app, scope="todo:read", resource=resource)

    assert oauth.error_of(response) == (400, "invalid_target")
    assert oauth.issued() == (0, 0, 0)


def test_a_token_says_nothing_that_may_be_kept():
    response = oauth.client_credentials(oauth.make_app("client-credentials"), scope="todo:read")

    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"


def test_who_guesses_a_secret_waits_for_a_turn_like_any_slow_hash(monkeypatch):
    app = oauth.make_app("client-credentials")
    guesser = oauth.App(link=app.link, secret="guessed")
    assert oauth.client_credentials(app, scope="todo:read").status_code == 200
    # All turns are taken, for longer than anybody waits.
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(guard, "_running", 10_000)

    refused = oauth.client_credentials(guesser, scope="todo:read")

    assert oauth.error_of(refused) == (429, "temporarily_unavailable")
    assert refused.headers["retry-after"] == "1"
    # Whose secret was right before waits for nobody.
    assert oauth.client_credentials(app, scope="todo:read").status_code == 200


def try_secret(app, secret="guessed", *, address="127.0.0.1"):
    basic = base64.b64encode(f"{app.client_id}:{secret}".encode()).decode()
    form = "grant_type=client_credentials&scope=todo:read"
    return send(oauth.TOKEN, form, headers={"authorization": f"Basic {basic}"}, REMOTE_ADDR=address)


@pytest.fixture
def _no_turn(monkeypatch):
    """Have all turns be taken, for longer than anybody waits."""
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(guard, "_running", 10_000)


def test_secret_that_was_wrong_before_is_wrong_again_without_a_turn(request):
    app = oauth.make_app("client-credentials")
    assert try_secret(app).status_code == 401

    request.getfixturevalue("_no_turn")

    assert error_in(try_secret(app)) == (401, "invalid_client")


@pytest.mark.usefixtures("_no_turn")
@pytest.mark.parametrize("way", ["header", "form"])
def test_secret_of_an_app_that_keeps_none_is_wrong_without_a_turn(way):
    app = oauth.make_app(is_public=True)
    data = {"grant_type": "refresh_token", "refresh_token": "unknown"}

    if way == "header":
        response = oauth.post(oauth.TOKEN, data, app=oauth.App(link=app.link, secret="guessed"))
    else:
        response = oauth.post(oauth.TOKEN, {**data, "client_id": app.client_id, "client_secret": "guessed"})

    assert oauth.error_of(response) == (401, "invalid_client")


class TestGuessing:
    """Wrong client secrets take the turns that API keys need, so that a network gets few in a minute."""

    @pytest.fixture(autouse=True)
    def _quick_hashes(self, settings):
        settings.OAUTH2_PROVIDER = {**settings.OAUTH2_PROVIDER, "CLIENT_SECRET_HASHER": "md5"}
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

    @pytest.fixture
    def app(self):
        return oauth.make_app("client-credentials")

    @pytest.fixture
    def network(self):
        """Return the beginning of addresses from which no earlier test has guessed."""
        return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}"

    def guess_often(self, app, network):
        return [
            error_in(try_secret(app, f"guess{number}", address=f"{network}.1"))
            for number in range(client_secrets.WRONG_PER_MINUTE + 1)
        ]

    def test_network_that_guessed_too_often_is_told_to_wait(self, app, network):
        *first, last = self.guess_often(app, network)

        assert set(first) == {(401, "invalid_client")}
        assert last == (429, "temporarily_unavailable")

    def test_secret_that_nobody_from_there_has_shown_waits_as_well(self, app, network):
        self.guess_often(app, network)

        response = try_secret(app, app.secret, address=f"{network}.2")

        assert (response.status_code, response["Retry-After"]) == (429, "60")

    @pytest.mark.redis
    def test_guesses_in_another_process_count(self, app, network, monkeypatch):
        self.guess_often(app, network)
        monkeypatch.setattr(attempts, "_tries", BoundedMemory())

        assert try_secret(app, app.secret, address=f"{network}.2").status_code == 429

    def test_app_that_has_shown_its_secret_goes_on(self, app, network):
        assert try_secret(app, app.secret, address=f"{network}.2").status_code == 200

        self.guess_often(app, network)

        assert try_secret(app, app.secret, address=f"{network}.2").status_code == 200

    def test_other_networks_go_on(self, app, network):
        self.guess_often(app, network)

        assert try_secret(app, app.secret, address="192.0.2.1").status_code == 200

    def test_one_wrong_secret_again_and_again_is_one_guess(self, app, network):
        for _attempt in range(client_secrets.WRONG_PER_MINUTE + 1):
            try_secret(app, address=f"{network}.1")

        assert try_secret(app, app.secret, address=f"{network}.1").status_code == 200
