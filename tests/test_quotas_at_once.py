from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from apikeys import counting, keys, quotas
from apikeys.models import QuotaLedger
from apikeys.testing import make_key
from apikeys.usage.flushing import BackgroundFlusher

from .quota_use import apply_to, ask
from .threads import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.quota_urls")]

VIEWS = {"ROOT_URLCONF": "tests.quota_urls"}
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

FORKING = """
import json, os, sys
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "apikeys"],
    SECRET_KEY="only-for-tests",
    USE_TZ=True,
)
django.setup()
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
from apikeys import counting, quotas
from apikeys.core.rates import parse_quota
from apikeys.models import QuotaLedger

def taken():
    return QuotaLedger.objects.get().taken

call_command("migrate", verbosity=0)
quota = (parse_quota("1000/month"),)
quotas.take("family", quota, cost=1, now=timezone.now())
connections.close_all()
if os.fork() == 0:
    counting.shut_down()
    returned_by_child = taken()
    quotas.take("family", quota, cost=1, now=timezone.now())
    print(json.dumps([returned_by_child, taken()]), flush=True)
    os._exit(0)
os.wait()
counting.shut_down()
print(json.dumps([taken()]), flush=True)
"""


@pytest.fixture(autouse=True)
def _without_transactions(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)


@pytest.fixture
def apply(settings):
    return apply_to(settings)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_threads_together_are_admitted_as_often_as_the_quota_says(apply, block):
    apply(QUOTAS=["60/month"], QUOTA_BLOCK=block)
    issued = make_key()

    answers = at_once(*[partial(ask, issued, times=10)] * 12)

    flat = [status for each in answers for status in each]
    assert (flat.count(200), flat.count(429)) == (60, 60)


def test_threads_that_start_a_month_together_make_one_row(apply):
    apply(QUOTAS=["1000/month"], QUOTA_BLOCK=1)
    issued = make_key()

    at_once(*[partial(ask, issued, times=1)] * 12)

    assert list(QuotaLedger.objects.values_list("taken", flat=True)) == [12]


def test_a_key_and_its_replacement_at_once_share_one_quota(apply):
    apply(QUOTAS=["30/month"], QUOTA_BLOCK=10)
    old = make_key()
    new = keys.rotate(old.key)

    answers = at_once(*[partial(ask, one, times=5) for one in (old, new)] * 6)

    assert sum(each.count(200) for each in answers) == 30


def test_a_lease_that_ends_while_it_is_spent_from_loses_nothing(apply):
    apply(QUOTAS=["1000/month"], QUOTA_BLOCK=10)
    issued = make_key()

    def end_again_and_again():
        for _ in range(20):
            counting.shut_down()

    at_once(*[partial(ask, issued, times=25)] * 6, end_again_and_again)
    counting.shut_down()

    assert QuotaLedger.objects.get().taken == 150


def test_a_lease_that_ends_while_a_refused_request_puts_back_loses_nothing(apply):
    apply(QUOTAS=["100000/month"], RATES=["1/day"], LIMITS_STORAGE="memory://", QUOTA_BLOCK=20)
    issued = make_key()
    is_over = threading.Event()

    def ask_again_and_again():
        ask(issued, times=60)
        is_over.set()

    def end_again_and_again():
        while not is_over.wait(timeout=0.001):
            quotas.return_all()

    at_once(*[ask_again_and_again] * 4, *[end_again_and_again] * 2)
    quotas.return_all()

    assert QuotaLedger.objects.get().taken == 1


@pytest.mark.xdist_group("eight processes")
@pytest.mark.parametrize(("block", "idle"), [(1, 0), (20, 8 * 20)], ids=["exact", "in blocks"])
def test_eight_processes_together_are_never_admitted_more_often_than_the_quota_says(
    apply, eight_processes, block, idle
):
    amount = 300 if block == 1 else 1000
    apply(QUOTAS=[f"{amount}/month"], QUOTA_BLOCK=block)
    issued = make_key()

    with eight_processes.hammering("/counted/", issued, settings=VIEWS) as round_:
        give_up_at = time.monotonic() + 45
        while QuotaLedger.objects.get().taken < amount and time.monotonic() < give_up_at:
            time.sleep(0.1)
        figures = round_.finish(since=LONG_AGO)

    # Whoever holds a block may still be at it when the last one is taken, and nobody was refused yet.
    assert set(figures.answers) <= {"200", "429 rate_limited"}
    assert amount - idle <= figures.answers["200"] <= amount


def test_a_child_neither_spends_nor_returns_what_its_parent_leased(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}

    ended = subprocess.run(  # noqa: S603  # this very project
        [sys.executable, "-c", FORKING, str(tmp_path / "forked.sqlite3")],
        cwd=Path(__file__).parents[1],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )

    # A block of the parent; one more of the child, which it keeps; the parent's own comes back.
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [[100, 190], [91]]


class OneAtATime(BackgroundFlusher):
    """Who takes counts away: it does one thing at a time, and the end of the process is one of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.is_ending = threading.Event()

    def start(self):
        with self.lock:
            return True

    def end(self):
        with self.lock:
            self.is_ending.set()
            quotas.return_all()
        connection.close()


def test_a_process_that_ends_during_its_first_request_with_a_quota_ends(settings, monkeypatch):
    apply_to(settings)(QUOTAS=["1000/month"])
    issued, flusher, answers = make_key(), OneAtATime(), []
    monkeypatch.setattr(counting, "_flusher", flusher)
    counting.start_anew()
    # Not the end of the tests, should it hang.
    ending = threading.Thread(target=flusher.end, daemon=True)

    def ends_meanwhile(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and "quotaledger" in sql and not flusher.is_ending.is_set():
            ending.start()
            assert flusher.is_ending.wait(timeout=10)
        return execute(sql, params, many, context)

    def request():
        with connection.execute_wrapper(ends_meanwhile):
            answers.extend(ask(issued))
        connection.close()

    asking = threading.Thread(target=request, daemon=True)
    asking.start()
    asking.join(timeout=20)
    ending.join(timeout=20)

    assert (answers, asking.is_alive(), ending.is_alive()) == ([200], False, False)
    assert QuotaLedger.objects.get().taken == 1
