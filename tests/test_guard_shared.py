from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection

from apikeys import guard, remembered
from apikeys.core.memory import BoundedMemory
from apikeys.guard import shared
from apikeys.testing import make_key

from .guarded_urls import most_at_once, runs, wrong_by_minute
from .request_path import CountingHasher, code_of, whoami, with_right_tag
from .threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

VIEWS = "tests.guarded_urls"
#: A port that nobody listens on.
CLOSED = "redis://127.0.0.1:1"
HOLDER = """
import django, signal, sys
django.setup()
from django.conf import settings
from apikeys import guard
from apikeys.guard import shared
settings.APIKEYS = {**settings.APIKEYS, "CACHE": "default", "CONCURRENT_HASHES": 1}
shared.TURN_SECONDS = 2
with guard.turn():
    print("has it", flush=True)
    signal.pause()
"""
CHECKER = """
import django, signal, sys
django.setup()
from django.conf import settings
from apikeys import guard
settings.APIKEYS = {**settings.APIKEYS, "CACHE": "default", "CONCURRENT_HASHES": 2}
with guard.hashing(sys.argv[1]):
    print("has it", flush=True)
    signal.pause()
"""


def set_apikeys(settings, **changed):
    settings.APIKEYS = {**settings.APIKEYS, **changed}


@pytest.fixture
def recorded(settings, tmp_path, monkeypatch):
    """Return the file that every process writes its checks to."""
    # A transaction around a view that hashes would hold up the others on SQLite.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    file = tmp_path / "hashes"
    settings.HASHES_FILE = str(file)
    set_apikeys(settings, VERIFIERS=[f"{VIEWS}.RecordingHasher"])
    # What is counted is in the server of the cache.
    cache.clear()
    return file


def everywhere(file):
    return {"ROOT_URLCONF": VIEWS, "HASHES_FILE": str(file)}


def go_on(round_, *, seconds):
    time.sleep(seconds)
    round_.finish()


@pytest.mark.redis
@pytest.mark.parametrize("limit", [1, 2])
def test_all_processes_of_a_host_together_run_no_more_hashes_than_the_setting_says(
    settings, recorded, eight_processes, limit
):
    # No process may spare another one its hash.
    set_apikeys(settings, CACHE=None, CONCURRENT_HASHES=limit, HASHES_PER_KEY_PER_MINUTE=100_000)
    issued = make_key()
    remembered.forget_all()

    with eight_processes.hammering("/forgetful/", issued, settings=everywhere(recorded)) as round_:
        # Who has just had a turn is quick to take the next one.
        give_up_at = time.monotonic() + 60
        while len({run.process for run in runs(recorded)}) < 2 and time.monotonic() < give_up_at:
            time.sleep(0.1)
        go_on(round_, seconds=1)

    found = runs(recorded)
    assert most_at_once(found) <= limit
    assert len({run.process for run in found}) > 1


@pytest.mark.xdist_group("eight processes")
@pytest.mark.redis
def test_all_processes_together_check_no_more_guesses_at_a_key_than_its_budget(settings, recorded, eight_processes):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=10)
    issued, target = make_key(), make_key()

    url = f"/guessing/?key_id={target.key.key_id}"
    with eight_processes.hammering(url, issued, settings=everywhere(recorded)) as round_:
        go_on(round_, seconds=1)

    counted = wrong_by_minute(runs(recorded))
    assert counted.total() >= 10
    assert max(counted.values()) <= 10


@pytest.mark.xdist_group("eight processes")
@pytest.mark.redis
def test_a_good_key_that_many_processes_meet_at_once_spends_no_budget(settings, recorded, eight_processes):
    set_apikeys(settings, CACHE=None, HASHES_PER_KEY_PER_MINUTE=2)
    issued = make_key()

    # Each process has to be admitted, or the round does not begin.
    with eight_processes.hammering("/apikeys/whoami/", issued, settings=everywhere(recorded)) as round_:
        round_.finish()

    assert whoami(issued).status_code == 200


@pytest.fixture
def wrong_elsewhere(settings, monkeypatch):
    """Return a function: guess so often at a key, and forget in this process that it happened."""

    def guess(issued, times):
        monkeypatch.setattr(guard, "_spent", BoundedMemory())
        for number in range(times):
            assert code_of(whoami(with_right_tag(issued.key.key_id, secret=f"{number:043}"))) == "key_invalid"
        monkeypatch.setattr(guard, "_spent", BoundedMemory())

    cache.clear()
    set_apikeys(settings, VERIFIERS=["tests.request_path.CountingHasher"])
    CountingHasher.start()
    return guess


@pytest.mark.redis
def test_guesses_that_another_process_checked_count(settings, wrong_elsewhere, time_machine):
    time_machine.move_to("2026-11-22T12:00:15Z", tick=False)
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=2)
    issued = make_key()
    wrong_elsewhere(issued, 2)

    refused = whoami(issued)

    assert (refused.status_code, code_of(refused), refused["Retry-After"]) == (429, "rate_limited", "45")


@pytest.mark.redis
def test_guesses_of_the_minute_before_do_not_count(settings, wrong_elsewhere, time_machine):
    time_machine.move_to("2026-11-22T12:00:59Z", tick=False)
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=2)
    issued = make_key()
    wrong_elsewhere(issued, 2)
    time_machine.move_to("2026-11-22T12:01:00Z", tick=False)

    assert whoami(issued).status_code == 200


@pytest.mark.redis
def test_guesses_at_a_key_that_this_process_knows_do_not_stop_it(settings, wrong_elsewhere):
    set_apikeys(settings, HASHES_PER_KEY_PER_MINUTE=1)
    issued = make_key()
    whoami(issued)
    wrong_elsewhere(issued, 1)

    assert whoami(issued).status_code == 200


@contextmanager
def process_that_hashes(script=HOLDER, *words):
    """Another process that has its turn until it is killed."""
    process = subprocess.Popen(  # noqa: S603  # this very project
        [sys.executable, "-c", script, *words],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "has it\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.redis
def test_a_process_that_dies_while_it_hashes_frees_its_turn(settings, monkeypatch):
    set_apikeys(settings, CONCURRENT_HASHES=1)
    issued = make_key()
    cache.clear()

    with process_that_hashes() as other:
        monkeypatch.setattr(guard, "WAIT_SECONDS", 0.1)
        refused = whoami(issued)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        monkeypatch.setattr(guard, "WAIT_SECONDS", 20.0)
        response = whoami(issued)

    assert (refused.status_code, code_of(refused), refused["Retry-After"]) == (429, "rate_limited", "1")
    assert response.status_code == 200


@pytest.mark.redis
def test_who_waits_for_what_others_find_out_of_a_key_holds_no_turn(settings, monkeypatch):
    set_apikeys(settings, CONCURRENT_HASHES=2, HASHES_PER_KEY_PER_MINUTE=1)
    monkeypatch.setattr(guard, "WAIT_SECONDS", 4.0)
    checked_elsewhere, other = make_key(), make_key()
    remembered.forget_all()
    cache.clear()
    answers = []

    def ask(issued, *, after_seconds=0):
        time.sleep(after_seconds)
        answers.append((issued, whoami(issued).status_code))

    with process_that_hashes(CHECKER, checked_elsewhere.key.key_id):
        at_once(lambda: ask(checked_elsewhere), lambda: ask(other, after_seconds=0.5))

    assert answers == [(other, 200), (checked_elsewhere, 429)]


@pytest.mark.redis
def test_a_turn_is_free_for_other_processes_once_the_hash_is_done(settings, monkeypatch):
    set_apikeys(settings, CONCURRENT_HASHES=1)
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.1)
    cache.clear()

    responses = [whoami(make_key()) for _ in range(3)]

    assert [response.status_code for response in responses] == [200] * 3
    assert shared.TURN_SECONDS > 1


def test_keys_are_checked_and_guesses_bounded_where_the_storage_is_away(settings):
    pytest.importorskip("redis")
    set_apikeys(settings, LIMITS_STORAGE=CLOSED, HASHES_PER_KEY_PER_MINUTE=2)
    issued, target = make_key(), make_key()

    response = whoami(issued)
    guesses = [whoami(with_right_tag(target.key.key_id, secret=f"{number:043}")) for number in range(5)]

    assert response.status_code == 200
    assert 429 in [guess.status_code for guess in guesses]


def test_a_known_key_asks_no_storage(settings, caplog):
    pytest.importorskip("redis")
    issued = make_key()
    whoami(issued)
    set_apikeys(settings, LIMITS_STORAGE=CLOSED)
    caplog.clear()

    known, told_by_known = whoami(issued), list(caplog.messages)
    remembered.forget_all()
    set_apikeys(settings, CACHE=None)
    new = whoami(issued)

    assert (known.status_code, new.status_code) == (200, 200)
    assert told_by_known == []
    assert ["does not answer" in message for message in caplog.messages] == [True]
