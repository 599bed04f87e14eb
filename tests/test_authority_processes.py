"""
What API servers promise when keys are revoked, the authority is away, or its signing keys change: real processes.

The figures that are printed are those of the documentation: ``pytest -s``.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from threading import Event, Lock
from typing import Any

import pytest
from django.core.management import call_command

from apikeys import keys
from apikeys.issuance import IssuedKey
from apikeys.signed.tokens import kid_of
from apikeys.testing import hammering, make_key
from example_project.todo import story
from tests.authority_processes import (
    PATIENCE_SECONDS,
    Answer,
    Authority,
    ask,
    calling_client,
    running_authority,
    running_server,
    until,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Six processes at a time are enough for one machine.
    pytest.mark.xdist_group("authority"),
]

POLL_SECONDS = 0.5
#: How long the authority gives everybody the same list.
LIST_SECONDS = 1
PAUSE_SECONDS = 2
#: How long a server waits for a connection and an answer, by default.
READ_SECONDS = 2
TIMEOUT_SECONDS = 1 + READ_SECONDS
#: Of a server that is asked while the machine is busy, beyond what is promised.
SLACK_SECONDS = 1
OF_AUTHORITY = {"JWKS_MAX_AGE": 2.0, "SIGNING_KEY_PUBLISHED_AHEAD": 4.0}
OF_SERVERS = {"REVOCATIONS_POLL_INTERVAL": POLL_SECONDS, "AUTHORITY_PAUSE": PAUSE_SECONDS}


@dataclass(frozen=True, kw_only=True)
class Services:
    """One authority, what it serves, and a key that both API servers let in."""

    authority: Authority
    sharing: str
    summaries: str
    issued: IssuedKey = field(repr=False)


@pytest.fixture
def services(settings: Any, request: pytest.FixtureRequest) -> Iterator[Services]:
    more = getattr(request, "param", {})
    with ExitStack() as stack:
        authority = stack.enter_context(running_authority(seconds=OF_AUTHORITY))
        # For the commands that this process runs.
        settings.APIKEYS = {
            **settings.APIKEYS,
            "ISSUER": authority.issuer,
            **{name: timedelta(seconds=seconds) for name, seconds in OF_AUTHORITY.items()},
        }
        rotate()
        sharing, summaries = (
            stack.enter_context(running_server(server, authority, seconds=OF_SERVERS | more))
            for server in story.SERVERS
        )
        issued = make_key(client=calling_client())
        yield Services(authority=authority, sharing=sharing, summaries=summaries, issued=issued)


def rotate(*options: str) -> None:
    call_command("rotate_signing_key", *options, stdout=StringIO(), verbosity=0)


def told(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def test_a_revoked_key_is_refused_by_introspection_on_the_next_call(services):
    with hammering(services.sharing, services.issued, workers=2) as proof:
        keys.revoke(services.issued.key, reason="leaked")
        figures = proof.assert_refused()

    assert set(figures.answers) == {"401 key_invalid"}


def test_the_tokens_of_a_revoked_key_are_refused_once_the_list_was_polled(services):
    token = services.authority.exchange(services.issued)

    with hammering(services.summaries, token, workers=2) as proof:
        keys.revoke(services.issued.key, reason="leaked")
        figures = proof.assert_refused(within=timedelta(seconds=POLL_SECONDS + LIST_SECONDS + SLACK_SECONDS))

    assert set(figures.answers) == {"401 token_invalid"}


@contextmanager
def away(authority: Authority, how: str) -> Iterator[None]:
    getattr(authority, how)()
    try:
        yield
    finally:
        authority.kill()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_while_the_authority_is_away_introspection_says_so_in_time_and_then_at_once(services, how):
    # A key that is new to an authority waits for a turn to be hashed, which a busy machine may not have at once.
    until(lambda: ask(services.sharing, bearer=services.issued.plaintext).status == 200)

    with away(services.authority, how):
        first = ask(services.sharing, bearer=services.issued.plaintext)
        others = [ask(services.sharing, bearer=services.issued.plaintext) for _ in range(5)]

    told(f"authority {how}: 503 after {first.seconds:.2f} s, then after {max(map(seconds, others)):.3f} s at most")
    for answer in (first, *others):
        assert (answer.status, answer.code) == (503, "authority_unavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= PAUSE_SECONDS
    assert first.seconds < TIMEOUT_SECONDS
    # Together faster than a single one that waits.
    assert sum(map(seconds, others)) < 1


def seconds(answer: Answer) -> float:
    return answer.seconds


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_while_the_authority_is_away_signed_tokens_go_on(services, how):
    token = services.authority.exchange(services.issued)
    assert ask(services.summaries, bearer=token).status == 200

    with away(services.authority, how):
        answers: list[Answer] = []
        # So long that several polls fail.
        give_up_at = time.monotonic() + 2 * TIMEOUT_SECONDS
        while time.monotonic() < give_up_at:
            answers.append(ask(services.summaries, bearer=token))

    slowest = max(map(seconds, answers))
    told(f"authority {how}: {len(answers)} answers of Summaries, the slowest after {slowest:.3f} s")
    assert {answer.status for answer in answers} == {200}
    # Nobody waits for an authority that hangs.
    assert slowest < READ_SECONDS


def test_introspection_recovers_by_itself_once_the_authority_is_back(services):
    seen = Counter[int]()

    def is_let_in(plaintext: str = services.issued.plaintext) -> bool:
        status = ask(services.sharing, bearer=plaintext).status
        seen[status] += 1
        return status == 200

    assert is_let_in()
    services.authority.kill()
    assert not is_let_in()
    services.authority.start()
    taken = until(is_let_in, seconds=PAUSE_SECONDS + SLACK_SECONDS)

    told(f"authority back: Sharing lets in after {taken:.2f} s")
    assert set(seen) == {200, 503}


def test_what_was_revoked_while_a_server_could_not_ask_is_refused_when_it_can(services):
    token = services.authority.exchange(services.issued)
    assert ask(services.summaries, bearer=token).status == 200

    services.authority.kill()
    keys.revoke(services.issued.key, reason="leaked")
    services.authority.start()

    until(lambda: ask(services.summaries, bearer=token).status == 401)
    assert ask(services.sharing, bearer=services.issued.plaintext).status == 401


class Load:
    """Threads that call Summaries with the newest token, while one goes on fetching new ones."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = Lock()
        self._ended = Event()
        self.tokens = [services.authority.exchange(services.issued)]
        self.answers = Counter[tuple[str, int]]()

    def exchange(self) -> None:
        while not self._ended.is_set():
            self.tokens.append(self._services.authority.exchange(self._services.issued))

    def call(self) -> None:
        turn = 0
        while not self._ended.is_set():
            # By turns the newest, and one of all those before, which are as good.
            turn += 1
            token = self.tokens[-1 if turn % 2 else turn % len(self.tokens)]
            status = ask(self._services.summaries, bearer=token).status
            with self._lock:
                self.answers[kid_of(token) or "", status] += 1

    def await_answers(self, number: int, *, kids: int) -> None:
        """Return once tokens of so many signing keys were shown, and those of each so often."""
        until(lambda: sum(shown >= number for shown in self.by_kid.values()) == kids, seconds=3 * PATIENCE_SECONDS)

    @property
    def by_kid(self) -> Counter[str]:
        """How often tokens of each signing key were shown."""
        with self._lock:
            shown = Counter[str]()
            for (kid, _status), number in self.answers.items():
                shown[kid] += number
            return shown

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(4) as threads:
            running: list[Future[None]] = [threads.submit(self.exchange)]
            running += [threads.submit(self.call) for _ in range(3)]
            try:
                yield
            finally:
                self._ended.set()
        for each in running:
            each.result()


# So that the next key is known everywhere before it signs, as by default.
@pytest.mark.parametrize("services", [{"JWKS_MAX_AGE": OF_AUTHORITY["JWKS_MAX_AGE"]}], indirect=True, ids=["fresh"])
def test_no_token_is_refused_while_signing_keys_are_rotated_under_load(services):
    load = Load(services)

    with load.running():
        for known in (1, 2, 3):
            load.await_answers(500, kids=known)
            rotate("--force")
        load.await_answers(500, kids=4)

    told(f"{sum(load.answers.values())} requests with {len(load.tokens)} tokens of {len(load.by_kid)} signing keys")
    assert {status for _kid, status in load.answers} == {200}
