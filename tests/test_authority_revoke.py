"""How clients give up keys and signed tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection

from apikeys import clients, keys, remembered
from apikeys.authority.revoking import MOST_TOKENS, MOST_TOKENS_OF_SERVER, SHARE_OF_CLIENT
from apikeys.models import EventKind, KeyEvent
from apikeys.testing import ApiKeyClient, make_key
from apikeys.testing.leaks import assert_not_stored

from .introspection import (
    changes,
    is_active,
    make_app,
    make_server,
    revoke,
    set_apikeys,
    set_signing_key,
    signed,
    works,
)
from .request_path import CountingHasher, code_of, with_right_tag
from .test_middleware import RecordingHasher

# Where transactions are around views, a refusal of one without rolls back what a test is in.
pytestmark = pytest.mark.django_db(transaction=True)

#: How long a token that was given up is in the revocation list: its lifetime, the leeway of clocks and the overlap.
LISTED = timedelta(seconds=600 + 30 + 300)


@pytest.fixture(autouse=True)
def signing_key(settings):
    set_signing_key(settings)


@pytest.fixture
def server():
    return make_server()


@pytest.fixture
def app(server):
    return make_app(server)


def assert_done(response):
    assert (response.status_code, response.content) == (200, b"")
    assert response["Cache-Control"] == "no-store"
    assert response["Pragma"] == "no-cache"


def test_key_ends_itself(app):
    issued = make_key(client=app)

    response = revoke(issued, issued)

    assert_done(response)
    assert code_of(ApiKeyClient(issued).get("/apikeys/whoami/")) == "key_revoked"


def test_key_ends_another_of_its_client(app):
    issued, other = make_key(client=app), make_key(client=app)

    response = revoke(other, issued)

    assert_done(response)
    assert (works(issued), works(other)) == (False, True)


def test_revocation_is_on_record_with_the_key_that_asked_for_it(app):
    issued, other = make_key(client=app), make_key(client=app)

    revoke(other, issued)

    event = KeyEvent.objects.get(kind=EventKind.REVOKED)
    assert (event.key, event.client, event.source, event.address) == (issued.key, app, "request", "127.0.0.1")
    assert event.details["reason"] == "other"
    assert other.key.key_id in event.details["note"]


def test_replacement_of_a_key_that_is_given_up_works_on(app):
    old = make_key(client=app)
    new = keys.rotate(old.key, overlap=timedelta(hours=1))

    revoke(new, old)

    assert (works(old), works(new)) == (False, True)


def test_key_that_was_given_up_before_stays_so(app):
    issued, other = make_key(client=app), make_key(client=app)
    revoke(other, issued)
    before = changes()

    response = revoke(other, issued)

    assert_done(response)
    assert changes() == before == (1, 1)


def test_key_that_ended_itself_can_ask_for_nothing_more(app):
    issued = make_key(client=app)
    revoke(issued, issued)

    response = revoke(issued, issued)

    assert (response.status_code, code_of(response)) == (401, "key_revoked")


def of_another_client(app):
    return make_key(client=make_app()).plaintext


def with_its_id_alone(app):
    # From a log: whoever saw it can't end the key.
    return with_right_tag(make_key(client=app).key.key_id)


def unknown(app):
    return with_right_tag("0" * 12)


def wrong_tag(app):
    plaintext = make_key(client=app).plaintext
    return plaintext[:-1] + ("x" if plaintext[-1] != "x" else "y")


def signed_for(client, **changes):
    server = make_server()
    clients.edit(client, audiences=[server.resource])
    return signed(make_key(client=client), server, **changes)


def signed_of_another_client(app):
    return signed_for(make_app())


def signed_of_another_client_that_calls_itself_this_one(app):
    return signed_for(make_app(), client_id=app.client_id)


def signed_of_this_client_with_a_key_of_anothers(app):
    return signed_for(app, key_id=make_key(client=make_app()).key.key_id)


def signed_of_an_unknown_client_with_a_key_of_this_one(app):
    return signed_for(app, client_id="0" * 16)


def signed_by_nobody(app):
    token = signed_for(app)
    return token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")


def signed_for_a_list_of_servers(app):
    # As no token of this site says it.
    return signed_for(app, audience=["https://a.example", "https://b.example"])


def signed_long_over(app):
    with time_machine.travel("2026-01-01T00:00:00Z", tick=False):
        return signed_for(app)


UNTOUCHED = {
    "key of another client": of_another_client,
    "id of a key alone": with_its_id_alone,
    "unknown key": unknown,
    "key with a wrong tag": wrong_tag,
    "key cut off": lambda app: make_key(client=app).plaintext[:-1],
    "megabyte": lambda app: "ak_live_" + "0" * 1_000_000,
    "NUL": lambda app: make_key(client=app).plaintext + "\x00",
    "word": lambda app: "anything",
    "token of another client": signed_of_another_client,
    "token of another client that calls itself this one": signed_of_another_client_that_calls_itself_this_one,
    "token of this client with a key of another's": signed_of_this_client_with_a_key_of_anothers,
    "token of an unknown client with a key of this one": signed_of_an_unknown_client_with_a_key_of_this_one,
    "token signed by nobody": signed_by_nobody,
    "token for a list of servers": signed_for_a_list_of_servers,
    "token that ended long ago": signed_long_over,
}


@pytest.mark.parametrize("make", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_is_not_the_clients_own_is_left_alone_and_answered_alike(app, make):
    caller, text = make_key(client=app), make(app)
    before = changes()

    response = revoke(caller, text)

    assert_done(response)
    assert dict(response.items()) == dict(revoke(caller, "nothing").items())
    assert changes() == before


@pytest.fixture
def hasher(settings):
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.request_path.CountingHasher"], "CACHE": None}
    return CountingHasher.start()


WITH_A_RIGHT_TAG = {
    "own": lambda app: make_key(client=app).plaintext,
    "of another client": of_another_client,
    "id of a key alone": with_its_id_alone,
    "unknown": unknown,
}


@pytest.mark.parametrize("make", WITH_A_RIGHT_TAG.values(), ids=WITH_A_RIGHT_TAG)
def test_any_key_with_a_right_tag_costs_one_hash(hasher, app, make):
    caller, text = make_key(client=app), make(app)
    remembered.forget_all()
    revoke(caller, "nothing")
    hasher.start()

    revoke(caller, text)

    assert len(hasher.checks) == 1


def test_key_that_is_given_up_is_hashed_in_no_transaction(monkeypatch, settings, app):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    set_apikeys(settings, VERIFIERS=["tests.test_middleware.RecordingHasher"], CACHE=None)
    issued, caller = make_key(client=app), make_key(client=app)
    revoke(caller, "nothing")
    RecordingHasher.in_transaction.clear()

    assert_done(revoke(caller, issued))

    assert RecordingHasher.in_transaction == [False]
    assert not works(issued)


def test_signed_token_is_ended_and_others_of_its_key_are_not(server, app):
    issued = make_key(client=app)
    first, second = signed(issued, server), signed(issued, server)

    response = revoke(issued, first)

    assert_done(response)
    assert (is_active(server, first), is_active(server, second), works(issued)) == (False, True, True)


def test_end_of_a_signed_token_is_on_record_once(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False):
        issued = make_key(client=app)
        token = signed(issued, server, lifetime=600, jti="the-token")
        responses = [revoke(issued, token) for _ in range(3)]

    assert [response.status_code for response in responses] == [200] * 3
    [event] = KeyEvent.objects.filter(kind=EventKind.TOKEN_REVOKED)
    assert event.details == {"jti": "the-token", "exp": 1795176600, "aud": server.resource}
    assert (event.key, event.client, event.source, event.address) == (issued.key, app, "request", "127.0.0.1")


def test_signed_token_is_ended_for_as_long_as_a_server_whose_clock_is_late_believes_it(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        issued = make_key(client=app)
        early, late = signed(issued, server, lifetime=600), signed(issued, server, lifetime=600)
        clock.shift(timedelta(seconds=629))
        revoke(issued, early)
        clock.shift(timedelta(seconds=1))
        revoke(issued, late)

    assert KeyEvent.objects.filter(kind=EventKind.TOKEN_REVOKED).count() == 1


def give_up_earlier(issued, *, count, server=None):
    """Have the client of the key have given up *count* tokens for *server* now."""
    given_up = (
        KeyEvent(
            kind=EventKind.TOKEN_REVOKED,
            client=issued.key.client,
            key=issued.key,
            details={"aud": server.resource if server else ""},
            once=f"jti:{issued.key.key_id}-{number}",
        )
        for number in range(count)
    )
    KeyEvent.objects.bulk_create(given_up, batch_size=1000)


def test_client_can_not_make_the_revocation_list_longer_than_servers_read(server, app):
    issued = make_key(client=app)
    give_up_earlier(issued, count=MOST_TOKENS - 1)
    last, one_more = signed(issued, server), signed(issued, server)

    responses = [revoke(issued, text) for text in (last, one_more, last)]

    assert [response.status_code for response in responses] == [200, 503, 200]
    refused = responses[1]
    assert refused.json() == {"error": "temporarily_unavailable", "code": "temporarily_unavailable"}
    assert (refused["Retry-After"], refused["Cache-Control"]) == ("60", "no-store")
    assert (is_active(server, last), is_active(server, one_more)) == (False, True)


def test_clients_together_can_not_make_the_list_of_a_server_longer_than_it_reads(server):
    other = make_server()
    issued = make_key(client=make_app(server, other))
    give_up_earlier(make_key(client=make_app(server)), count=MOST_TOKENS_OF_SERVER, server=server)
    # Its share is what others can't use up.
    give_up_earlier(issued, count=SHARE_OF_CLIENT - 1, server=server)

    responses = [revoke(issued, signed(issued, audience)) for audience in (server, server, other)]

    assert [response.status_code for response in responses] == [200, 503, 200]


def test_key_can_be_given_up_however_many_tokens_were(server, app):
    issued = make_key(client=app)
    give_up_earlier(issued, count=MOST_TOKENS)
    token = signed(issued, server)

    assert_done(revoke(issued, issued))

    assert not is_active(server, token)


def test_tokens_that_others_gave_up_are_no_hindrance(server, app):
    give_up_earlier(make_key(client=make_app(server)), count=MOST_TOKENS)
    issued = make_key(client=app)
    token = signed(issued, server)

    assert_done(revoke(issued, token))

    assert not is_active(server, token)


def test_tokens_that_ran_out_make_room(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        issued = make_key(client=app)
        give_up_earlier(issued, count=MOST_TOKENS)
        clock.shift(LISTED)
        response = revoke(issued, signed(issued, server))

    assert_done(response)


def test_tokens_of_a_key_end_with_it(server, app):
    issued = make_key(client=app)
    token = signed(issued, server)
    before = is_active(server, token)

    revoke(issued, issued)

    assert (before, is_active(server, token)) == (True, False)


def test_server_can_not_end_what_it_was_shown(server, app):
    issued = make_key(client=app)
    token = signed(issued, server)

    responses = [revoke(server.key, text) for text in (issued, token)]

    assert [response.status_code for response in responses] == [200, 200]
    assert (works(issued), is_active(server, token)) == (True, True)


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
def test_hints_make_no_difference(app, hint):
    issued = make_key(client=app)

    assert_done(revoke(issued, issued, token_type_hint=hint))
    assert not works(issued)


def test_key_over_its_limit_can_still_be_ended(settings, app):
    settings.APIKEYS = {**settings.APIKEYS, "CACHE": None, "LIMITS_STORAGE": "memory://", "RATES": ["1/day"]}
    issued = make_key(client=app)

    responses = [revoke(issued, "nothing"), revoke(issued, "nothing"), revoke(issued, issued)]

    assert [response.status_code for response in responses] == [200] * 3
    assert not works(issued)


def test_what_is_given_up_is_stored_nowhere(server, app, caplog):
    caplog.set_level("DEBUG")
    issued = make_key(client=app)
    token = signed(issued, server)

    revoke(issued, token)
    revoke(issued, issued)

    for text in (token, issued.plaintext):
        assert_not_stored(text, also={"log": caplog.text})
