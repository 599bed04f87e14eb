"""Who may ask for the revocation list, and in what form it comes."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.utils import timezone

from apikeys import clients, keys
from apikeys.authority import signing
from apikeys.authority.models import SigningKey
from apikeys.core.errors import InvalidTokenError
from apikeys.models import EventKind, KeyEvent
from apikeys.signed import tokens
from apikeys.signed.revocations import read_list
from apikeys.testing import ApiKeyClient, make_key

from .exchanges import REVOCATIONS, exchange, make_holder, make_signing_key, poll, poll_response
from .factories import UserFactory
from .introspection import ISSUER, make_app, make_server
from .request_path import statements

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signing_key(db):
    make_signing_key()


@pytest.fixture
def server():
    return make_server()


def test_list_is_signed_and_kept_for_a_second_by_who_asked(server):
    response = poll_response(server)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/jwt"
    assert response["Cache-Control"] == "private, max-age=1"
    assert response["Vary"].startswith("Authorization, X-API-Key")
    text = response.content.decode()
    keys = signing.published_keys(now=timezone.now())
    assert read_list(text, keys=keys, issuer=ISSUER, audience=server.resource).since == 0


def test_list_is_no_token(server):
    text = poll_response(server).content.decode()
    now = timezone.now()
    published = signing.published_keys(now=now)

    with pytest.raises(InvalidTokenError):
        tokens.verify(text, keys=published, issuer=ISSUER, audience=server.resource, now=now, leeway=now - now)


@pytest.mark.parametrize("accept", ["application/jwt", "*/*", "text/html", "application/json"])
def test_list_comes_whatever_is_accepted(server, accept):
    response = poll_response(server, headers={"Accept": accept})

    assert (response.status_code, response["Content-Type"]) == (200, "application/jwt")


def test_refusal_is_json_whatever_is_accepted():
    response = ApiKeyClient().get(REVOCATIONS, headers={"Accept": "application/jwt"})

    assert (response.status_code, response.json()["code"]) == (401, "key_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_key_without_the_scope_learns_nothing(server):
    client = server.client
    clients.set_ceiling(client, scopes=["apikeys:introspect", "todo:read"])
    key = make_key(client=client, scopes=["todo:read"], owner=None)

    response = ApiKeyClient(key).get(REVOCATIONS)

    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")


def test_client_that_is_no_api_server_learns_nothing():
    key = make_key(client=make_app(allowed_scopes=["apikeys:introspect"]), owner=None)

    response = ApiKeyClient(key).get(REVOCATIONS)

    assert (response.status_code, response.json()["code"]) == (403, "resource_required")


def test_signed_token_opens_no_list(server):
    response = exchange(make_holder(server))

    answer = ApiKeyClient(response.json()["access_token"]).get(REVOCATIONS)

    assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")


@pytest.mark.parametrize(
    "query",
    ["since=", "since=-1", "since=1.5", "since=x", "since=1&since=2", "since=%D9%A1", "since=" + "9" * 19, "since=+1"],
)
def test_since_that_is_no_sequence_is_refused(server, query):
    response = ApiKeyClient(server.key).get(f"{REVOCATIONS}?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "parameter_invalid")


def test_since_may_be_as_large_as_any_sequence(server):
    assert poll(server, since=10**18 - 1).since == 10**18 - 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_list_is_only_read(server, method):
    assert getattr(ApiKeyClient(server.key), method)(REVOCATIONS).status_code == 405


def test_polling_spends_the_limits_of_the_server():
    server = make_server(rates=["1/min"])

    answers = [poll_response(server) for _ in range(2)]
    cache.clear()

    assert [answer.status_code for answer in answers] == [200, 429]
    assert int(answers[1]["Retry-After"]) >= 1


def test_without_a_signing_key_there_is_no_list(server):
    SigningKey.objects.all().delete()

    response = poll_response(server)

    assert (response.status_code, response.json()["code"]) == (503, "temporarily_unavailable")
    assert int(response["Retry-After"]) > 0


def test_a_poll_costs_eight_queries_however_much_happened(server):
    for _ in range(2):
        issued = make_holder(server, owner=UserFactory(is_active=True))
        exchange(issued)
        keys.narrow(issued.key, scopes=["todo:read"])
        clients.disable(issued.key.client)
        issued.key.owner.is_active = False
        issued.key.owner.save()
    poll_response(server)

    with statements() as sql:
        response = poll_response(server)

    # Who asks, and as what server; the newest event, the newest that is settled, how long tokens may live, the events,
    # people; the signing key.
    assert response.status_code == 200
    assert len(sql) == 8
    assert all(statement.startswith("SELECT") for statement in sql)


def test_list_that_is_longer_than_servers_read_is_told_to_the_operator(server, caplog):
    issued = make_holder(server)
    given_up = (
        KeyEvent(
            kind=EventKind.TOKEN_REVOKED,
            client=issued.key.client,
            key=issued.key,
            details={"jti": f"{number:01000}", "aud": server.resource},
        )
        for number in range(4200)
    )
    KeyEvent.objects.bulk_create(given_up, batch_size=1000)

    responses = [poll_response(server) for _ in range(2)]

    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.reason == "revocations_too_long"
    assert f"for {server.resource} has {len(responses[0].content)} characters" in record.getMessage()


def test_list_says_nothing_of_who_people_are(server):
    person = UserFactory(username="ada", email="ada@example.com", is_active=True)
    exchange(make_holder(server, owner=person))
    person.is_active = False
    person.save()

    listed = poll(server)

    assert "ada" not in str(listed)
    assert listed.owners == (f"user:{person.pk}",)


def test_server_that_was_disabled_learns_nothing(server):
    clients.disable(server.client)

    response = poll_response(server)

    assert (response.status_code, response.json()["code"]) == (403, "client_disabled")
