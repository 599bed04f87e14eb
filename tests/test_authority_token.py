"""What a key is exchanged for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from apikeys import clients, keys
from apikeys.authority.models import OutstandingTokens
from apikeys.models import KeyEvent
from apikeys.testing import make_key

from .exchanges import (
    ACCESS_TOKEN,
    basic,
    client_credentials,
    exchange,
    make_holder,
    make_signing_key,
    post,
    read,
    refusal,
    server_of,
    token_text,
    told_by,
)
from .factories import UserFactory
from .introspection import ISSUER, introspect, make_app, make_server, set_apikeys
from .request_path import statements
from .usage_counts import counted

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_SECONDS = 1795176000


@pytest.fixture(autouse=True)
def _signing_key(db):
    make_signing_key()


def test_key_is_exchanged_for_a_token_of_that_server():
    server = make_server()
    person = UserFactory()
    with time_machine.travel(NOON + timedelta(milliseconds=900), tick=False):
        issued = make_holder(server, owner=person)
        response = exchange(issued)
        token = read(response, audience=server.resource)

    assert response.json() == {
        "access_token": token_text(response),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "todo:read",
    }
    assert response["Cache-Control"] == "no-store"
    assert told_by(response) == {
        "iss": ISSUER,
        "aud": server.resource,
        "sub": f"user:{person.pk}",
        "client_id": issued.key.client.client_id,
        "iat": NOON_SECONDS,
        "exp": NOON_SECONDS + 600,
        "jti": token.jti,
        "scope": "todo:read",
        "key_id": issued.key.key_id,
        "family": issued.key.family,
    }
    assert len(token.jti) == 22


def test_client_gets_a_token_with_the_key_as_its_secret():
    issued = make_holder()

    token = read(client_credentials(issued), audience=server_of(issued))

    assert (token.key_id, token.scopes) == (issued.key.key_id, ("todo:read",))


def test_client_may_send_its_key_as_basic():
    issued = make_holder()
    headers = basic(issued.key.client.client_id, issued.plaintext)

    response = client_credentials(issued, headers=headers, client_id=None, client_secret=None)

    assert read(response, audience=server_of(issued)).key_id == issued.key.key_id


def test_client_that_exchanges_may_authenticate_with_the_same_key():
    issued = make_holder()

    response = exchange(issued, headers=basic(issued.key.client.client_id, issued.plaintext))

    assert response.status_code == 200


def test_service_key_stands_for_its_client():
    issued = make_holder(owner=None)

    assert read(exchange(issued), audience=server_of(issued)).subject == f"client:{issued.key.client.client_id}"


def test_no_two_tokens_have_one_jti():
    issued = make_holder()

    assert told_by(exchange(issued))["jti"] != told_by(exchange(issued))["jti"]


def test_token_may_be_asked_for_as_a_jwt():
    issued = make_holder()
    jwt = "urn:ietf:params:oauth:token-type:jwt"

    assert exchange(issued, requested_token_type=jwt).json()["issued_token_type"] == jwt


@pytest.mark.parametrize(
    "name", ["client_id", "client_secret", "resource", "actor_token", "actor_token_type", "requested_token_type"]
)
def test_parameter_without_a_value_is_as_if_left_out(name):
    issued = make_holder()

    assert read(exchange(issued, **{name: ""}), audience=server_of(issued)).key_id == issued.key.key_id


def test_server_is_named_beside_a_resource_without_a_value():
    issued = make_holder()

    response = exchange(issued, audience=None, resource=["", server_of(issued)])

    assert read(response, audience=server_of(issued))


def test_server_may_be_named_as_resource():
    issued = make_holder()

    response = exchange(issued, audience=None, resource=server_of(issued))

    assert read(response, audience=server_of(issued))


def test_scopes_are_those_that_were_asked_for_once_each():
    issued = make_holder()

    response = exchange(issued, scope="todo:write todo:read todo:write")

    assert response.json()["scope"] == "todo:write todo:read"


def test_token_carries_the_networks_of_key_and_client():
    server = make_server()
    app = make_app(server, allowed_networks=["127.0.0.0/8", "10.0.0.0/8"])
    issued = make_key(client=app, scopes=["todo:read"], allowed_networks=["127.0.0.1"])

    response = exchange(issued)

    assert told_by(response)["networks"] == [["127.0.0.1/32"], ["127.0.0.0/8", "10.0.0.0/8"]]


def test_token_says_the_claims_that_its_server_may_know(settings):
    set_apikeys(
        settings,
        CLAIMS={
            "subscription": {"type": "text", "visible_to": "servers"},
            "seats": {"type": "integer", "visible_to": ["https://billing.example"]},
            "margin": "number",
        },
    )
    issued = make_holder()
    clients.set_claims(issued.key.client, claims={"subscription": "premium", "seats": 5, "margin": 0.3})

    token = read(exchange(issued), audience=server_of(issued))

    assert token.claims == {"subscription": "premium"}


# How long


def test_token_lives_as_long_as_the_setting_says(settings):
    set_apikeys(settings, SIGNED_TOKEN_LIFETIME=timedelta(minutes=2))
    issued = make_holder()

    response = exchange(issued)

    claims = told_by(response)
    assert response.json()["expires_in"] == claims["exp"] - claims["iat"] == 120


def test_token_ends_with_its_key_to_the_second_before():
    with time_machine.travel(NOON, tick=False):
        issued = make_holder(lifetime=timedelta(seconds=90, milliseconds=900))
        response = exchange(issued)

    assert told_by(response)["exp"] == NOON_SECONDS + 90
    assert response.json()["expires_in"] == 90


def test_token_of_a_replaced_key_ends_with_the_overlap():
    with time_machine.travel(NOON, tick=False):
        issued = make_holder()
        keys.rotate(issued.key, overlap=timedelta(seconds=30))
        response = exchange(issued)

    assert told_by(response)["exp"] == NOON_SECONDS + 30


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        pytest.param(1000, (200, None, None), id="one-second"),
        pytest.param(999, (400, "invalid_request", "key_expired"), id="less"),
    ],
)
def test_key_that_ends_in_less_than_a_second_gives_no_token(milliseconds, expected):
    with time_machine.travel(NOON, tick=False):
        issued = make_holder(lifetime=timedelta(milliseconds=milliseconds))
        response = exchange(issued)

    body = response.json()
    assert (response.status_code, body.get("error"), body.get("code")) == expected


@pytest.mark.parametrize("parameter", ["expires_in", "lifetime", "exp", "expires_at", "iat", "nbf"])
def test_no_parameter_says_how_long_a_token_lives(parameter):
    with time_machine.travel(NOON, tick=False):
        response = exchange(make_holder(), **{parameter: "9999999999"})

    assert told_by(response)["exp"] == NOON_SECONDS + 600


# What it leaves


def test_what_is_outstanding_is_written_once_in_a_minute():
    with time_machine.travel(NOON, tick=False) as clock:
        issued = make_holder()
        exchange(issued)
        first = OutstandingTokens.objects.get()
        clock.shift(timedelta(seconds=60))
        exchange(issued)
        same = OutstandingTokens.objects.get()
        clock.shift(timedelta(seconds=1))
        exchange(issued)
        last = OutstandingTokens.objects.get()

    assert first.end_at == same.end_at == NOON + timedelta(minutes=11)
    assert last.end_at == NOON + timedelta(seconds=61) + timedelta(minutes=11)
    assert last.pk == issued.key.pk


def test_what_is_outstanding_is_never_shortened(settings):
    with time_machine.travel(NOON, tick=False):
        issued = make_holder()
        exchange(issued)
        set_apikeys(settings, SIGNED_TOKEN_LIFETIME=timedelta(minutes=1))
        exchange(issued)

    assert OutstandingTokens.objects.get().end_at == NOON + timedelta(minutes=11)


def test_exchange_costs_four_queries():
    issued = make_holder()
    exchange(issued)

    with statements() as sql:
        exchange(issued)

    # The key twice, the signing key, and whether what is outstanding reaches far enough.
    assert len(sql) == 4
    assert all(statement.startswith("SELECT") for statement in sql)


def test_exchange_counts_as_a_use_of_its_scopes_and_moves_the_last_use():
    issued = make_holder()

    exchange(issued)

    issued.key.refresh_from_db()
    assert issued.key.last_used_at is not None
    rows = counted("key_id", "route", "outcome", "scopes", level="request")
    assert rows == [(issued.key.key_id, "apikeys_authority:token", "ok", "todo:read")]


def test_refused_scope_is_counted_and_recorded_once_in_an_hour():
    issued = make_holder()

    exchange(issued, scope="usage:read")
    exchange(issued, scope="usage:read")

    assert counted("key_id", "outcome", "count", level="request") == [(issued.key.key_id, "400", 2)]
    event = KeyEvent.objects.get(kind="oauth_refused")
    assert (event.key, event.details) == (issued.key, {"error": "invalid_scope"})


def test_nobody_is_asked_for_a_cross_site_token_or_a_log_in(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]

    assert exchange(make_holder()).status_code == 200


def test_token_is_told_active_by_introspection():
    server = make_server()
    issued = make_holder(server)

    answer = introspect(server, token_text(exchange(issued))).json()

    assert (answer["active"], answer["kind"], answer["scope"]) == (True, "signed_token", "todo:read")


@pytest.mark.parametrize("source", ["bearer", "api-key", "x-api-key"])
def test_key_is_taken_wherever_the_project_lets_keys_stand(settings, source):
    set_apikeys(settings, CREDENTIAL_SOURCES=[source])

    assert exchange(make_holder()).status_code == 200


def test_key_is_taken_however_the_project_reads_requests(settings):
    set_apikeys(settings, SCHEMES=["tests.test_extension_points.SignatureScheme"])

    assert exchange(make_holder()).status_code == 200


def test_address_answers_posts_alone(client):
    response = client.get("/authority/token", secure=True)

    assert response.status_code == 405
    assert response["Cache-Control"] == "no-store"


def test_form_with_a_charset_is_read():
    issued = make_holder()
    form = f"grant_type=client_credentials&client_id={issued.key.client.client_id}&client_secret={issued.plaintext}"

    response = post(
        f"{form}&scope=todo:read&audience={server_of(issued)}",
        content_type="application/x-www-form-urlencoded; charset=utf-8",
    )

    assert response.status_code == 200


def test_refusals_are_kept_by_nobody():
    assert refusal(exchange("ak_live_nothing")) == (400, "invalid_request", "key_malformed")
