"""What an API server withstands of its authority, of whoever stands between them, and of many requests at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from apikeys.logging import complaints
from apikeys.oauth import OAuthTokenAuthentication
from apikeys.resource_server import IntrospectionAuthentication, SignedTokenAuthentication, verifying
from apikeys.signed import keys
from apikeys.testing import ApiKeyClient

from . import introspected, signed_requests
from .authority_stand_in import Asked, Reply, as_json
from .drf_views import ask, derived
from .introspected import SERVICE
from .oauth_views import bearer
from .signed_requests import Summaries, make_token

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
PIECES = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def now():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def server():
    with signed_requests.authority(REVOCATIONS_POLL_INTERVAL=timedelta(hours=1)) as found:
        yield found


@pytest.mark.parametrize("status", [101, 102, 103])
def test_answer_that_comes_late_is_never_that_to_the_next_request(status):
    late = as_json(SERVICE).body
    asked_of: list[Asked] = []

    def announce_only(asked: Asked) -> Reply:
        asked_of.append(asked)
        if len(asked_of) == 1:
            return Reply(status=status)
        with suppress(OSError):
            stand_in.connections[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(late), late))
        return as_json({"active": False})

    with introspected.authority(announce_only, AUTHORITY_PAUSE=timedelta(0)) as stand_in:
        answers = [introspected.get(), introspected.get()]

        assert [answer.status_code for answer in answers] == [503, 401]


@pytest.mark.parametrize("length", [b"-5", b"-1"])
def test_piece_of_a_length_that_is_none_is_no_answer(length):
    with introspected.authority(Reply(raw=PIECES + length + b"\r\n" + as_json(SERVICE).body)):
        assert introspected.get().status_code == 503


def test_answer_has_an_end_whatever_it_says_of_its_length(caplog):
    with introspected.authority(Reply(raw=PIECES + b"-1\r\n" + b" " * 1024 * 1024)):
        assert introspected.get().status_code == 503
    assert "too much came" in caplog.text


def test_authority_whose_name_nobody_can_look_up_for_want_of_threads_is_no_answer():
    with introspected.asking("http://localhost:1/authority/"):
        # More than there is, so that none starts.
        usual = threading.stack_size(2**45)
        try:
            response = introspected.get()
        finally:
            threading.stack_size(usual)

    assert response.status_code == 503


def test_nobody_takes_the_old_keys_while_new_ones_are_asked_for_after_a_quiet_night(now, server):
    token = make_token(expires_in=timedelta(days=2))
    assert ask(Summaries, **bearer(token)).status_code == 200
    server.signing_keys = [keys.generate("ES256")]
    now.shift(timedelta(hours=12))

    statuses = statuses_of_two(token, server, path="jwks.json", answer=lambda asked: server.jwks())

    assert statuses == [401, 401]


def test_nobody_takes_the_old_list_while_a_new_one_is_asked_for_after_a_quiet_night(now, server):
    token = make_token(expires_in=timedelta(days=2))
    assert ask(Summaries, **bearer(token)).status_code == 200
    server.tell("key", "4Qm9ZtR1xVb7")
    now.shift(timedelta(hours=12))

    statuses = statuses_of_two(token, server, path="revocations", answer=server.revocations)

    assert statuses == [401, 401]


def test_list_of_the_future_is_believed_and_outlives_no_later_one(now, server, caplog):
    hour = timedelta(hours=1)
    tokens = [make_token(expires_in=timedelta(days=2), jti=jti) for jti in ("a", "b")]
    tomorrow = int((NOW + 24 * hour).timestamp())
    server.tell("token", "a")
    server.server.answers["revocations"] = Reply(body=server.listed(issued_at=tomorrow).encode())
    before = [ask(Summaries, **bearer(token)).status_code for token in tokens]
    server.tell("token", "b")
    server.server.answers["revocations"] = server.revocations

    now.shift(3 * hour)
    after = [ask(Summaries, **bearer(token)).status_code for token in tokens]

    assert (before, after) == ([401, 200], [401, 401])
    assert "of the future" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize(
    "held",
    [pytest.param(lambda: verifying._verified._lock, id="memory"), pytest.param(lambda: complaints._lock, id="log")],  # noqa: SLF001  # no thread can be stopped there
)
def test_child_of_a_fork_waits_for_no_lock_that_a_thread_of_its_parent_held(server, held):
    ask(Summaries, **bearer(make_token()))
    complaints.tell("once", reason="any")
    with held():
        child = os.fork()
        if child == 0:
            # No test may go on in here.
            with deadline():
                complaints.tell("again", reason="any")
                is_right = ask(Summaries, **bearer(make_token())).status_code == 200
                os._exit(0 if is_right else 1)
    _, status = os.waitpid(child, 0)

    assert status == 0


def test_header_of_a_thousand_tokens_costs_no_more_than_one_of_some():
    view = derived(Summaries, authentication_classes=[SignedTokenAuthentication], permission_classes=[AllowAny])
    header = "Bearer " + ", ".join(["W10.a.b"] * 1000 + [make_token()])

    response = ask(view, HTTP_AUTHORIZATION=header)

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")


@pytest.mark.parametrize("way", [SignedTokenAuthentication, IntrospectionAuthentication, OAuthTokenAuthentication])
@pytest.mark.parametrize("joined", [", ", ",", ",\t "])
def test_token_in_a_second_header_is_seen_however_the_server_joins_them(server, way, joined):
    view = derived(Summaries, authentication_classes=[way], permission_classes=[AllowAny])

    response = ask(view, HTTP_AUTHORIZATION=f"Basic eDp5{joined}Bearer {make_token()}")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_signed_token_in_the_address_is_refused_behind_another(server):
    view = derived(Summaries, permission_classes=[AllowAny])

    response = ask(view, address=f"/?access_token=x&access_token={make_token()}")

    assert (response.status_code, response.json()["code"]) == (400, "token_in_query")


@pytest.mark.parametrize(
    ("sources", "status"), [(["bearer", "x-api-key"], 400), (["bearer"], 200)], ids=["read", "not read"]
)
def test_signed_token_may_stand_beside_a_header_that_holds_no_keys(sources, status):
    with signed_requests.authority(CREDENTIAL_SOURCES=sources, REVOCATIONS_POLL_INTERVAL=None):
        assert ask(Summaries, HTTP_X_API_KEY="of the gateway", **bearer(make_token())).status_code == status


def test_view_can_not_change_a_claim_for_later_requests(server):
    token = make_token(claims={"teams": ["hooli"], "seats": {"of": [1]}})

    response = ask(kinds_of_claims(Summaries), **bearer(token))

    assert response.json() == ["tuple", "mappingproxy", "tuple"]


def test_view_can_not_change_a_kept_answer():
    answer = {**SERVICE, "teams": ["hooli"], "seats": {"of": [1]}}
    with introspected.authority(answer, INTROSPECTION_CACHE=timedelta(minutes=1)):
        response = introspected.get(kinds_of_claims(introspected.Sharing))

    assert response.json() == ["tuple", "mappingproxy", "tuple"]


def kinds_of_claims(view: Any) -> Any:
    """Return *view*, which now says of what kind the claims are that hold others."""

    def get(self: Any, request: Any) -> Response:
        claims = request.auth.claims
        return Response([type(claim).__name__ for claim in (claims["teams"], claims["seats"], claims["seats"]["of"])])

    return derived(view, get=get)


@contextmanager
def deadline() -> Any:
    """End this process where it takes longer than ten seconds."""
    timer = threading.Timer(10, os._exit, args=[2])
    timer.daemon = True
    timer.start()
    yield


def statuses_of_two(token: str, server: Any, *, path: str, answer: Callable[[Asked], Reply]) -> list[int]:
    """Return what two requests with *token* get, the second of which comes while the first asks for *path*."""
    is_asked, may_answer = threading.Event(), threading.Event()

    def wait(asked: Asked) -> Reply:
        is_asked.set()
        may_answer.wait(timeout=10)
        return answer(asked)

    server.server.answers[path] = wait
    statuses: list[int] = []
    with everywhere(Summaries):
        threads = [threading.Thread(target=lambda: statuses.append(send(token))) for _ in range(2)]
        threads[0].start()
        assert is_asked.wait(timeout=10)
        threads[1].start()
        # It is over at once where it does not wait.
        threads[1].join(timeout=0.3)
        may_answer.set()
        for thread in threads:
            thread.join(timeout=10)
    return statuses


def everywhere(view: Any) -> Any:
    return override_settings(ROOT_URLCONF=(path("", view.as_view()),))


def send(token: str) -> int:
    client: Any = ApiKeyClient()
    return int(client.get("/", **bearer(token)).status_code)
