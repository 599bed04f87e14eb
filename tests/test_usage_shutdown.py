from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import pytest
from django.db import connection
from django.db.models import Sum

from apikeys.models import EventKind, KeyEvent, LastUse, QuotaLedger, UsageCount
from apikeys.testing import make_key

from .usage_server import VARIABLE

pytestmark = pytest.mark.django_db(transaction=True)

NEVER = 86_400.0
SECONDS_TO_ANSWER = 60


@pytest.fixture
def issued():
    return make_key()


def environment(issued, *, seconds):
    given = {
        "database": str(connection.settings_dict["NAME"]),
        "key": issued.plaintext,
        "seconds": seconds,
    }
    return {**os.environ, VARIABLE: json.dumps(given)}


class Worker:
    """A process that counts, without a server."""

    def __init__(self, process):
        self.process = process

    def tell(self, command):
        print(command, file=self.process.stdin, flush=True)

    def hear(self):
        assert self.process.stdout.readline() == "done\n"

    def do(self, command):
        self.tell(command)
        self.hear()

    def ask_to_end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        # A signal that comes just before it reads on waits until it has read.
        self.process.stdin.close()

    def end(self, number=signal.SIGTERM):
        self.ask_to_end(number)
        self.process.wait(timeout=SECONDS_TO_ANSWER)


@contextmanager
def worker(issued, *, seconds=NEVER):
    process = subprocess.Popen(  # a module of the tests' own
        [sys.executable, "-m", "tests.usage_server"],
        env=environment(issued, seconds=seconds),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Worker(process)
        finally:
            process.kill()


def total():
    return UsageCount.objects.aggregate(total=Sum("count"))["total"] or 0


def wait_for(expected):
    give_up_at = time.monotonic() + SECONDS_TO_ANSWER
    while (found := total()) < expected and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert found == expected


def test_eight_processes_that_are_ended_lose_nothing(issued):
    # The thread writes meanwhile: what it took is not written again, and what comes after is not missed.
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(issued, seconds=0.3)) for _ in range(8)]
        for each in workers:
            each.tell(5_000)
        for each in workers:
            each.hear()
        for each in workers:
            each.ask_to_end()
        for each in workers:
            assert each.process.wait(timeout=SECONDS_TO_ANSWER) == 0

    assert total() == 40_000
    assert KeyEvent.objects.filter(kind=EventKind.NEW_NETWORK).count() == 1
    assert LastUse.objects.count() == 1


def test_what_was_written_outlives_kill_9(issued):
    with worker(issued) as each:
        each.do(100)
        each.do("flush")
        each.do(50)
        each.end(signal.SIGKILL)

    assert total() == 100


def test_a_thread_writes_by_itself(issued):
    with worker(issued, seconds=0.2) as each:
        each.do(30)
        wait_for(30)
        each.do(12)
        wait_for(42)


def test_a_connection_that_broke_costs_no_count_at_the_end(issued):
    with worker(issued) as each:
        each.do(10)
        each.do("disconnect")
        each.end()

    assert total() == 10


def test_a_fork_counts_its_own_and_nothing_twice(issued):
    with worker(issued) as each:
        each.do(10)
        each.do("fork 5")
        each.do(3)
        each.end()

    assert total() == 18


def test_a_fork_has_a_thread_of_its_own(issued):
    with worker(issued, seconds=0.2) as each:
        each.do(10)
        wait_for(10)
        each.do("fork 5")
        wait_for(15)
        each.do(1)
        wait_for(16)


SERVERS = {
    "gunicorn": ["gunicorn", "--workers=2", "tests.usage_server:application"],
    "gunicorn, preloaded": ["gunicorn", "--workers=2", "--preload", "tests.usage_server:application"],
    "gunicorn, threads": ["gunicorn", "--workers=2", "--threads=3", "tests.usage_server:application"],
    "uvicorn": ["uvicorn", "--workers=1", "--log-level=warning", "tests.usage_server:asgi_application"],
    "uvicorn, workers": ["uvicorn", "--workers=2", "--log-level=warning", "tests.usage_server:asgi_application"],
}


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_a_server_that_is_ended_loses_nothing(command):
    issued = make_key(quotas=["100000/month"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    module, *arguments = command
    place = [f"--bind=127.0.0.1:{port}"] if module == "gunicorn" else [f"--port={port}"]
    process = subprocess.Popen(  # noqa: S603  # servers of the test group
        [sys.executable, "-m", module, *place, *arguments], env=environment(issued, seconds=NEVER)
    )
    with process:
        try:
            ask(port, issued, until_ready=True)
            for _ in range(40):
                ask(port, issued)
            process.terminate()
            process.wait(timeout=SECONDS_TO_ANSWER)
        finally:
            process.kill()

    assert total() == 41
    # What its processes had leased and not spent is there again.
    assert QuotaLedger.objects.get().taken == 41


def ask(port, issued, *, until_ready=False):
    give_up_at = time.monotonic() + SECONDS_TO_ANSWER
    while True:
        server = HTTPConnection("127.0.0.1", port, timeout=SECONDS_TO_ANSWER)
        try:
            server.request("GET", "/", headers={"Authorization": f"Bearer {issued.plaintext}"})
            assert server.getresponse().status == 200
        except ConnectionRefusedError:
            if not until_ready or time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
        else:
            return
        finally:
            server.close()
