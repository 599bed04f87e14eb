"""The thread that writes usage: started once, again where it could not be or has ended, and never waited for long."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from apikeys import counting, signals, usage
from apikeys.models import UsageCount
from apikeys.testing import make_key
from apikeys.usage import flushing

from .request_path import whoami

pytestmark = pytest.mark.django_db


class Threads:
    """Starts of threads, which fail while there is none to be had. None of them runs."""

    def __init__(self):
        self.tried = 0
        self.are_short = False

    def start(self):
        self.tried += 1
        if self.are_short:
            raise RuntimeError("can't start new thread")


@pytest.fixture
def clock(monkeypatch):
    now: Any = SimpleNamespace(seconds=1000.0, monotonic=lambda: now.seconds)
    monkeypatch.setattr(flushing, "time", now)
    return now


@pytest.fixture
def _by_itself(monkeypatch):
    monkeypatch.setattr(flushing, "_by_hand", 0)


@pytest.fixture
def threads(monkeypatch, clock, _by_itself):
    threads = Threads()
    monkeypatch.setattr(threading.Thread, "start", threads.start)
    return threads


@pytest.fixture
def issued():
    return make_key()


def test_one_thread_is_started_for_many_requests(threads, issued):
    for _ in range(5):
        whoami(issued)

    assert threads.tried == 1


def test_a_thread_that_could_not_be_started_is_tried_again_once_a_second(threads, issued, clock, caplog):
    threads.are_short = True
    for _ in range(5):
        whoami(issued)
    assert threads.tried == 1

    clock.seconds += 1
    threads.are_short = False
    for _ in range(5):
        whoami(issued)

    assert threads.tried == 2
    assert [record.getMessage() for record in caplog.records if record.name == "apikeys.usage"] == [
        "no thread to write usage: it is tried again, and written when the process ends"
    ]


@pytest.mark.usefixtures("_by_itself")
def test_a_thread_that_has_ended_is_replaced_with_the_next_request(monkeypatch, issued):
    def end_the_thread():
        raise SystemExit

    monkeypatch.setattr(counting, "_after_flush", [end_the_thread])
    monkeypatch.setattr(threading, "excepthook", lambda _what: None)
    counting.keep_flushing()
    (first,) = (thread for thread in threading.enumerate() if thread.name == "apikeys-usage")
    flushing.BackgroundFlusher().wake()
    first.join(timeout=30)

    threads = Threads()
    monkeypatch.setattr(threading.Thread, "start", threads.start)
    whoami(issued)

    assert threads.tried == 1


def hold(held, let_go):
    """Return what holds up whoever calls it, until *let_go*."""

    def wait(**_what):
        held.set()
        let_go.wait(timeout=30)

    return wait


@pytest.fixture
def flushing_elsewhere():
    """Return a function that has another thread flush, as far as to what holds it up."""
    held, let_go = threading.Event(), threading.Event()
    threads = []

    def flush(around):
        try:
            with around(hold(held, let_go)):
                usage.flush()
        finally:
            connection.close()

    def start(around):
        threads.append(threading.Thread(target=flush, args=[around]))
        threads[0].start()
        assert held.wait(timeout=30)

    yield start
    let_go.set()
    threads[0].join(timeout=30)


@contextmanager
def told_of_networks(wait):
    signals.key_used_from_new_network.connect(wait)
    try:
        yield
    finally:
        signals.key_used_from_new_network.disconnect(wait)


@contextmanager
def writing_counts(wait):
    def slow(execute, sql, params, many, context):
        if "INSERT" in sql and "apikeys_usagecount" in sql:
            wait()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(slow):
        yield


@pytest.fixture
def given_back(monkeypatch):
    """Return what was done when the process ended."""
    given_back = []
    monkeypatch.setattr(counting, "_at_shutdown", [lambda: given_back.append("quotas")])
    monkeypatch.setattr(flushing, "_SECONDS_TO_END", 0.05)
    return given_back


@pytest.mark.django_db(transaction=True)
def test_a_process_that_ends_writes_its_counts_while_a_receiver_of_the_last_ones_takes_long(
    issued, flushing_elsewhere, given_back, monkeypatch
):
    whoami(issued)
    flushing_elsewhere(told_of_networks)
    whoami(issued)

    monkeypatch.setattr(flushing, "_by_hand", 0)
    usage.shut_down()

    assert UsageCount.objects.aggregate(total=Sum("count"))["total"] == 2
    assert given_back == ["quotas"]


@pytest.mark.django_db(transaction=True)
def test_a_process_that_ends_gives_back_what_it_holds_although_a_flush_hangs(
    issued, flushing_elsewhere, given_back, monkeypatch, caplog
):
    whoami(issued)
    flushing_elsewhere(writing_counts)

    monkeypatch.setattr(flushing, "_by_hand", 0)
    usage.shut_down()

    assert given_back == ["quotas"]
    assert "a flush hangs: the last counts of this process are lost" in caplog.messages
