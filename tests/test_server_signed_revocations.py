"""The revocation list at an API server: what it refuses, and when it is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.urls import path
from rest_framework.permissions import AllowAny

from apikeys.drf import HasScopes
from apikeys.testing import ApiKeyClient

from .authority_stand_in import Reply
from .drf_views import derived
from .oauth_views import bearer
from .polling_servers import (
    DEAD,
    ELSEWHERE,
    FORGOTTEN,
    INTERVAL,
    LACKS_SCOPE,
    MOMENT,
    NOW,
    OK,
    UNIX_NOW,
    make_long_lived_token,
    outcome_of,
    pollers,
)
from .signed_requests import Summaries, authority, make_token
from .threads import at_once_without_database


@pytest.fixture(autouse=True)
def now():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def ticking():
    """A clock that goes on."""
    with time_machine.travel(NOW, tick=True):
        yield


@pytest.fixture
def server():
    with authority(REVOCATIONS_POLL_INTERVAL=INTERVAL) as found:
        yield found


def await_that(is_so: Callable[[], object]) -> None:
    """Wait until *is_so*."""
    ends_at = time.monotonic() + 10
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < ends_at
        pause.wait(0.005)


def await_polls(server: Any, count: int) -> None:
    """Wait until what the first *count* polls from now brought is known: the next has begun."""
    polls = server.fetches("revocations") + count
    await_that(lambda: server.fetches("revocations") > polls)


WITHDRAWN = {
    "its key": ("key", "4Qm9ZtR1xVb7", None),
    "its key, at this very second": ("key_until", "4Qm9ZtR1xVb7", UNIX_NOW),
    "its client": ("client", "todo-app", False),
    "the token itself": ("token", "the-token", None),
}


@pytest.mark.parametrize("entry", WITHDRAWN.values(), ids=list(WITHDRAWN))
@pytest.mark.parametrize("view", [Summaries, derived(Summaries, permission_classes=[AllowAny])], ids=["scope", "open"])
def test_what_is_withdrawn_is_refused(server, entry, view):
    server.tell(*entry)

    assert outcome_of(make_token(jti="the-token"), to=view) == DEAD


@pytest.mark.parametrize(("name", "subject"), [("owners", "user:7"), ("keys", "4Qm9ZtR1xVb7")])
def test_token_of_a_person_who_is_gone_is_refused(server, name, subject):
    setattr(server, name, (subject,))

    assert outcome_of(make_token()) == DEAD


OTHERS = {
    "another key": ("key", "AnotherKeyId", None),
    "its key, a second later": ("key_until", "4Qm9ZtR1xVb7", UNIX_NOW + 1),
    "its key, without end": ("key_until", "4Qm9ZtR1xVb7", None),
    "its client, switched on": ("client", "todo-app", True),
    "another client": ("client", "another", False),
    "another token": ("token", "another", None),
}


@pytest.mark.parametrize("entry", OTHERS.values(), ids=list(OTHERS))
def test_what_is_withdrawn_elsewhere_is_nothing_to_it(server, entry):
    server.tell(*entry)

    assert outcome_of(make_token()) == OK


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        pytest.param("key_scopes", "4Qm9ZtR1xVb7", id="key"),
        pytest.param("client_scopes", "todo-app", id="client"),
    ],
)
def test_token_has_no_scope_that_its_key_or_client_lost(server, kind, subject):
    token = make_token(scopes=("todo:read", "todo:write"))
    write = derived(Summaries, permission_classes=[HasScopes("todo:write")])
    server.tell(kind, subject, ["todo:read"])

    assert (outcome_of(token), outcome_of(token, to=write)) == (OK, LACKS_SCOPE)


@pytest.mark.parametrize(
    ("networks", "outcome"),
    [
        pytest.param(["127.0.0.0/8"], OK, id="inside"),
        pytest.param(["192.0.2.0/24"], ELSEWHERE, id="outside"),
        pytest.param([], ELSEWHERE, id="nowhere"),
        pytest.param(None, OK, id="bound-no-longer"),
    ],
)
def test_networks_that_its_client_is_bound_to_since_bind_a_token(server, networks, outcome):
    server.tell("client_networks", "todo-app", networks)

    assert outcome_of(make_token()) == outcome


def test_list_frees_no_token_of_its_own_networks(server):
    server.tell("client_networks", "todo-app", ["127.0.0.0/8"])

    assert outcome_of(make_token(networks=(("192.0.2.0/24",),))) == ELSEWHERE


def test_list_gives_no_token_a_scope(server):
    server.tell("key_scopes", "4Qm9ZtR1xVb7", ["todo:read", "todo:write"])
    write = derived(Summaries, permission_classes=[HasScopes("todo:write")])

    assert outcome_of(make_token(), to=write) == LACKS_SCOPE


def test_list_is_asked_for_with_the_key_of_this_server_before_the_first_token_is_believed(server):
    outcome_of(make_token())

    [asked] = server.server.asked_for("revocations")
    assert (asked.method, asked.path) == ("GET", "revocations?since=0")
    assert asked.headers["Authorization"] == "Bearer the-key-of-this-server"


@pytest.mark.parametrize("reply", [None, Reply(status=500)], ids=["told", "failed"])
def test_first_requests_wait_for_one_answer(ticking, reply):
    with authority() as server, override_settings(ROOT_URLCONF=(path("", Summaries.as_view()),)):
        if reply is not None:
            server.server.answers["revocations"] = reply
        client: Any = ApiKeyClient
        calls = [partial(client().get, "/", **bearer(make_token())) for _ in range(12)]

        answers = at_once_without_database(*calls)

    assert {answer.status_code for answer in answers} == {200}
    assert (server.fetches(), server.fetches("revocations")) == (1, 1)


def test_requests_do_not_ask_for_it_again(server):
    for _ in range(3):
        outcome_of(make_token())

    assert server.fetches("revocations") == 1


def test_remembered_token_is_refused_once_the_list_says_so():
    with authority(REVOCATIONS_POLL_INTERVAL=timedelta(milliseconds=20)) as server:
        token = make_token()
        before = outcome_of(token)

        server.tell("key", "4Qm9ZtR1xVb7")
        await_polls(server, 1)

        assert (before, outcome_of(token)) == (OK, DEAD)


def test_thread_asks_for_what_is_new():
    with authority(REVOCATIONS_POLL_INTERVAL=timedelta(milliseconds=20)) as server:
        server.tell("client", "another", value=False)
        outcome_of(make_token())
        [first] = server.entries

        await_polls(server, 1)

        assert server.server.asked_for("revocations")[-1].path == f"revocations?since={first.sequence}"
        assert len(pollers()) == 1


def test_thread_ends_with_its_settings():
    with authority(REVOCATIONS_POLL_INTERVAL=timedelta(milliseconds=20)):
        outcome_of(make_token())
        [poller] = pollers()

    poller.join(timeout=10)
    assert not poller.is_alive()


def test_thread_keeps_the_keys_fresh_while_nobody_comes(now):
    with authority(REVOCATIONS_POLL_INTERVAL=timedelta(milliseconds=20)) as server:
        outcome_of(make_token())

        now.shift(timedelta(minutes=4))

        await_that(lambda: server.fetches() == 2)


@pytest.mark.parametrize(
    ("later", "polls"), [pytest.param(FORGOTTEN - MOMENT, 1, id="not yet"), pytest.param(FORGOTTEN, 2, id="too late")]
)
def test_request_asks_by_itself_where_the_thread_got_no_time(server, now, later, polls):
    token = make_long_lived_token()
    outcome_of(token)
    server.tell("key", "4Qm9ZtR1xVb7")

    now.shift(later)
    outcome = outcome_of(token)

    assert (outcome, server.fetches("revocations")) == (OK if polls == 1 else DEAD, polls)
