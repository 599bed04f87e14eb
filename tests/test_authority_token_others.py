"""What the token endpoint spends, hands on and keeps secret."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import modify_settings
from oauth2_provider.models import get_access_token_model

from apikeys import keys
from apikeys.authority.models import OutstandingTokens, SigningKey
from apikeys.testing import assert_not_stored, make_key

from . import oauth
from .exchanges import (
    NOWHERE,
    TOKEN,
    client_credentials,
    exchange,
    make_holder,
    make_signing_key,
    nothing_left,
    post,
    refusal,
    token_text,
)
from .introspection import make_app, make_server, set_apikeys
from .logs import JSONFormatter, written_by
from .test_logging_reports import mailing
from .test_verification_secrecy import tells
from .usage_counts import counted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signing_key(db):
    make_signing_key()


# How often


@pytest.fixture
def limited():
    yield make_key(client=make_app(make_server(), rates=["2/min"]), scopes=["todo:read"])
    cache.clear()


def test_exchange_spends_the_limits_of_the_key(limited):
    answers = [exchange(limited) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert refusal(answers[2]) == (429, "temporarily_unavailable", "rate_limited")
    assert 1 <= int(answers[2]["Retry-After"]) <= 60
    assert "r=1" in answers[0]["RateLimit"]
    assert "r=0" in answers[2]["RateLimit"]
    outcomes = counted("outcome", "count", level="request", key_id=limited.key.key_id)
    assert sorted(outcomes) == [("limited", 1), ("ok", 2)]


@pytest.mark.parametrize(
    "changes",
    [{"scope": "todo:write"}, {"audience": NOWHERE}, {"client_id": "another"}],
    ids=["scope", "audience", "client"],
)
def test_exchange_that_is_refused_spends_nothing(limited, changes):
    refused = [exchange(limited, **changes) for _ in range(3)]

    assert {answer.status_code for answer in refused} <= {400, 401}
    assert "r=1" in exchange(limited)["RateLimit"]


def test_exchange_without_a_signing_key_spends_nothing(limited):
    SigningKey.objects.all().delete()
    answers = [exchange(limited) for _ in range(3)]
    make_signing_key()

    assert [answer.status_code for answer in answers] == [503] * 3
    assert "r=1" in exchange(limited)["RateLimit"]


def test_exchange_over_the_limit_leaves_no_trace_of_a_token(limited):
    for _ in range(2):
        exchange(limited)
    OutstandingTokens.objects.all().delete()

    exchange(limited)

    assert nothing_left()


# Nothing to sign with


def test_without_a_signing_key_nothing_is_given():
    SigningKey.objects.all().delete()

    response = exchange(make_holder())

    assert refusal(response) == (503, "temporarily_unavailable", None)
    assert int(response["Retry-After"]) > 0
    assert nothing_left()


# What is not ours


def test_oauth_app_gets_its_own_clients_at_this_address():
    app = oauth.make_app("client-credentials", scopes=["todo:read"])

    response = oauth.post(TOKEN, {"grant_type": "client_credentials", "scope": "todo:read"}, app=app)

    assert response.status_code == 200
    assert get_access_token_model().objects.get().application == app.link.application


def test_code_is_exchanged_at_this_address():
    app, person = oauth.make_app(), oauth.make_person()
    code = oauth.get_code(app, person)
    form = {
        "grant_type": "authorization_code",
        "code": code.code,
        "redirect_uri": oauth.CALLBACK,
        "code_verifier": code.verifier,
    }

    response = oauth.post_as(app, TOKEN, form)

    assert response.status_code == 200
    assert response.json()["refresh_token"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "nothing"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
    ],
    ids=["unknown-client", "unknown-grant", "nothing"],
)
def test_oauth_app_refuses_as_at_its_own_address(form, expected):
    at_both = [oauth.post(path, form) for path in (TOKEN, oauth.TOKEN)]

    assert [answer.status_code for answer in at_both] == [at_both[0].status_code] * 2
    assert at_both[0].content == at_both[1].content


# Secrecy


def test_key_and_token_are_nowhere_afterwards():
    issued = make_holder()

    with (
        written_by("apikeys", formatter=JSONFormatter()) as ours,
        written_by("django", formatter=JSONFormatter()) as web,
    ):
        given = [exchange(issued), client_credentials(issued)]
        exchange(issued, scope="usage:read")
        keys.revoke(issued.key, reason="leaked")
        exchange(issued)
        client_credentials(issued)

    logged = {"ours": ours.getvalue(), "web": web.getvalue()}
    assert_not_stored(issued.plaintext, also=logged)
    for response in given:
        assert_not_stored(token_text(response), also=logged)


@pytest.mark.parametrize("send", [exchange, client_credentials], ids=["exchange", "credentials"])
def test_no_error_report_holds_the_key(settings, send):
    # Nobody can be named as the issuer, which is found out late.
    issued = make_holder()
    set_apikeys(settings, ISSUER="")

    with mailing() as mails, pytest.raises(Exception, match="ISSUER"):
        send(issued)

    [mail] = mails
    assert "SignedToken" in mail or "exchange" in mail
    assert not tells(mail, issued.plaintext)


# Without the OAuth app


@pytest.fixture
def without_oauth():
    with modify_settings(INSTALLED_APPS={"remove": ["apikeys.oauth", "oauth2_provider"]}):
        yield


def test_without_the_oauth_app_keys_are_exchanged(without_oauth):
    assert exchange(make_holder()).status_code == 200


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        pytest.param(
            {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"},
            (401, "invalid_client", None),
            id="no-key",
        ),
        pytest.param({"grant_type": "password"}, (400, "unsupported_grant_type", None), id="another-grant"),
        pytest.param({"scope": "todo:read"}, (400, "invalid_request", None), id="no-grant"),
    ],
)
def test_without_the_oauth_app_there_are_keys_alone(without_oauth, form, expected):
    response = post(form)

    assert refusal(response) == expected
    assert ("WWW-Authenticate" in response) is (expected[0] == 401)


def test_without_the_oauth_app_parameters_in_the_address_are_refused(without_oauth):
    assert refusal(post({"grant_type": "password"}, query="?scope=x")) == (400, "invalid_request", None)


def test_without_the_oauth_app_only_forms_are_read(without_oauth):
    assert refusal(post("{}", content_type="application/json")) == (400, "invalid_request", None)
