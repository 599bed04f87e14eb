"""What a working key gets no token for."""

from __future__ import annotations

import json

import pytest

from apikeys import clients, keys
from apikeys.testing import make_key

from .exchanges import (
    ACCESS_TOKEN,
    API_KEY,
    CHALLENGE,
    basic,
    client_credentials,
    exchange,
    make_holder,
    make_signing_key,
    nothing_left,
    refusal,
    server_of,
    token_text,
    told_by,
)
from .factories import UserFactory
from .introspection import ISSUER, SCOPES, make_app, make_server, set_apikeys

pytestmark = pytest.mark.django_db

SERVER = "https://server.example"


@pytest.fixture(autouse=True)
def _signing_key(db):
    make_signing_key()


# Which client


def test_key_of_another_client_is_no_secret():
    issued, other = make_holder(), make_holder()

    response = client_credentials(issued, client_id=other.key.client.client_id)

    assert refusal(response) == (401, "invalid_client", None)
    assert response["WWW-Authenticate"] == CHALLENGE
    assert nothing_left()


def test_key_of_another_client_is_no_secret_in_basic():
    issued, other = make_holder(), make_holder()
    headers = basic(other.key.client.client_id, issued.plaintext)

    response = client_credentials(issued, headers=headers, client_id=None, client_secret=None)

    assert refusal(response) == (401, "invalid_client", None)
    assert response["WWW-Authenticate"] == CHALLENGE


def test_secret_without_its_client_is_refused():
    assert refusal(client_credentials(make_holder(), client_id=None)) == (401, "invalid_client", None)


def test_client_id_is_compared_to_the_letter():
    issued = make_holder()
    swapped = issued.key.client.client_id.swapcase()

    assert refusal(client_credentials(issued, client_id=swapped)) == (401, "invalid_client", None)


def test_key_is_not_exchanged_for_another_client():
    issued, other = make_holder(), make_holder()

    assert refusal(exchange(issued, client_id=other.key.client.client_id)) == (401, "invalid_client", None)


@pytest.mark.parametrize(
    "secret", [lambda: make_holder().plaintext, lambda: "secret", lambda: ""], ids=["another-key", "no-key", "empty"]
)
def test_client_that_exchanges_authenticates_with_no_other_secret(secret):
    issued = make_holder()

    response = exchange(issued, headers=basic(issued.key.client.client_id, secret()))

    assert refusal(response) == (401, "invalid_client", None)
    assert response["WWW-Authenticate"] == CHALLENGE


def test_client_that_authenticates_in_two_ways_is_refused():
    issued = make_holder()

    response = client_credentials(issued, headers=basic(issued.key.client.client_id, issued.plaintext))

    assert refusal(response) == (400, "invalid_request", None)


# How much


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param(" ", id="space"),
        pytest.param("todo:read ", id="space-behind"),
        pytest.param("todo:read  todo:write", id="two-spaces"),
        pytest.param("todo:read usage:read", id="one-more-than-the-key-has"),
        pytest.param("todo:*", id="wildcard"),
        pytest.param("TODO:READ", id="other-letters"),
        pytest.param("todo:read,todo:write", id="comma"),
        pytest.param("todo:read\u00a0todo:write", id="another-space"),
        pytest.param("nothing:declared", id="undeclared"),
        pytest.param("todo:read " * 60_000, id="half-a-megabyte"),
    ],
)
def test_scopes_that_the_key_does_not_have_are_refused(scope):
    assert refusal(exchange(make_holder(), scope=scope)) == (400, "invalid_scope", None)
    assert nothing_left()


def test_scope_above_the_ceiling_is_refused():
    issued = make_holder()
    clients.set_ceiling(issued.key.client, scopes=["todo:read"])

    assert refusal(exchange(issued, scope="todo:write")) == (400, "invalid_scope", None)


def test_scope_that_the_key_lost_is_refused():
    issued = make_holder()
    keys.narrow(issued.key, scopes=["todo:read"])

    assert refusal(exchange(issued, scope="todo:write")) == (400, "invalid_scope", None)


def test_scope_without_its_persons_right_is_refused(settings):
    scopes = {**settings.APIKEYS["SCOPES"], "admin:do": {"text": "Do", "permissions": ["auth.add_user"]}}
    set_apikeys(settings, SCOPES=scopes)
    person = UserFactory(is_superuser=True)
    issued = make_key(client=make_app(make_server(), allowed_scopes=["admin:do"]), owner=person)
    assert exchange(issued, scope="admin:do").status_code == 200

    person.is_superuser = False
    person.save()

    assert refusal(exchange(issued, scope="admin:do")) == (400, "invalid_scope", None)


@pytest.mark.parametrize("scope", ["apikeys:introspect", "apikeys:usage"])
def test_scopes_of_this_apps_own_endpoints_are_in_no_token(scope):
    issued = make_key(client=make_app(make_server(), allowed_scopes=[*SCOPES, scope]))

    assert refusal(exchange(issued, scope=scope)) == (400, "invalid_scope", None)
    assert refusal(exchange(issued, scope=f"todo:read {scope}")) == (400, "invalid_scope", None)


def test_token_that_no_server_would_read_is_not_given(settings):
    names = [f"scope:{number:03}:{'x' * 80}" for number in range(80)]
    set_apikeys(settings, SCOPES=dict.fromkeys(names, "Do something"))
    issued = make_key(client=make_app(make_server(), allowed_scopes=names))

    assert refusal(exchange(issued, scope=" ".join(names))) == (400, "invalid_scope", None)
    assert nothing_left()
    assert exchange(issued, scope=" ".join(names[:50])).status_code == 200


# For whom


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"audience": None}, id="none"),
        pytest.param({"audience": ""}, id="empty"),
        pytest.param({"audience": "https://other.example"}, id="another"),
        pytest.param({"audience": "https://SERVER"}, id="other-letters"),
        pytest.param({"audience": ISSUER}, id="the-authority"),
        pytest.param({"audience": f"{SERVER}/"}, id="with-a-slash"),
        pytest.param({"resource": SERVER}, id="audience-and-resource"),
        pytest.param({"audience": None, "resource": [SERVER, "https://other.example"]}, id="two-resources"),
        pytest.param({"audience": None, "resource": [SERVER, SERVER]}, id="one-resource-twice"),
        pytest.param({"audience": f'["{SERVER}"]'}, id="list-in-a-text"),
        pytest.param({"audience": f"{SERVER} https://other.example"}, id="two-in-a-text"),
    ],
)
def test_token_is_for_one_server_that_may_know_the_client(changes):
    issued = make_holder(make_server(resource=SERVER))

    assert refusal(exchange(issued, **changes)) == (400, "invalid_target", None)
    assert nothing_left()


def test_no_token_is_for_the_authority_though_it_took_the_name_of_a_server(settings):
    issued = make_holder(make_server(resource=SERVER))
    set_apikeys(settings, ISSUER=SERVER)

    assert refusal(exchange(issued)) == (400, "invalid_target", None)


def test_server_that_the_client_lost_gets_no_tokens():
    issued = make_holder()
    server = server_of(issued)
    clients.edit(issued.key.client, audiences=[])

    assert refusal(exchange(issued, audience=server)) == (400, "invalid_target", None)


@pytest.mark.parametrize(
    "name", ["aud", "iss", "sub", "client_id_", "jti", "key_id", "family", "networks", "subscription", "claims", "act"]
)
def test_no_parameter_gets_into_the_token(name):
    issued = make_holder()

    claims = told_by(exchange(issued, **{name: "https://other.example"}))

    assert "https://other.example" not in json.dumps(claims)
    assert claims["aud"] == server_of(issued)


# Which grant


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"subject_token": None}, id="no-subject"),
        pytest.param({"subject_token": ""}, id="empty-subject"),
        pytest.param({"subject_token_type": None}, id="no-type"),
        pytest.param({"subject_token_type": ACCESS_TOKEN}, id="type-of-a-token"),
        pytest.param({"subject_token_type": API_KEY.upper()}, id="type-in-other-letters"),
        pytest.param({"actor_token": "x"}, id="actor"),
        pytest.param({"actor_token_type": ACCESS_TOKEN}, id="type-of-an-actor"),
        pytest.param({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, id="refresh-token"),
        pytest.param({"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}, id="id-token"),
    ],
)
def test_exchange_of_anything_else_is_refused(changes):
    assert refusal(exchange(make_holder(), **changes)) == (400, "invalid_request", None)


def test_signed_token_is_not_exchanged_again():
    issued = make_holder()
    text = token_text(exchange(issued))

    assert refusal(exchange(text, audience=server_of(issued))) == (400, "invalid_request", "key_malformed")


@pytest.mark.parametrize("grant", ["authorization_code", "refresh_token", "password", "implicit", "CLIENT_CREDENTIALS"])
def test_key_is_the_secret_of_no_other_grant(grant):
    response = client_credentials(make_holder(), grant_type=grant)

    assert refusal(response) == (400, "unsupported_grant_type", None)


@pytest.mark.parametrize("grant", [None, ""], ids=["left out", "empty"])
def test_grant_must_be_named(grant):
    assert refusal(client_credentials(make_holder(), grant_type=grant)) == (400, "invalid_request", None)
