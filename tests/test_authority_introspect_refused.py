"""Who may ask, and how."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from apikeys import clients, guard, keys
from apikeys.authority import signing
from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient, assert_requires_scope, make_key

from .introspection import FORM, INTROSPECT, introspect, is_active, make_app, make_server, post, set_apikeys
from .request_path import code_of, with_right_tag

pytestmark = pytest.mark.django_db
#: A refusal by REST framework rolls back whatever transaction there is, and the view itself opens none.
OUTSIDE_OF_A_TRANSACTION = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server():
    return make_server()


@OUTSIDE_OF_A_TRANSACTION
def test_endpoint_asks_for_its_scope():
    assert_requires_scope(INTROSPECT, "POST", "apikeys:introspect", data="token=x", content_type=FORM)


def test_who_sends_no_key_is_told_how_and_not_whether_a_token_is_active():
    response = post(None, INTROSPECT, {"token": "x"})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.json()["code"] == "key_missing"


def test_key_of_the_server_that_is_revoked_is_refused_and_not_told_that_tokens_are_inactive(server):
    keys.revoke(server.key.key, reason="leaked")

    response = introspect(server, make_key(client=make_app(server)))

    assert (response.status_code, code_of(response)) == (401, "key_revoked")
    assert "active" not in response.json()


def test_scope_that_was_taken_from_the_servers_client_closes_the_endpoint(server):
    clients.set_ceiling(server.client, scopes=[])

    response = introspect(server, "x")

    assert (response.status_code, code_of(response)) == (403, "insufficient_scope")


def test_client_that_is_no_api_server_is_refused():
    client = clients.create(name="Not a server", allowed_scopes=["apikeys:introspect"])

    response = post(make_key(client=client), INTROSPECT, {"token": "x"})

    assert (response.status_code, code_of(response)) == (403, "resource_required")
    assert "WWW-Authenticate" not in response


def test_server_that_gave_up_its_address_is_refused_from_the_next_request_on(server):
    before = introspect(server, "x").status_code
    clients.edit(server.client, resource=None)

    assert (before, introspect(server, "x").status_code) == (200, 403)


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_post_is_answered(server, method):
    response = getattr(ApiKeyClient(server.key), method)(INTROSPECT)

    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert response["Cache-Control"] == "no-store"


def test_token_in_the_address_of_a_get_is_not_looked_at(server):
    response = ApiKeyClient(server.key).get(f"{INTROSPECT}?token=anything")

    assert response.status_code == 405


def test_key_in_the_address_is_refused_as_leaked(server):
    issued = make_key(client=make_app(server))

    response = ApiKeyClient(server.key).post(f"{INTROSPECT}?token={issued.plaintext}", "", content_type=FORM)

    assert (response.status_code, code_of(response)) == (400, "key_in_query")


OTHER_TYPES = {
    "JSON": ("application/json", '{"token": "x"}'),
    "several parts": (
        "multipart/form-data; boundary=x",
        '--x\r\nContent-Disposition: form-data; name="token"\r\n\r\nx',
    ),
    "text": ("text/plain", "token=x"),
}


@pytest.mark.parametrize(("content_type", "body"), OTHER_TYPES.values(), ids=OTHER_TYPES)
def test_only_forms_are_read(server, content_type, body):
    response = post(server.key, INTROSPECT, body, content_type=content_type)

    assert response.status_code == 415
    assert response["Cache-Control"] == "no-store"


UNREADABLE = {
    "nothing": ("", "The parameter token is missing."),
    "empty": ("token=", "The parameter token is missing."),
    "other name": ("Token=x", "The parameter token is missing."),
    "twice": ("token=x&token=x", "A parameter is repeated."),
    "other twice": ("token=x&token_type_hint=a&token_type_hint=b", "A parameter is repeated."),
    "enforced twice": ("token=x&networks_enforced=true&networks_enforced=true", "A parameter is repeated."),
    "too many": ("&".join(f"n{number}=" for number in range(1_001)), "The request is too large."),
    "too large": ("token=" + "x" * 2_621_440, "The request is too large."),
}


@pytest.mark.parametrize(("body", "description"), UNREADABLE.values(), ids=UNREADABLE)
def test_form_that_names_no_token_once_is_refused(server, body, description):
    response = post(server.key, INTROSPECT, body)

    assert response.status_code == 400
    assert response.json() == {
        "error": "invalid_request",
        "error_description": description,
        "code": "parameter_invalid",
    }
    assert response["Cache-Control"] == "no-store"


def test_form_in_another_alphabet_is_refused(server):
    response = post(server.key, INTROSPECT, "token=x", content_type=f"{FORM}; charset=utf-16")

    assert (response.status_code, code_of(response)) == (400, "parameter_invalid")


def test_parameters_in_the_address_are_refused(server):
    response = ApiKeyClient(server.key).post(f"{INTROSPECT}?token=x", "token=x", content_type=FORM)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert response.json()["error_description"] == "Parameters belong into the body."


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "urn:apikeys:token-type:api-key", "nonsense"])
def test_hints_make_no_difference(server, hint):
    issued = make_key(client=make_app(server))

    assert introspect(server, issued, form={"token_type_hint": hint}).json()["active"] is True


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/jwt", "nonsense"])
def test_answer_is_json_whatever_is_accepted(server, accept):
    response = introspect(server, "x", HTTP_ACCEPT=accept)

    assert (response.status_code, response["Content-Type"]) == (200, "application/json")


def test_plain_http_is_refused(server):
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {server.key.plaintext}")

    response = client.post(INTROSPECT, "token=x", content_type=FORM)

    assert (response.status_code, code_of(response)) == (403, "https_required")


@OUTSIDE_OF_A_TRANSACTION
def test_limit_of_the_server_is_its_own_and_that_of_the_key_is_not_spent(settings):
    set_apikeys(settings, CACHE=None, LIMITS_STORAGE="memory://")
    server = make_server(rates=["3/min"])
    issued = make_key(client=make_app(server), rates=["1/min"])

    responses = [introspect(server, issued) for _ in range(4)]

    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert code_of(responses[3]) == "rate_limited"
    assert 1 <= int(responses[3]["Retry-After"]) <= 60
    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 200


@OUTSIDE_OF_A_TRANSACTION
def test_what_the_project_allows_each_key_does_not_count_for_a_server_that_asks_for_many(settings):
    set_apikeys(settings, CACHE=None, LIMITS_STORAGE="memory://", RATES=["1/min"], QUOTAS=["1/day"])
    server = make_server()
    issued = make_key(client=make_app(server))

    responses = [introspect(server, issued) for _ in range(3)]

    assert [response.json()["active"] for response in responses] == [True] * 3


@OUTSIDE_OF_A_TRANSACTION
def test_too_many_guesses_at_one_key_are_no_reason_to_call_it_inactive(settings, server):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=2, CACHE=None)
    issued = make_key(client=make_app(server))
    responses = [introspect(server, with_right_tag(issued.key.key_id, secret=f"{number:043}")) for number in range(5)]

    # A minute may turn while they are sent, so that two budgets are spent, never three.
    assert [response.json() for response in responses[:2]] == [{"active": False}] * 2
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused["Retry-After"]) <= 60


@contextmanager
def all_turns_taken(settings):
    """Have slow hashes wait for almost as long as they do, which is longer than an API server waits for its answer."""
    set_apikeys(settings, CONCURRENT_HASHES=1, CACHE=None)
    is_taken, is_over = threading.Event(), threading.Event()

    def take():
        with guard.turn():
            is_taken.set()
            is_over.wait(timeout=guard.WAIT_SECONDS - 1)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        assert is_taken.wait(timeout=10)
        yield
    finally:
        is_over.set()
        thread.join()


@OUTSIDE_OF_A_TRANSACTION
def test_server_is_told_to_come_again_before_it_takes_a_busy_authority_for_a_dead_one(settings, server):
    issued = make_key(client=make_app(server))
    introspect(server, "anything")
    with all_turns_taken(settings):
        late = introspect(server, issued)

    assert (late.status_code, late.json()["code"], late["Retry-After"]) == (429, "rate_limited", "1")
    assert is_active(server, issued)


@OUTSIDE_OF_A_TRANSACTION
def test_guesses_do_not_stop_a_key_that_is_known(settings, server):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=1, CACHE=None)
    issued = make_key(client=make_app(server))
    before = is_active(server, issued)
    for number in range(3):
        introspect(server, with_right_tag(issued.key.key_id, secret=f"{number:043}"))

    assert (before, is_active(server, issued)) == (True, True)


def test_keys_for_signing_that_cannot_be_read_leave_signed_tokens_undecided(settings, server):
    set_apikeys(settings, SIGNING_KEYS=["no key"])
    claims = "eyJpc3MiOiJodHRwczovL3Rlc3RzZXJ2ZXIvYXV0aG9yaXR5In0"

    response = introspect(server, f"eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln")

    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
    assert response["Retry-After"] == str(signing.NoSigningKeyError.retry_after_seconds)


def test_servers_key_that_nears_its_end_is_told_so(server):
    APIKey.objects.filter(pk=server.key.key.pk).update(expires_at=server.key.key.expires_at - timedelta(days=89))

    assert "ApiKey-Expires" in introspect(server, "x")
