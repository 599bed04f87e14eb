"""Keys that give no token, and forms that nobody reads."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys import clients, keys
from apikeys.models import Client, KeyEvent, KeyRevocation
from apikeys.testing import make_key

from .exchanges import (
    ACCESS_TOKEN,
    CHALLENGE,
    client_credentials,
    exchange,
    form_of,
    make_holder,
    make_signing_key,
    nothing_left,
    post,
    refusal,
)
from .introspection import FORM, make_app, make_server, set_apikeys
from .request_path import CountingHasher, statements, with_right_tag
from .usage_counts import counted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signing_key(db):
    make_signing_key()


# The key


def revoked(key):
    keys.revoke(key, reason="leaked")


def rotated_out(key):
    keys.rotate(key, overlap=timedelta(0))


def client_disabled(key):
    clients.disable(key.client)


def owner_disabled(key):
    key.owner.is_active = False
    key.owner.save()


def owner_gone(key):
    key.owner.delete()


def expired(key):
    type(key).objects.filter(pk=key.pk).update(expires_at=timezone.now())


DEAD = {
    "revoked": (revoked, "key_revoked"),
    "expired": (expired, "key_expired"),
    "rotated-out": (rotated_out, "key_rotated"),
    "client-disabled": (client_disabled, "client_disabled"),
    "owner-disabled": (owner_disabled, "owner_disabled"),
    "owner-gone": (owner_gone, "owner_disabled"),
}
dead = pytest.mark.parametrize(("kill", "code"), DEAD.values(), ids=DEAD)


@dead
def test_dead_key_is_no_subject(kill, code):
    issued = make_holder()
    kill(issued.key)

    assert refusal(exchange(issued)) == (400, "invalid_request", code)
    assert nothing_left()


@dead
def test_dead_key_is_no_secret_of_its_client(kill, code):
    issued = make_holder()
    kill(issued.key)

    response = client_credentials(issued)

    assert refusal(response) == (401, "invalid_client", code)
    assert response["WWW-Authenticate"] == CHALLENGE
    assert nothing_left()


def key_id_swapped():
    """The secret of one key with the id of another, under a right tag."""
    secret = make_holder().plaintext.rpartition("_")[2][:43]
    return with_right_tag(make_holder().key.key_id, secret=secret)


UNPROVEN = {
    "unknown-id": lambda: with_right_tag("0" * 12),
    "wrong-secret": lambda: with_right_tag(make_holder().key.key_id),
    "wrong-tag": lambda: make_holder().plaintext[:-8] + "0" * 8,
    "id-of-another-key": key_id_swapped,
    "only-the-id-changed": lambda: make_holder().plaintext.replace("ak_live_", "ak_live_0", 1)[:20] + "_" + "0" * 51,
}


def test_what_was_never_a_key_is_refused_in_the_same_bytes():
    make_holder()
    answers = [exchange(text()) for text in UNPROVEN.values()]

    assert {refusal(answer) for answer in answers} == {(400, "invalid_request", "key_invalid")}
    assert len({answer.content for answer in answers}) == 1


def test_what_was_never_a_key_is_no_secret_in_the_same_bytes():
    issued = make_holder()
    answers = [client_credentials(issued, client_secret=text()) for text in UNPROVEN.values()]

    assert {refusal(answer) for answer in answers} == {(401, "invalid_client", "key_invalid")}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("ak_live_", "key_malformed", id="cut-off"),
        pytest.param("eyJhbGciOiJub25lIn0.e30.", "key_malformed", id="no-key"),
        pytest.param("x" * 500_000, "key_malformed", id="half-a-megabyte"),
        pytest.param("ak_live_" + "0" * 500_000, "key_malformed", id="half-a-megabyte-of-key"),
        pytest.param("ak_live_0, Bearer ak_live_1", "key_malformed", id="two"),
        pytest.param("ak_test_" + "0" * 12 + "_" + "0" * 51, "wrong_mode", id="other-mode"),
        pytest.param("schlüssel", "key_malformed", id="umlaut"),
    ],
)
def test_what_is_no_whole_key_is_refused(text, code):
    assert refusal(exchange(text)) == (400, "invalid_request", code)


def test_refused_key_counts_as_on_every_other_endpoint():
    issued = make_holder()
    keys.revoke(issued.key, reason="leaked")

    exchange(issued)
    exchange("nonsense")

    refused = counted("outcome", "key_id", "network", level="refusal")
    assert refused == [("key_revoked", issued.key.key_id, "127.0.0.0/24"), ("key_malformed", "", "127.0.0.0/24")]
    assert KeyEvent.objects.filter(kind="used_after_end", key=issued.key).count() == 1


def test_guess_costs_no_slow_hash(settings):
    set_apikeys(settings, VERIFIERS=["tests.request_path.CountingHasher"], CACHE=None)
    text = make_holder().plaintext[:-8] + "0" * 8
    hasher = CountingHasher.start()

    with statements() as sql:
        exchange(text)

    assert hasher.checks == []
    assert not [statement for statement in sql if "apikeys_apikey" in statement]


def test_too_many_slow_hashes_are_told_to_wait(settings):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=1, CACHE=None)
    issued = make_holder()
    wrong = [with_right_tag(issued.key.key_id, secret=letter * 43) for letter in "abc"]

    answers = [exchange(text) for text in wrong]

    assert refusal(answers[-1]) == (429, "temporarily_unavailable", "rate_limited")
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60


# Where from, and how


@pytest.mark.parametrize("whose", ["key", "client"])
@pytest.mark.parametrize(("address", "status"), [("10.1.2.3", 200), ("10.2.2.3", 400)], ids=["inside", "outside"])
def test_key_gives_tokens_only_where_it_works(whose, address, status):
    networks = ["10.1.0.0/16"]
    app = make_app(make_server(), allowed_networks=networks if whose == "client" else None)
    issued = make_key(client=app, scopes=["todo:read"], allowed_networks=networks if whose == "key" else None)

    response = post(form_of(issued), REMOTE_ADDR=address)

    assert response.status_code == status
    assert status == 200 or refusal(response) == (400, "invalid_request", "ip_not_allowed")


def test_address_is_never_read_off_what_the_caller_writes():
    issued = make_holder(allowed_networks=["10.1.0.0/16"])

    response = post(form_of(issued), headers={"X-Forwarded-For": "10.1.2.3"})

    assert refusal(response)[2] == "ip_not_allowed"


def test_key_in_the_clear_is_refused_and_recorded():
    issued = make_holder()

    response = post(form_of(issued), secure=False)

    assert refusal(response) == (400, "invalid_request", "https_required")
    assert KeyEvent.objects.filter(kind="sent_in_clear", key=issued.key).exists()


def test_key_in_the_address_is_refused_and_recorded():
    issued = make_holder()

    response = exchange(issued, query=f"?subject_token={issued.plaintext}")

    assert refusal(response)[:2] == (400, "invalid_request")
    assert KeyEvent.objects.filter(kind="sent_in_query", key=issued.key).exists()


def test_parameters_in_the_address_are_refused():
    assert refusal(exchange(make_holder(), query="?scope=todo:write")) == (400, "invalid_request", None)


@pytest.mark.parametrize(
    "name",
    ["grant_type", "subject_token", "subject_token_type", "scope", "audience", "requested_token_type", "anything"],
)
def test_repeated_parameter_is_refused(name):
    issued = make_holder()
    value = form_of(issued, requested_token_type=ACCESS_TOKEN).get(name, "x")

    assert refusal(exchange(issued, **{name: [value, value]})) == (400, "invalid_request", None)


@pytest.mark.parametrize("name", ["client_secret", "client_id"])
def test_repeated_authentication_is_refused(name):
    issued = make_holder()
    value = {"client_secret": issued.plaintext, "client_id": issued.key.client.client_id}[name]

    assert refusal(client_credentials(issued, **{name: [value, value]})) == (400, "invalid_request", None)


@pytest.mark.parametrize("sent", ["\x00", "a\nb", "\x7f"], ids=["nul", "line", "del"])
def test_control_characters_are_refused(sent):
    assert refusal(exchange(make_holder(), scope=f"todo:read{sent}")) == (400, "invalid_request", None)


@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": "ak_live_x"}, {"Authorization": "Bearer ak_live_x"}, {"Authorization": "Basic !"}],
    ids=["x-api-key", "bearer", "unreadable-basic"],
)
def test_key_beside_another_credential_is_refused(headers):
    assert refusal(exchange(make_holder(), headers=headers)) == (400, "invalid_request", None)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_only_forms_are_read(content_type):
    issued = make_holder()

    response = post(json.dumps(form_of(issued)), content_type=content_type)

    assert refusal(response)[:2] == (400, "invalid_request")


@pytest.mark.parametrize("setting", ["DATA_UPLOAD_MAX_MEMORY_SIZE", "DATA_UPLOAD_MAX_NUMBER_FIELDS"])
def test_form_that_is_too_large_is_refused(settings, setting):
    setattr(settings, setting, 3)

    assert refusal(exchange(make_holder())) == (400, "invalid_request", None)


def test_form_that_is_not_utf_8_is_refused():
    response = post(form_of(make_holder()), content_type=f"{FORM}; charset=utf-16")

    assert refusal(response) == (400, "invalid_request", None)


def test_key_that_another_process_revoked_gives_no_token_whatever_may_be_stale(settings):
    set_apikeys(settings, MAX_STALENESS=timedelta(hours=1))
    issued = make_holder()
    assert exchange(issued).status_code == 200

    # As this process would not hear of it.
    KeyRevocation.objects.create(key=issued.key, reason="leaked")

    assert refusal(exchange(issued)) == (400, "invalid_request", "key_revoked")


def test_network_that_another_process_took_away_counts_whatever_may_be_stale(settings):
    set_apikeys(settings, MAX_STALENESS=timedelta(hours=1))
    issued = make_holder()
    assert exchange(issued).status_code == 200

    Client.objects.update(allowed_networks=["10.0.0.0/8"])

    assert refusal(exchange(issued)) == (400, "invalid_request", "ip_not_allowed")
