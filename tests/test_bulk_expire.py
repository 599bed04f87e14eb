"""``expire_keys`` over many keys: in short transactions, once each, whoever else is at work."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.dispatch import receiver
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys import keys, signals
from apikeys.management.commands import expire_keys
from apikeys.management.progress import Progress
from apikeys.models import APIKey, KeyEvent
from tests.commands import run, run_at_once
from tests.many_keys import insert_keys
from tests.threads import at_once

pytestmark = pytest.mark.django_db

BATCH = 4
really_commits = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def batch_size(monkeypatch):
    monkeypatch.setattr(expire_keys, "_BATCH", BATCH)


@pytest.fixture
def told():
    """What receivers heard: the key, the event, and whether the transaction was over."""
    heard: list[tuple[APIKey, KeyEvent, bool]] = []

    @receiver(signals.key_expired)
    def listen(sender, key, event, **rest):
        heard.append((key, event, not connection.in_atomic_block))

    yield heard
    signals.key_expired.disconnect(listen)


def due_keys(count):
    return insert_keys(count, expires_at=timezone.now() - timedelta(hours=1))


def recorded():
    return [event.key for event in KeyEvent.objects.filter(kind="expired").order_by("pk")]


@pytest.mark.parametrize(
    ("count", "batches"),
    [(0, 0), (1, 1), (BATCH, 1), (BATCH + 1, 2), (3 * BATCH, 3)],
    ids=["none", "one", "a batch", "one more", "three batches"],
)
def test_each_batch_is_one_transaction(count, batches):
    due = due_keys(count)

    with CaptureQueriesContext(connection) as queries:
        result = run("expire_keys", "--json")

    assert result.json["counts"] == {"due": count, "expired": count, "by_another_run": 0}
    assert [key["key_id"] for key in result.json["keys"]] == [key.key_id for key in due]
    assert recorded() == due
    # Within the transaction of the test, one of its own is a savepoint.
    assert sum(query["sql"].startswith("SAVEPOINT") for query in queries) == batches


def test_a_batch_takes_the_same_queries_however_many_keys_it_has():
    few, many = due_keys(2), due_keys(60)

    with CaptureQueriesContext(connection) as for_few:
        keys.expire_many(keys.due_to_expire(batch_size=len(few)))
    with CaptureQueriesContext(connection) as for_many:
        keys.expire_many(keys.due_to_expire(batch_size=len(many)))

    assert len(for_few) == len(for_many) == 7
    assert recorded() == few + many


@really_commits
def test_signal_is_sent_once_for_each_key_after_the_commit(told):
    due = due_keys(BATCH + 1)

    run("expire_keys")

    assert [key for key, _, _ in told] == due
    assert [event for _, event, _ in told] == list(KeyEvent.objects.filter(kind="expired").order_by("pk"))
    assert {is_committed for _, _, is_committed in told} == {True}


@really_commits
def test_receivers_need_no_query_for_the_client_and_the_owner(told):
    due_keys(2)
    run("expire_keys")

    with CaptureQueriesContext(connection) as queries:
        assert [(key.client.name, key.owner) for key, _, _ in told] == [(told[0][0].client.name, None)] * 2

    assert len(queries) == 0


@really_commits
def test_nothing_is_left_of_a_batch_that_is_rolled_back(told):
    due_keys(2)

    with transaction.atomic():
        keys.expire_many(keys.due_to_expire())
        transaction.set_rollback(True)

    assert recorded() == told == []
    assert len(keys.due_to_expire()) == 2


def test_key_that_is_revoked_after_its_batch_was_read_did_not_run_out():
    first, second, third = due_keys(3)
    batch = keys.due_to_expire()
    keys.revoke(second, reason="leaked")

    done = keys.expire_many(batch)

    assert done == recorded() == [first, third]
    assert APIKey.objects.get(pk=second.pk).end_recorded_at is None


def test_key_that_another_run_recorded_after_its_batch_was_read_is_not_recorded_again():
    first, second = due_keys(2)
    batch = keys.due_to_expire()
    keys.expire(first)

    assert keys.expire_many(batch) == [second]
    assert recorded() == [first, second]


def test_key_that_got_its_end_back_after_its_batch_was_read_did_not_run_out():
    (key,) = insert_keys(1)
    replacement = keys.rotate(key, overlap=timedelta(0)).key
    batch = keys.due_to_expire()
    keys.withdraw_undelivered(replacement)

    assert (batch, keys.expire_many(batch), recorded()) == ([key], [], [])


def test_what_ended_is_told_of_each_key():
    due_keys(1)
    (rotated,) = insert_keys(1)
    keys.rotate(rotated, overlap=timedelta(0))

    run("expire_keys")

    events = KeyEvent.objects.filter(kind="expired").order_by("pk")
    assert [event.details for event in events] == [{"ended": "expiry"}, {"ended": "overlap"}]
    assert {event.source for event in events} == {"command"}


def test_limit_ends_within_a_batch():
    due = due_keys(3 * BATCH)

    result = run("expire_keys", "--limit", str(BATCH + 1), "--json")

    assert result.json["counts"] == {"due": BATCH + 1, "expired": BATCH + 1, "by_another_run": 0}
    assert recorded() == due[: BATCH + 1]


@pytest.mark.parametrize(
    ("options", "word"), [((), "recorded"), (("--dry-run",), "listed")], ids=["recording", "preview"]
)
def test_progress_tells_how_many_there_are_and_the_time_left(monkeypatch, options, word):
    monkeypatch.setattr(Progress, "_seconds_between", {False: 0.0})
    due_keys(2 * BATCH + 1)

    result = run("expire_keys", *options)

    progress = re.findall(rf"^{word} (\d+) of 9, \d+ s left$", result.err, flags=re.MULTILINE)
    assert progress == ["4", "8", "9"]


def test_queries_are_not_kept_under_debug(settings):
    settings.DEBUG = True
    due_keys(8 * BATCH)

    run("expire_keys")

    assert len(connection.queries_log) <= 8


@pytest.mark.skipif(connection.vendor != "sqlite", reason="breaks the database as SQLite lets one")
def test_database_that_fails_loses_no_batch_before_and_says_how_to_go_on():
    due = due_keys(BATCH + 2)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON apikeys_apikey WHEN NEW.name = 'Key 5' "
            "BEGIN SELECT RAISE(ABORT, 'disk on fire'); END"
        )

    result = run("expire_keys", "--json")

    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse")
    assert (result.code, result.json["error"]) == (1, {"code": "database_error", "detail": "disk on fire"})
    assert result.json["counts"]["expired"] == BATCH
    assert result.err.endswith("disk on fire\nStopped by the database. Run the same command again to go on.\n")
    assert recorded() == due[:BATCH]


@really_commits
def test_runs_at_once_share_the_batches_and_record_each_key_once(told):
    due = due_keys(30 * BATCH)

    results = run_at_once("expire_keys", "--json", times=3)

    listed = [key["key_id"] for result in results for key in result.json["keys"]]
    assert sorted(listed) == sorted(key.key_id for key in due)
    assert sorted(key.pk for key in recorded()) == sorted(key.pk for key, _, _ in told) == [key.pk for key in due]
    assert sum(result.json["counts"]["expired"] for result in results) == len(due)


@pytest.mark.postgres
@really_commits
@pytest.mark.parametrize("revokes", [True, False], ids=["revoked", "left as it is"])
def test_key_that_somebody_is_changing_is_passed_over_and_looked_at_again(revokes):
    due = due_keys(2 * BATCH)
    held, others = due[1], [*due[:1], *due[2:]]
    is_held, are_others_done = threading.Event(), threading.Event()

    @receiver(signals.key_expired)
    def listen(sender, key, event, **rest):
        if key == due[-1]:
            are_others_done.set()

    def change():
        with transaction.atomic():
            if revokes:
                keys.revoke(held, reason="leaked")
            else:
                APIKey.objects.select_for_update().get(pk=held.pk)
            is_held.set()
            # The run must not wait for this key before it has done all others.
            assert are_others_done.wait(timeout=10)
            assert recorded() == others

    def expire():
        assert is_held.wait(timeout=10)
        return run("expire_keys", "--json")

    _, result = at_once(change, expire)

    assert recorded() == (others if revokes else [*others, held])
    missing = 1 if revokes else 0
    assert result.json["counts"] == {"due": 8, "expired": 8 - missing, "by_another_run": missing}


def for_each(changed, change):
    for key in changed:
        change(key)


@really_commits
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(partial(keys.revoke, reason="leaked"), id="revoke"),
        pytest.param(partial(keys.narrow, scopes=["todo:read"]), id="narrow"),
        pytest.param(keys.expire, id="expire"),
    ],
)
def test_changes_meet_a_batch_without_a_deadlock(change):
    for _ in range(3):
        due = due_keys(10)
        batch = keys.due_to_expire(batch_size=len(due))

        at_once(partial(keys.expire_many, batch), partial(for_each, reversed(due), change))

        assert keys.due_to_expire() == []


@pytest.mark.postgres
@really_commits
def test_events_of_a_key_can_be_written_while_its_batch_is_recorded():
    due = due_keys(2)
    is_locked, is_written = threading.Event(), threading.Event()

    def record():
        with transaction.atomic():
            keys.expire_many(due)
            is_locked.set()
            assert is_written.wait(timeout=10)

    def write():
        assert is_locked.wait(timeout=10)
        KeyEvent.objects.create(kind="used_after_end", client=due[0].client, key=due[0], source="request")
        is_written.set()

    at_once(record, write)

    assert KeyEvent.objects.filter(key=due[0]).count() == 2
