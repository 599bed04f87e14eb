"""``rotate_keys`` over many keys: hashed on all cores, written one by one."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from apikeys import issuance, keys
from apikeys.conf import settings
from apikeys.core.errors import HashingFailedError
from apikeys.core.verifiers import Argon2idHasher
from apikeys.management import selection
from apikeys.management.progress import Progress
from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient, make_key
from apikeys.testing.making import CHEAP_ARGON2
from tests.commands import keys_in, run
from tests.factories import ClientFactory
from tests.many_keys import insert_keys

pytestmark = pytest.mark.django_db


class CountingHasher(Argon2idHasher):
    """Notes where it hashes. The first *meeting* hashes wait for each other, the *failing* ones find no memory."""

    meeting = 0
    failing: frozenset[int] = frozenset()

    def __init__(self, options):
        super().__init__(options)
        self.threads: list[str] = []
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(self.meeting) if self.meeting else None

    def hash(self, secret):
        with self._lock:
            self.threads.append(threading.current_thread().name)
            number = len(self.threads)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            if number <= self.meeting:
                self._barrier.wait(timeout=10)
            if number in self.failing:
                raise HashingFailedError("no memory")
            return super().hash(secret)
        finally:
            with self._lock:
                self._running -= 1


class Meeting(CountingHasher):
    meeting = 3


class Failing(CountingHasher):
    failing = frozenset({2})


@contextmanager
def hashing(hasher="CountingHasher", *, at_once, **more):
    path = f"tests.test_bulk_rotate.{hasher}"
    options = {"VERIFIERS": [path], "ARGON2": CHEAP_ARGON2, "CONCURRENT_HASHES": at_once, **more}
    with override_settings(APIKEYS={**settings.given(), **options}):
        yield settings.hasher


@pytest.fixture
def rotate(tmp_path):
    """Rotate the keys of the client ``Web app`` into a file, and return the result and what is in the file."""

    def rotate_into_a_file(*options):
        path = tmp_path / f"new-{len(list(tmp_path.iterdir()))}"
        result = run("rotate_keys", "--client", "Web app", "--no-input", "--output", str(path), "--json", *options)
        lines = path.read_text().splitlines() if path.exists() else []
        return result, [json.loads(line) for line in lines]

    return rotate_into_a_file


@pytest.fixture
def web_app():
    return ClientFactory(name="Web app")


def pool_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("apikeys-hash")]


def test_hashes_run_at_once_as_many_as_the_setting_says(web_app, rotate):
    old = insert_keys(20, client=web_app)

    # Three that wait for each other: with fewer threads the first would wait in vain.
    with hashing("Meeting", at_once=3) as hasher:
        result, new = rotate()

    assert hasher.most_at_once == 3
    assert result.json["counts"]["rotated"] == len(new) == 20
    assert [line["replaces"] for line in new] == [key.key_id for key in old]


def test_one_hash_at_a_time_needs_no_thread(web_app, rotate):
    insert_keys(3, client=web_app)

    with hashing(at_once=1) as hasher:
        rotate()

    assert set(hasher.threads) == {threading.current_thread().name}


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_replacement_has_a_secret_of_its_own_that_works(web_app, rotate, at_once):
    insert_keys(8, client=web_app)

    with hashing(at_once=at_once):
        _, new = rotate()
        answers = [ApiKeyClient(line["plaintext"]).get("/apikeys/whoami/").json() for line in new]

    assert [answer["key_id"] for answer in answers] == [line["key_id"] for line in new]
    assert len({line["plaintext"] for line in new}) == 8


@pytest.mark.parametrize("at_once", [1, 3])
def test_secret_that_can_not_be_hashed_fails_its_key_alone(web_app, rotate, at_once):
    insert_keys(6, client=web_app)

    with hashing("Failing", at_once=at_once):
        result, new = rotate()

    assert result.code == 3
    assert sorted(key["error"] or "" for key in result.json["keys"]) == ["", "", "", "", "", "hashing_failed"]
    assert (result.json["counts"]["rotated"], result.json["counts"]["failed"], len(new)) == (5, 1, 5)
    assert pool_threads() == []


def test_no_more_secrets_are_hashed_than_there_are_keys(web_app, rotate):
    insert_keys(9, client=web_app)

    with hashing(at_once=4) as hasher:
        rotate()

    assert len(hasher.threads) == 9


def test_secret_that_its_key_did_not_take_is_kept_for_the_next(web_app):
    _, second, _, _ = insert_keys(4, client=web_app)

    def rotate_the_second(issued):
        if issued.key.name == "Key 0":
            keys.rotate(second)

    with hashing(at_once=1, SECRET_SINK=rotate_the_second) as hasher:
        result = run("rotate_keys", "--client", "Web app", "--no-input", "--json")

    assert (result.json["counts"]["rotated"], result.json["counts"]["no_longer_due"]) == (3, 1)
    assert len(hasher.threads) == 4


@pytest.mark.django_db(transaction=True)
def test_threads_open_no_connection(web_app, rotate):
    insert_keys(8, client=web_app)
    opened = []

    @receiver(connection_created)
    def note(sender, **rest):
        opened.append(threading.current_thread().name)

    with hashing("Meeting", at_once=3):
        rotate()

    connection_created.disconnect(note)
    assert opened == []


def test_interrupted_run_leaves_no_thread_and_is_resumed(web_app, rotate):
    insert_keys(8, client=web_app)

    with hashing(at_once=3, SECRET_SINK="tests.rotating.interrupt"):
        interrupted = run("rotate_keys", "--client", "Web app", "--no-input", "--json")
        left = pool_threads()
        result, new = rotate()

    assert (interrupted.code, interrupted.json["counts"]["rotated"], left) == (130, 1, [])
    assert (result.code, result.json["counts"]["rotated"], len(new)) == (0, 7, 7)


def test_a_secret_is_for_one_key():
    first, second = make_key().key, make_key().key
    secret = issuance.new_secret()
    keys.rotate(first, secret=secret)

    with pytest.raises(LookupError):
        keys.rotate(second, secret=secret)

    assert list(APIKey.objects.filter(replaces__isnull=False).values_list("replaces", flat=True)) == [first.pk]
    assert APIKey.objects.get(pk=second.pk).overlap_ends_at is None


def test_a_secret_shows_nothing_of_itself():
    secret = issuance.new_secret()
    shown = repr(secret) + repr(vars(secret))

    issued = keys.rotate(make_key().key, secret=secret)

    assert keys_in(shown) == []
    assert issued.plaintext[:-8] not in shown
    assert issued.key.verifier not in shown


def test_a_rotation_takes_six_queries_and_two_savepoints():
    key = make_key().key

    with CaptureQueriesContext(connection) as queries:
        keys.rotate(key)

    # Within the transaction of the test, one of its own is a savepoint.
    savepoints = sum("SAVEPOINT" in query["sql"] for query in queries)
    assert (len(queries) - savepoints, savepoints) == (6, 4)


def test_progress_tells_the_time_left(web_app, rotate, monkeypatch):
    monkeypatch.setattr(Progress, "_seconds_between", {False: 0.0})
    insert_keys(3, client=web_app)

    result, _ = rotate()

    progress = re.findall(r"^rotated (\d) of 3, \d+ s left$", result.err, flags=re.MULTILINE)
    assert progress == ["1", "2", "3"]


def test_queries_are_not_kept_under_debug(web_app, rotate, settings, monkeypatch):
    monkeypatch.setattr(selection, "_BATCH", 2)
    settings.DEBUG = True
    insert_keys(20, client=web_app)

    rotate()

    assert len(connection.queries_log) <= 2 * 10 + 1
