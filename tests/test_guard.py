from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import pytest
from django.core.cache import cache
from django.db import connection

from apikeys import guard, remembered
from apikeys.core.errors import HashingFailedError, TooManyHashesError
from apikeys.core.verifiers import Argon2idHasher
from apikeys.models import APIKey
from apikeys.testing import make_key

from .factories import ClientFactory
from .request_path import CountingHasher, code_of, whoami, with_right_tag
from .shared_cache import SharedCache
from .threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


class CrowdingHasher(Argon2idHasher):
    """Argon2id that waits in each run until as many run as it expects, and then a moment for one too many."""

    changed: ClassVar[threading.Condition] = threading.Condition()
    expected: ClassVar[int] = 1
    running: ClassVar[int] = 0
    runs: ClassVar[int] = 0
    most: ClassVar[int] = 0

    @classmethod
    def start(cls) -> None:
        cls.runs = cls.most = 0

    def hash(self, secret):
        with self._run():
            return super().hash(secret)

    def matches(self, proof, verifier):
        with self._run():
            return super().matches(proof, verifier)

    @contextmanager
    def _run(self):
        cls = type(self)
        with cls.changed:
            cls.runs += 1
            cls.running += 1
            cls.most = max(cls.most, cls.running)
            cls.changed.notify_all()
            cls.changed.wait_for(lambda: cls.most >= cls.expected, timeout=20)
            cls.changed.wait_for(lambda: cls.running > cls.expected, timeout=0.1)
        yield
        with cls.changed:
            cls.running -= 1


class BreathlessHasher(Argon2idHasher):
    """Argon2id on a machine that has no memory left."""

    is_breathless: ClassVar[bool] = False

    def matches(self, proof, verifier):
        if self.is_breathless:
            raise HashingFailedError("no memory")
        return super().matches(proof, verifier)


@pytest.fixture(autouse=True)
def _on_its_own(settings, monkeypatch):
    # On SQLite a transaction around the request that is held up would hold up all others.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    settings.APIKEYS = {**settings.APIKEYS, "CACHE": None}


def use(settings, hasher, **changed):
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": [f"{hasher.__module__}.{hasher.__name__}"], **changed}
    hasher.start()
    return hasher


def of_older_cost():
    """Return a key that the process knows, and whose next hash is due after its next use."""
    issued = make_key()
    APIKey.objects.filter(pk=issued.key.pk).update(
        verifier=Argon2idHasher({"memory_kib": 16, "time": 1, "parallelism": 1}).hash(issued.plaintext[:-8])
    )
    return issued


@pytest.mark.parametrize("limit", [1, 2])
def test_no_more_slow_hashes_run_at_a_time_than_the_setting_says(settings, monkeypatch, limit):
    # All get their turn, on a busy machine as well.
    monkeypatch.setattr(guard, "WAIT_SECONDS", 60.0)
    new, outdated = [make_key(), make_key()], of_older_cost()
    unknown = with_right_tag("0" * 12)
    hasher = use(settings, CrowdingHasher, CONCURRENT_HASHES=limit)
    hasher.expected = limit

    at_once(*(partial(whoami, one) for one in (*new, outdated, unknown)))

    # One for each key, the decoy and its check, and the hash that the last response left.
    assert hasher.runs == 6
    assert hasher.most == limit


@pytest.fixture
def busy(settings, monkeypatch):
    """Return a function: keep a process with one turn busy with a new key, and its patience short."""
    threads, answers = [], []
    # Processes of other tests were killed while they had a turn, which stays taken for a while.
    cache.clear()

    def start():
        slow = make_key()
        hasher = use(settings, CountingHasher, CONCURRENT_HASHES=1)
        monkeypatch.setattr(guard, "WAIT_SECONDS", 0.1)
        hasher.gate.clear()
        thread = threading.Thread(target=lambda: answers.extend(at_once(lambda: whoami(slow))))
        threads.append(thread)
        thread.start()
        assert hasher.entered.wait(timeout=60)
        return slow

    yield start
    CountingHasher.gate.set()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200]


def test_a_process_that_hashes_all_it_may_refuses_new_keys_and_serves_known_ones(busy):
    known, late = make_key(), make_key()
    whoami(known)
    slow = busy()

    refused, served = whoami(late), whoami(known)

    assert (refused.status_code, code_of(refused), refused["Retry-After"]) == (429, "rate_limited", "1")
    assert served.status_code == 200
    assert CountingHasher.checks == [slow.key.verifier]


def test_a_key_that_is_being_hashed_for_too_long_is_told_to_wait(busy):
    slow = busy()

    refused = whoami(slow)

    assert (refused.status_code, code_of(refused), refused["Retry-After"]) == (429, "rate_limited", "1")


def test_a_key_that_got_no_turn_has_its_whole_budget_left(settings, busy):
    settings.APIKEYS = {**settings.APIKEYS, "HASHES_PER_KEY_PER_MINUTE": 1}
    late = make_key()
    busy()
    refused = whoami(late)
    CountingHasher.gate.set()
    settings.APIKEYS = {**settings.APIKEYS, "CONCURRENT_HASHES": 2}

    response = whoami(late)

    assert (refused.status_code, response.status_code) == (429, 200)


def test_a_new_key_waits_for_its_turn_and_is_refused_with_a_sentence(busy):
    client = ClientFactory()
    busy()

    with pytest.raises(HashingFailedError, match="Try again shortly"):
        make_key(client=client, name="Late", owner=None)

    assert not APIKey.objects.filter(name="Late").exists()


def test_a_hash_that_gets_no_turn_after_the_response_is_left_out(settings, busy, caplog):
    SharedCache.start()
    settings.CACHES = {"default": {"BACKEND": "tests.shared_cache.SharedCache"}}
    settings.APIKEYS = {**settings.APIKEYS, "CACHE": "default"}
    outdated = make_key()
    whoami(outdated)
    remembered.forget_all()
    settings.APIKEYS = {**settings.APIKEYS, "ARGON2": {"memory_kib": 16, "time": 1, "parallelism": 1}}
    busy()

    response = whoami(outdated)

    assert response.status_code == 200
    assert APIKey.objects.get(pk=outdated.key.pk).verifier == outdated.key.verifier
    assert [record.left for record in caplog.records if record.name == "apikeys.auth"] == ["Rehash"]


def test_many_new_keys_at_once_all_get_their_turn(settings):
    hasher = use(settings, CountingHasher, CONCURRENT_HASHES=1)
    issued = [make_key() for _ in range(8)]

    responses = at_once(*[partial(whoami, one) for one in issued])

    assert [response.status_code for response in responses] == [200] * 8
    assert len(hasher.checks) == 8


def test_a_key_that_could_not_be_checked_is_told_to_wait_and_not_remembered_as_wrong(settings, monkeypatch):
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": [f"{__name__}.BreathlessHasher"]}
    issued = make_key()
    monkeypatch.setattr(BreathlessHasher, "is_breathless", True)
    refused = whoami(issued)
    monkeypatch.setattr(BreathlessHasher, "is_breathless", False)

    response = whoami(issued)

    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert response.status_code == 200


def test_a_turn_is_free_again_after_a_hash_that_failed(settings, monkeypatch):
    settings.APIKEYS = {
        **settings.APIKEYS,
        "VERIFIERS": [f"{__name__}.BreathlessHasher"],
        "CONCURRENT_HASHES": 1,
    }
    first, second = make_key(), make_key()
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(BreathlessHasher, "is_breathless", True)
    whoami(first)
    monkeypatch.setattr(BreathlessHasher, "is_breathless", False)

    assert whoami(second).status_code == 200


# Python 3.12 warns of every fork of a process with threads.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_a_process_that_hashes_all_it_may_hashes_by_itself(settings, monkeypatch):
    settings.APIKEYS = {**settings.APIKEYS, "CONCURRENT_HASHES": 1, "LIMITS_STORAGE": "memory://"}
    monkeypatch.setattr(guard, "WAIT_SECONDS", 1.0)
    is_hashing, is_over = threading.Event(), threading.Event()

    def hash_for_long():
        with guard.one_at_a_time("key"), guard.hashing("key"):
            is_hashing.set()
            is_over.wait(timeout=30)

    parent = threading.Thread(target=hash_for_long)
    parent.start()
    assert is_hashing.wait(timeout=10)

    child = os.fork()
    if child == 0:
        # Nothing of the parent's tests may go on here.
        code = 1
        try:
            with guard.one_at_a_time("key"), guard.hashing("key"):
                code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    is_over.set()
    parent.join(timeout=10)

    assert code == 0


@pytest.fixture
def turn_taken(settings):
    """Another thread has the only turn to hash, for so long that nobody should wait for it."""
    settings.APIKEYS = {**settings.APIKEYS, "CONCURRENT_HASHES": 1, "LIMITS_STORAGE": "memory://"}
    is_taken, is_over = threading.Event(), threading.Event()

    def take():
        with guard.turn():
            is_taken.set()
            is_over.wait(timeout=5)

    thread = threading.Thread(target=take)
    thread.start()
    assert is_taken.wait(timeout=60)
    yield is_over
    is_over.set()
    thread.join()


@contextmanager
def checking():
    with guard.one_at_a_time("key"), guard.hashing("key"):
        yield


@pytest.mark.usefixtures("turn_taken")
@pytest.mark.parametrize("wait", [guard.turn, partial(guard.hashing, "key"), checking], ids=["turn", "hash", "check"])
def test_who_has_no_patience_waits_for_nobody(monkeypatch, wait):
    monkeypatch.setattr(guard, "WAIT_SECONDS", 60.0)

    with guard.patience(60), guard.patience(0), guard.patience(60), pytest.raises(TooManyHashesError), wait():
        pass


def test_who_has_no_patience_takes_a_turn_that_is_free():
    with guard.patience(0), checking():
        pass


def test_patience_ends_with_its_block(turn_taken):
    with guard.patience(0):
        pass
    threading.Timer(0.05, turn_taken.set).start()

    with checking():
        pass


@pytest.mark.usefixtures("turn_taken")
def test_the_wait_for_others_of_a_key_and_for_a_turn_have_one_end(monkeypatch):
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.01)

    with guard.one_at_a_time("key"):
        monkeypatch.setattr(guard, "WAIT_SECONDS", 60.0)
        with pytest.raises(TooManyHashesError), guard.hashing("key"):
            pass


class MorePatience:
    """Middleware after which a view would wait for long."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, *args):
        guard.WAIT_SECONDS = 60.0


def test_a_request_that_waited_before_its_transaction_does_not_wait_in_it(settings, monkeypatch, request):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "apikeys.middleware.ProofMiddleware", f"{__name__}.MorePatience"]
    late = make_key()
    request.getfixturevalue("turn_taken")
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.1)

    refused = whoami(late)

    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
