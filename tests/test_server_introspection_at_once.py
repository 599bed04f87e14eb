from __future__ import annotations

import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine

from apikeys.resource_server import asking as introspection
from apikeys.resource_server.rounds import NoRoundError, Rounds

from .authority_stand_in import Reply, as_json
from .drf_views import served
from .introspected import SERVICE, Sharing, active, authority, bearer, get, inactive, new_key, send, together

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def view():
    """One for all threads."""
    with served(Sharing):
        yield


class Gate:
    """Answers introspection once it is opened, and says how many are waiting for that."""

    def __init__(self, answer=active):
        self.answer = answer
        self.came = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, asked):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.came.release()
        assert self.opened.acquire(timeout=20)
        with self._lock:
            self.at_once -= 1
        return self.answer(asked)

    def wait_for_one(self):
        assert self.came.acquire(timeout=10)

    def open(self):
        self.opened.release()


def wait_until(condition):
    over = threading.Event()
    for _ in range(1000):
        if condition():
            return
        over.wait(timeout=0.01)
    raise AssertionError


def arrived(number):
    """Whether *number* threads wait for a round that another asks for, or for their turn to ask."""
    queues = list(introspection._rounds._queues.values())  # noqa: SLF001  # nobody else can tell
    rounds = [found for queue in queues for found in (queue.running, queue.waiting) if found is not None]
    return sum(map(waiting_for, rounds)) >= number


def waiting_for(found: Any):
    """How many threads wait for the round *found*."""
    return len(found.is_over._cond._waiters)  # noqa: SLF001  # nobody else can tell


class Stopped(BaseException):
    """What servers stop a worker with."""


@contextmanager
def alarm():
    """Have an alarm end what the main thread does, as time-outs of servers do."""

    def stop(number, frame):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


@contextmanager
def many(number):
    with ThreadPoolExecutor(number) as threads:
        yield threads


PATIENT = {"AUTHORITY_READ_TIMEOUT": timedelta(seconds=20)}


class TestOneInFlight:
    def test_a_crowd_with_one_token_asks_twice_at_most_and_once_at_a_time(self):
        key, gate, crowd = new_key(), Gate(), 20
        with authority(gate, **PATIENT) as server, many(crowd) as threads:
            first = threads.submit(send, key=key)
            gate.wait_for_one()
            others = [threads.submit(send, key=key) for _ in range(crowd - 1)]
            wait_until(lambda: arrived(crowd - 1))
            gate.open()
            gate.wait_for_one()
            gate.open()

            statuses = [future.result(timeout=20).status_code for future in [first, *others]]

            assert statuses == [200] * crowd
            assert len(server.asked) == 2
            assert gate.most_at_once == 1

    def test_who_comes_after_a_revocation_never_gets_an_answer_from_before(self):
        key, gate = new_key(), Gate()
        with authority(gate, **PATIENT) as server, many(3) as threads:
            before = threads.submit(send, key=key)
            gate.wait_for_one()
            # The authority has decided; the answer is on its way. Now the key is revoked.
            late = [threads.submit(send, key=key) for _ in range(2)]
            wait_until(lambda: arrived(2))
            gate.answer = active
            gate.open()
            assert before.result(timeout=20).status_code == 200
            gate.wait_for_one()
            gate.answer = inactive
            gate.open()

            assert [future.result(timeout=20).status_code for future in late] == [401, 401]
            assert len(server.asked) == 2

    def test_different_tokens_do_not_wait_for_each_other(self):
        gate = Gate()
        with authority(gate, **PATIENT), many(2) as threads:
            futures = [threads.submit(send, key=new_key()) for _ in range(2)]
            gate.wait_for_one()
            gate.wait_for_one()
            gate.open()
            gate.open()

            assert [future.result(timeout=20).status_code for future in futures] == [200, 200]
            assert gate.most_at_once == 2

    def test_those_that_share_a_failure_are_all_told_to_come_again(self):
        key, gate = new_key(), Gate(lambda asked: Reply(status=502))
        with authority(gate, **PATIENT) as server, many(5) as threads:
            first = threads.submit(send, key=key)
            gate.wait_for_one()
            others = [threads.submit(send, key=key) for _ in range(4)]
            wait_until(lambda: arrived(4))
            gate.open()

            answers = [future.result(timeout=20) for future in [first, *others]]

            assert [answer.json()["code"] for answer in answers] == ["authority_unavailable"] * 5
            # The second round met the pause.
            assert len(server.asked) == 1

    def test_nothing_is_left_behind(self):
        with authority():
            together(*[partial(send, key=new_key()) for _ in range(8)])

            assert introspection._rounds._queues == {}  # noqa: SLF001  # a leak is seen nowhere else

    def test_where_one_that_asks_for_others_ends_the_others_are_not_left_waiting(self):
        began, go_on = threading.Event(), threading.Event()
        rounds: Rounds[None] = Rounds()

        def ends():
            raise SystemExit

        def slow():
            began.set()
            assert go_on.wait(timeout=10)

        with many(3) as threads:
            running = threads.submit(rounds.answer, b"a", slow, most_seconds=20)
            assert began.wait(timeout=10)
            both = [threads.submit(rounds.answer, b"a", ends, most_seconds=20) for _ in range(2)]
            queue = rounds._queues[b"a"]  # noqa: SLF001  # nobody else can tell
            wait_until(lambda: queue.waiting is not None and waiting_for(queue.waiting))
            go_on.set()

            assert running.result(timeout=10) is None
            # Whichever came first asked for both.
            assert {type(future.exception(timeout=10)) for future in both} == {SystemExit, NoRoundError}

    @pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of POSIX")
    def test_a_worker_that_is_stopped_while_it_waits_its_turn_leaves_the_key_to_those_that_come_later(self):
        key, gate, worker = new_key(), Gate(), threading.get_ident()

        def stop_it():
            wait_until(lambda: arrived(1))
            signal.pthread_kill(worker, signal.SIGALRM)

        with authority(gate, **PATIENT), many(2) as threads, alarm():
            before = threads.submit(send, key=key)
            gate.wait_for_one()
            stopping = threads.submit(stop_it)
            with pytest.raises(Stopped):
                send(key=key)
            stopping.result(timeout=20)
            gate.open()
            gate.open()

            assert (before.result(timeout=20).status_code, send(key=key).status_code) == (200, 200)

    def test_a_question_that_took_too_long_leaves_one_in_flight_of_those_that_came_later(self):
        late, asked, go_on = threading.Event(), threading.Semaphore(0), threading.Event()
        rounds: Rounds[int] = Rounds()

        def slow():
            asked.release()
            assert late.wait(timeout=10)
            return 1

        def next_one():
            asked.release()
            assert go_on.wait(timeout=10)
            return 2

        with many(3) as threads:
            first = threads.submit(rounds.answer, b"a", slow, most_seconds=0)
            assert asked.acquire(timeout=10)
            # Whoever does not wait for it asks, and clears up.
            assert rounds.answer(b"a", lambda: 0, most_seconds=0) == 0
            running = threads.submit(rounds.answer, b"a", next_one, most_seconds=20)
            assert asked.acquire(timeout=10)
            late.set()
            assert first.result(timeout=10) == 1
            waiting = threads.submit(rounds.answer, b"a", next_one, most_seconds=20)
            wait_until(lambda: waiting_for(rounds._queues[b"a"].running))  # noqa: SLF001  # nobody else can tell
            is_alone = not asked.acquire(blocking=False)
            go_on.set()

            assert [future.result(timeout=10) for future in (running, waiting)] == [2, 2]
            assert is_alone


class TestCache:
    def test_by_default_every_request_asks(self):
        key = new_key()
        with authority() as server:
            get(key=key)
            get(key=key)

            assert len(server.asked) == 2

    def test_a_kept_answer_serves_the_same_token_for_so_long(self):
        key = new_key()
        with authority(INTROSPECTION_CACHE=MINUTE) as server:
            statuses = [get(key=key).status_code, get(HTTP_X_API_KEY=key).status_code]
            assert (statuses, len(server.asked)) == ([200, 200], 1)

            age(59)
            get(key=key)
            assert len(server.asked) == 1

            age(1)
            get(key=key)
            assert len(server.asked) == 2

    def test_it_serves_no_other_token(self):
        with authority(INTROSPECTION_CACHE=MINUTE) as server:
            get(key=new_key())
            get(key=new_key())

            assert len(server.asked) == 2

    @pytest.mark.parametrize(
        ("seconds", "asked"),
        [pytest.param(9, 1, id="before-its-end"), pytest.param(10, 2, id="at-its-end")],
    )
    def test_it_never_counts_past_the_end_of_the_token_not_even_by_the_leeway(self, seconds, asked):
        key = new_key()
        answer = {**SERVICE, "exp": int(NOW.timestamp()) + 10}
        with authority(answer, INTROSPECTION_CACHE=timedelta(hours=1)) as server:
            with time_machine.travel(NOW, tick=False):
                get(key=key)
            with time_machine.travel(NOW + timedelta(seconds=seconds), tick=False):
                get(key=key)

            assert len(server.asked) == asked

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(as_json({"active": False}), id="inactive"),
            pytest.param(Reply(status=500), id="error"),
            pytest.param(Reply(body=b"{"), id="malformed"),
        ],
    )
    def test_only_a_yes_is_kept(self, reply):
        key = new_key()
        with authority(reply, INTROSPECTION_CACHE=MINUTE) as server:
            get(key=key)
            server.answers["introspect"] = active

            assert get(key=key).status_code == 200

    def test_where_the_authority_is_down_what_it_said_counts_for_so_long_and_no_longer(self):
        key = new_key()
        with authority(INTROSPECTION_CACHE=MINUTE) as server:
            get(key=key)
            server.answers["introspect"] = Reply(status=503)
            assert get(key=key).status_code == 200

            age(60)

            assert get(key=key).status_code == 503

    def test_the_callers_address_is_looked_at_each_time(self):
        key = new_key()
        answer = {**SERVICE, "networks": [["192.0.2.0/24"]]}
        with authority(answer, INTROSPECTION_CACHE=MINUTE) as server:
            statuses = [get(key=key, REMOTE_ADDR=address).status_code for address in ("192.0.2.1", "127.0.0.1")]

            assert (statuses, len(server.asked)) == ([200, 403], 1)

    def test_neither_token_nor_key_is_in_the_memory(self):
        key = new_key()
        with authority(INTROSPECTION_CACHE=MINUTE):
            get(key=key)
            get(**bearer("2YotnFZFEjr1zCsicMWpAA"))
            kept = introspection._kept._items  # noqa: SLF001  # what a dump of the memory would show

            assert len(kept) == 2
            assert key not in repr(kept)
            assert "2YotnFZFEjr1zCsicMWpAA" not in repr(kept)

    def test_a_crowd_asks_once_for_what_is_kept_then(self):
        key = new_key()
        with authority(INTROSPECTION_CACHE=MINUTE) as server:
            get(key=key)
            counted = Counter(answer.status_code for answer in together(*[partial(send, key=key)] * 10))

            assert (counted, len(server.asked)) == ({200: 10}, 1)

    def test_memory_has_an_end(self, monkeypatch):
        monkeypatch.setattr(introspection, "_MOST_KEPT", 3)
        with authority(INTROSPECTION_CACHE=MINUTE):
            for _ in range(5):
                get()

            assert len(introspection._kept) == 3  # noqa: SLF001


def age(seconds):
    # What counts here is a clock that nothing sets, so that it can't be frozen either.
    items = introspection._kept._items  # noqa: SLF001
    for name, told in items.items():
        items[name] = type(told)(found=told.found, asked_at=told.asked_at - seconds)
