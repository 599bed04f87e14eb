"""What holds at an API server while the revocation list can't be had, is old, or is not to be fetched at all."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured

from apikeys.signed.revocations import Entry

from .authority_stand_in import Reply
from .drf_views import ask
from .oauth_views import bearer
from .polling_servers import (
    DEAD,
    FORGOTTEN,
    INTERVAL,
    LEEWAY,
    MINUTE,
    MOMENT,
    NOBODY_KNOWS,
    NOW,
    OK,
    OTHER_KEY,
    UNIX_NOW,
    make_long_lived_token,
    outcome_of,
    pollers,
)
from .signed_requests import KEY, Summaries, authority, make_token


@pytest.fixture(autouse=True)
def now():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def server():
    with authority(REVOCATIONS_POLL_INTERVAL=INTERVAL) as found:
        yield found


FAILURES = {
    "failed": lambda server: Reply(status=500),
    "busy": lambda server: Reply(status=429),
    "our key refused": lambda server: Reply(status=401),
    "elsewhere": lambda server: Reply(status=302, headers={"Location": "/authority/jwks.json"}),
    "empty": lambda server: Reply(),
    "no list": lambda server: Reply(body=b"<html>"),
    "not text": lambda server: Reply(body=b"\xff\xfe"),
    "signed by nobody known": lambda server: Reply(body=server.listed(signed_by=OTHER_KEY).encode()),
    # As it is told to a key of another server, which was put into the settings of this one.
    "for another server": lambda server: Reply(body=server.listed(audience="https://other.example").encode()),
    "of another issuer": lambda server: Reply(body=server.listed(issuer="https://other.example").encode()),
    "an access token": lambda server: Reply(body=make_token().encode()),
    "of an unknown kind": lambda server: Reply(body=server.listed(entries=[odd_entry()]).encode()),
    "begun too late": lambda server: Reply(body=server.listed(since=10**6, next=10**6).encode()),
}


def odd_entry() -> Any:
    return Entry(sequence=1, at=UNIX_NOW, kind="everything", subject="x")


@pytest.mark.parametrize("reply", FAILURES.values(), ids=list(FAILURES))
def test_what_is_known_stays_where_the_list_can_not_be_had(server, now, reply):
    dead, alive = make_long_lived_token(jti="dead"), make_long_lived_token(client_id="another")
    server.tell("token", "dead")
    outcome_of(dead)
    server.entries = []
    # What it says, were it believed.
    server.keys = ("4Qm9ZtR1xVb7",)
    answer = reply(server)
    server.server.answers["revocations"] = answer

    now.shift(FORGOTTEN)
    outcomes = [outcome_of(dead), outcome_of(alive)]

    assert outcomes == [DEAD, OK]
    assert server.fetches("revocations") == 2


@pytest.mark.parametrize("reply", FAILURES.values(), ids=list(FAILURES))
def test_token_counts_to_its_end_where_there_is_no_list(server, reply):
    server.keys = ("4Qm9ZtR1xVb7",)
    server.server.answers["revocations"] = reply(server)

    assert outcome_of(make_token()) == OK


def test_list_is_believed_again_once_it_can_be_had(server, now):
    token = make_long_lived_token()
    server.server.answers["revocations"] = Reply(status=500)
    outcome_of(token)
    server.tell("key", "4Qm9ZtR1xVb7")
    server.server.answers["revocations"] = server.revocations

    now.shift(FORGOTTEN)

    assert outcome_of(token) == DEAD


def test_list_signed_by_a_new_key_is_believed(server, now):
    token = make_long_lived_token()
    outcome_of(token)
    server.signing_keys = [OTHER_KEY, KEY]
    server.tell("key", "4Qm9ZtR1xVb7")

    now.shift(FORGOTTEN)

    assert outcome_of(token) == DEAD


def test_client_that_is_switched_on_again_is_let_in(server, now):
    token = make_long_lived_token()
    server.tell("client", "todo-app", value=False)
    before = outcome_of(token)
    server.tell("client", "todo-app", value=True)

    now.shift(FORGOTTEN)

    assert (before, outcome_of(token)) == (DEAD, OK)


def test_long_list_is_read(server):
    for number in range(2_000):
        server.tell("token", f"one-of-many-tokens-{number}")
    server.tell("key", "4Qm9ZtR1xVb7")

    assert len(server.listed()) > 65_536
    assert outcome_of(make_token()) == DEAD


def test_list_of_a_host_whose_clock_is_behind_takes_and_gives_nothing_back(server, now, caplog):
    tokens = [make_long_lived_token(client_id=name) for name in ("switched on", "switched off")]
    server.tell("client", "switched on", value=False)
    outcome_of(tokens[0])
    server.tell("client", "switched on", value=True)
    server.tell("client", "switched off", value=False)
    server.server.answers["revocations"] = Reply(body=server.listed(issued_at=UNIX_NOW - 1).encode())

    now.shift(FORGOTTEN)
    of_the_older = list(map(outcome_of, tokens))
    server.server.answers["revocations"] = server.revocations
    now.shift(FORGOTTEN)

    assert of_the_older == [DEAD, DEAD]
    assert list(map(outcome_of, tokens)) == [OK, DEAD]
    assert "The revocation list is older than the one before" in caplog.text


@pytest.mark.parametrize("ahead", [-LEEWAY, timedelta(0), LEEWAY, INTERVAL], ids=["behind", "alike", "ahead", "wrong"])
@pytest.mark.parametrize(
    ("later", "outcome"),
    [pytest.param(MINUTE - MOMENT, OK, id="as old as it may be"), pytest.param(MINUTE, NOBODY_KNOWS, id="older")],
)
def test_token_is_refused_once_the_list_is_too_old_by_this_servers_clock(now, ahead, later, outcome):
    with authority(REVOCATIONS_POLL_INTERVAL=INTERVAL, REVOCATIONS_MAX_AGE=MINUTE) as server:
        issued_at = int((NOW + ahead).timestamp())
        server.server.answers["revocations"] = Reply(body=server.listed(issued_at=issued_at).encode())
        token = make_long_lived_token()
        outcome_of(token)

        now.shift(later)

        assert outcome_of(token) == outcome


def test_list_that_a_cache_has_kept_is_as_old_as_it_was(now):
    with authority(REVOCATIONS_POLL_INTERVAL=INTERVAL, REVOCATIONS_MAX_AGE=MINUTE) as server:
        server.server.answers["revocations"] = Reply(body=server.listed().encode())
        now.shift(MINUTE + LEEWAY)

        assert outcome_of(make_long_lived_token()) == NOBODY_KNOWS


def test_no_request_waits_for_an_authority_that_hangs(now, caplog):
    is_asked = threading.Event()

    def hang(asked: Any) -> Reply:
        is_asked.set()
        return Reply(stalls=True)

    # So long that the thread still waits when the request is over.
    patience = timedelta(seconds=9)
    with authority(REVOCATIONS_POLL_INTERVAL=timedelta(milliseconds=20), AUTHORITY_READ_TIMEOUT=patience) as server:
        token = make_long_lived_token()
        outcome_of(token)
        server.server.answers["revocations"] = hang
        assert is_asked.wait(timeout=10)

        # For the list, and for the keys before it.
        now.shift(3 * patience)

        # And the thread waits on.
        assert (outcome_of(token), caplog.messages) == (OK, [])


def test_answer_where_the_list_is_too_old_says_when_to_come_again():
    with authority(REVOCATIONS_MAX_AGE=MINUTE) as server:
        server.server.answers["revocations"] = Reply(status=500)

        response = ask(Summaries, **bearer(make_token()))

    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (*NOBODY_KNOWS, "5")
    assert "WWW-Authenticate" not in response


NO_LIST = {"no key": {"AUTHORITY_KEY": ""}, "no interval": {"REVOCATIONS_POLL_INTERVAL": None}}


@pytest.mark.parametrize("given", NO_LIST.values(), ids=list(NO_LIST))
def test_server_without_a_list_lets_tokens_count_to_their_end(given):
    with authority(**given) as server:
        server.keys = ("4Qm9ZtR1xVb7",)

        assert outcome_of(make_token()) == OK
        assert (server.fetches("revocations"), pollers()) == (0, [])


def test_server_that_has_no_key_to_fetch_the_list_with_says_so(caplog):
    with authority(AUTHORITY_KEY=""):
        for _ in range(2):
            outcome_of(make_token())

    [line] = caplog.messages
    assert "whatever is revoked" in line
    assert "AUTHORITY_KEY" in line


def test_server_that_is_to_fetch_no_list_says_nothing(caplog):
    with authority(REVOCATIONS_POLL_INTERVAL=None, AUTHORITY_KEY=""):
        outcome_of(make_token())

    assert caplog.messages == []


@pytest.mark.parametrize("given", NO_LIST.values(), ids=list(NO_LIST))
def test_server_without_a_list_that_must_not_be_old_lets_nobody_in(given):
    with authority(**given, REVOCATIONS_MAX_AGE=MINUTE):
        assert outcome_of(make_token()) == NOBODY_KNOWS


def test_server_whose_key_can_not_be_sent_answers_nobody():
    with authority(AUTHORITY_KEY="two words"):
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured, match="AUTHORITY_KEY"):
                outcome_of(make_token())


def test_refused_key_of_this_server_is_an_error_in_the_log(server, now, caplog):
    server.server.answers["revocations"] = Reply(status=403)

    token = make_long_lived_token()
    for _ in range(2):
        outcome_of(token)
        now.shift(FORGOTTEN)

    [record] = [record for record in caplog.records if record.levelname == "ERROR" and record.name == "apikeys.auth"]
    assert "apikeys:introspect" in record.getMessage()
    assert "the-key-of-this-server" not in record.getMessage()
