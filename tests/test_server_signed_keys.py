"""The published keys at an API server: when they are asked for, and how long they count."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.urls import path

from apikeys.signed import keys
from apikeys.testing import ApiKeyClient

from .authority_stand_in import Reply, as_json
from .drf_views import ask
from .oauth_views import bearer
from .signed_requests import KEY, Summaries, authority, make_token
from .threads import at_once_without_database

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
#: ``JWKS_MAX_AGE`` and ``JWKS_KEPT`` as they are by default.
MAX_AGE = timedelta(minutes=5)
KEPT = timedelta(hours=24)
MOMENT = timedelta(milliseconds=1)
NEW_KEY = keys.generate("ES256")


@pytest.fixture(autouse=True)
def now():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def server():
    with authority(REVOCATIONS_POLL_INTERVAL=None) as found:
        yield found


@pytest.fixture
def known(server):
    """The authority of a server that has its keys."""
    assert send().status_code == 200
    return server


def send(token: str | None = None, **claims: Any) -> Any:
    return ask(Summaries, **bearer(token or make_token(**claims)))


def send_at_once(*tokens: str) -> list[Any]:
    client: Any = ApiKeyClient
    # For all of them: threads share the settings.
    with override_settings(ROOT_URLCONF=(path("", Summaries.as_view()),)):
        return at_once_without_database(*(partial(client().get, "/", **bearer(token)) for token in tokens))


def outcome_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


def await_fetch() -> None:
    """Wait until nobody fetches keys in the background."""
    for thread in threading.enumerate():
        if thread.name == "apikeys-keys":
            thread.join(timeout=10)
            assert not thread.is_alive()


def long_lived(**changes: Any) -> str:
    return make_token(expires_in=timedelta(days=2), **changes)


def test_keys_are_asked_for_once(known):
    assert [send().status_code for _ in range(3)] == [200] * 3

    assert known.fetches() == 1


def test_keys_are_public_so_that_no_key_of_this_server_is_sent_for_them(known):
    [asked] = known.server.asked_for("jwks.json")

    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("later", "fetches"),
    [pytest.param(MAX_AGE * 0.8 - MOMENT, 1, id="before"), pytest.param(MAX_AGE * 0.8, 2, id="at")],
)
def test_copy_is_fetched_anew_before_it_ages_out(known, now, later, fetches):
    now.shift(later)
    response = send()
    await_fetch()

    assert (response.status_code, known.fetches()) == (200, fetches)


def test_no_request_waits_while_the_copy_is_fetched_anew(known, now):
    is_asked, may_answer = threading.Event(), threading.Event()

    def answer(asked: Any) -> Reply:
        is_asked.set()
        may_answer.wait(timeout=10)
        return known.jwks()

    known.server.answers["jwks.json"] = answer
    now.shift(MAX_AGE * 0.9)

    answers = [send().status_code]
    assert is_asked.wait(timeout=10)
    answers += [send().status_code for _ in range(3)]
    fetches = known.fetches()
    may_answer.set()
    await_fetch()

    assert (answers, fetches) == ([200] * 4, 2)


def test_withdrawn_key_counts_no_more_once_the_copy_is_new(known, now):
    token = make_token()
    assert send(token).status_code == 200
    known.signing_keys = [NEW_KEY]

    now.shift(MAX_AGE * 0.9)
    before = send(token)
    await_fetch()
    after = send(token)

    assert (before.status_code, outcome_of(after)) == (200, (401, "token_invalid"))


def test_key_of_the_same_name_is_another_key(known, now):
    token = make_token()
    other = keys.read_private({**NEW_KEY.private_jwk(), "kid": KEY.kid})
    assert send(token).status_code == 200
    known.signing_keys = [other]

    now.shift(MAX_AGE * 0.9)
    send(token)
    await_fetch()

    assert outcome_of(send(token)) == (401, "token_invalid")


def test_first_request_after_a_quiet_night_waits_for_new_keys(known, now):
    token = long_lived()
    assert send(token).status_code == 200
    known.signing_keys = [NEW_KEY]

    now.shift(timedelta(hours=12))
    response = send(token)

    assert outcome_of(response) == (401, "token_invalid")


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        pytest.param(KEPT - MOMENT, (200, ""), id="as long as it is kept"),
        pytest.param(KEPT, (503, "authority_unavailable"), id="no longer"),
    ],
)
def test_last_copy_counts_while_the_authority_is_down(known, now, later, outcome):
    token = long_lived()
    known.server.close()

    now.shift(later)
    response = send(token)

    assert outcome_of(response) == outcome


def test_last_copy_counts_on_every_request_of_an_outage(known, now):
    token = long_lived()
    known.server.close()

    answers = []
    for _ in range(20):
        now.shift(timedelta(minutes=1))
        answers.append(send(token).status_code)
        await_fetch()

    assert answers == [200] * 20


def test_authority_that_failed_is_asked_again_after_a_pause(known, now):
    token = long_lived()
    known.server.answers["jwks.json"] = Reply(status=500)
    now.shift(MAX_AGE * 0.9)
    send(token)
    await_fetch()

    now.shift(timedelta(seconds=5) - MOMENT)
    send(token)
    await_fetch()
    in_the_pause = known.fetches()
    now.shift(MOMENT)
    send(token)
    await_fetch()

    assert (in_the_pause, known.fetches()) == (2, 3)


def test_nothing_can_be_told_before_the_first_copy(server, now):
    server.server.answers["jwks.json"] = Reply(status=503)

    response = send()

    assert outcome_of(response) == (503, "authority_unavailable")
    assert response["Retry-After"] == "5"
    assert "WWW-Authenticate" not in response


def test_requests_do_not_wait_one_by_one_for_an_authority_that_is_down(server, now):
    server.server.answers["jwks.json"] = Reply(status=500)
    send()

    now.shift(timedelta(seconds=5) - MOMENT)
    in_the_pause = (send().status_code, server.fetches())
    now.shift(MOMENT)
    after_it = (send().status_code, server.fetches())

    assert (in_the_pause, after_it) == ((503, 1), (503, 2))


def test_pause_begins_when_the_authority_has_failed_however_long_that_took(server, now):
    def fail_late(asked: Any) -> Reply:
        now.shift(timedelta(seconds=5))
        return Reply(status=500)

    server.server.answers["jwks.json"] = fail_late
    first = send()

    now.shift(timedelta(seconds=5) - MOMENT)
    in_the_pause = (send().status_code, server.fetches())

    assert (first.status_code, in_the_pause) == (503, (503, 1))


def test_server_recovers_by_itself(server, now):
    server.server.answers["jwks.json"] = Reply(status=500)
    assert send().status_code == 503
    server.server.answers["jwks.json"] = lambda asked: server.jwks()

    now.shift(timedelta(seconds=5))

    assert send().status_code == 200


def test_unknown_key_is_looked_for_at_once(known, now):
    now.shift(MOMENT)
    known.signing_keys = [KEY, NEW_KEY]

    answers = [send(signed_by=NEW_KEY).status_code, send(signed_by=KEY).status_code]

    assert (answers, known.fetches()) == ([200, 200], 2)


def test_cache_between_asks_the_authority_as_well(known, now):
    now.shift(MOMENT)
    known.signing_keys = [KEY, NEW_KEY]

    send(signed_by=NEW_KEY)

    assert [asked.headers["Cache-Control"] for asked in known.server.asked_for("jwks.json")] == ["no-cache"] * 2


@pytest.mark.parametrize(
    ("later", "fetches"),
    [pytest.param(timedelta(seconds=10) - MOMENT, 1, id="within"), pytest.param(timedelta(seconds=10), 2, id="after")],
)
def test_keys_that_nobody_publishes_are_looked_for_once_in_ten_seconds(known, now, later, fetches):
    now.shift(MOMENT)
    made_up = [keys.generate("ES256") for _ in range(3)]
    before = known.fetches()

    outcomes = [outcome_of(send(signed_by=key)) for key in made_up[:2]]
    now.shift(later)
    outcomes.append(outcome_of(send(signed_by=made_up[2])))

    assert outcomes == [(401, "token_invalid")] * 3
    assert known.fetches() - before == fetches


def test_flood_of_made_up_keys_asks_the_authority_once(known, now):
    now.shift(MOMENT)
    tokens = [make_token(signed_by=keys.generate("ES256")) for _ in range(24)]
    before = known.fetches()

    answers = send_at_once(*tokens)

    assert {outcome_of(answer) for answer in answers} == {(401, "token_invalid")}
    assert known.fetches() - before == 1


def test_requests_with_a_new_key_wait_for_one_answer(known, now):
    now.shift(MOMENT)
    known.signing_keys = [KEY, NEW_KEY]
    before = known.fetches()

    answers = send_at_once(*(make_token(signed_by=NEW_KEY) for _ in range(12)))

    assert {answer.status_code for answer in answers} == {200}
    assert known.fetches() - before == 1


def test_first_requests_wait_for_one_answer(server):
    answers = send_at_once(*(make_token() for _ in range(12)))

    assert {answer.status_code for answer in answers} == {200}
    assert server.fetches() == 1


def test_nobody_can_tell_of_an_unknown_key_while_the_authority_is_down(known, now):
    now.shift(MOMENT)
    known.server.answers["jwks.json"] = Reply(status=502)

    outcomes = [outcome_of(send(signed_by=NEW_KEY)) for _ in range(2)]
    of_known_key = send()

    assert outcomes == [(503, "authority_unavailable")] * 2
    assert (of_known_key.status_code, known.fetches()) == (200, 2)


JUNK = {
    "no JSON": Reply(body=b"<html>"),
    "empty": Reply(),
    "a list": as_json([]),
    "without keys": as_json({"issuer": "x"}),
    "keys that are no list": as_json({"keys": {}}),
    "nested without end": Reply(body=b"[" * 60_000),
    "too long": Reply(body=b" " * 65_537 + b'{"keys": []}'),
    "cut off": Reply(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"keys": []}'),
    "not found": Reply(status=404, body=b'{"keys": []}'),
    "elsewhere": Reply(status=302, headers={"Location": "/authority/elsewhere"}),
    "failed": Reply(status=500),
}


@pytest.mark.parametrize("reply", JUNK.values(), ids=list(JUNK))
def test_junk_leaves_the_last_copy_as_it_is(known, now, reply):
    token = make_token()
    known.server.answers["jwks.json"] = reply

    now.shift(MAX_AGE * 0.9)
    send(token)
    await_fetch()

    assert (send(token).status_code, known.fetches()) == (200, 2)
    assert {asked.path for asked in known.server.asked} == {"jwks.json"}


@pytest.mark.parametrize("reply", JUNK.values(), ids=list(JUNK))
def test_junk_is_no_first_copy(server, reply):
    server.server.answers["jwks.json"] = reply

    assert outcome_of(send()) == (503, "authority_unavailable")


def test_authority_without_keys_vouches_for_nobody(server):
    server.signing_keys = []

    assert outcome_of(send()) == (401, "token_invalid")


def test_clock_that_was_set_back_makes_no_copy_younger(known, now):
    token = long_lived(issued_at=int((NOW - timedelta(days=3)).timestamp()))
    known.signing_keys = [NEW_KEY]

    now.shift(-timedelta(days=1))
    response = send(token)

    assert outcome_of(response) == (401, "token_invalid")


def test_failure_is_logged_once_a_minute(server, now, caplog):
    server.server.answers["jwks.json"] = Reply(status=500)

    for _ in range(3):
        send()
        now.shift(timedelta(seconds=5))

    [record] = [record for record in caplog.records if record.name == "apikeys.auth" and record.levelname == "WARNING"]
    assert record.getMessage() == "The authority's keys can't be fetched: it answers 500"
