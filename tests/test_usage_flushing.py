from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import DataError, OperationalError, connection, connections
from django.db.models import Sum
from django.db.models.signals import post_save

from apikeys import counting, keys, usage
from apikeys.core.calls import Call
from apikeys.core.networks import parse_address
from apikeys.core.principals import Principal
from apikeys.models import APIKey, EventKind, KeyEvent, KeyNetwork, LastUse, UsageCount
from apikeys.testing import assert_not_stored, make_key
from apikeys.usage import flushing

from .request_path import statements, whoami
from .threads import at_once

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@contextmanager
def failing(*words, error=OperationalError):
    """Let statements fail that have all of *words* in them."""

    def fail(execute, sql, params, many, context):
        if all(word in sql for word in words):
            raise error("the server went away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


@pytest.fixture
def noon(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


def total():
    return UsageCount.objects.aggregate(total=Sum("count"))["total"] or 0


def call(number=0, *, scopes=(), key_id="0123456789AB"):
    """Return a call of a key that no table knows."""
    principal = Principal(
        kind="api_key",
        client_id="0123456789ABCDEF",
        client_name="A client",
        key_id=key_id,
        key_name="A key",
        family=key_id,
        scopes=frozenset(scopes),
        user=None,
        acts_for_user=False,
    )
    made = Call(principal, address=parse_address(f"10.{number >> 8 & 255}.{number & 255}.1"))
    made.scopes.update(scopes)
    return made


def count(made, *, route="orders", outcome="ok", now=NOON):
    counting.count_call(made, route=route, method="GET", outcome=outcome, user_agent="", now=now)


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "apikeys.usage"]


def test_a_database_that_fails_costs_no_count(caplog):
    issued = make_key()
    whoami(issued)

    with failing("apikeys_usagecount"):
        assert usage.flush() == 0
    whoami(issued)
    usage.flush()

    assert total() == 2
    assert warnings(caplog) == ["could not write usage: it is kept for the next time"]


def test_a_database_that_goes_on_failing_is_told_once_a_minute(caplog, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(flushing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    whoami(make_key())

    with failing("apikeys_usagecount"):
        for later in (0, 59.9, 0.1, 30):
            clock[0] += later
            usage.flush()

    assert len(warnings(caplog)) == 2


def test_a_fault_while_the_last_use_is_written_costs_neither_counts_nor_networks():
    issued = make_key()
    whoami(issued)

    with failing("apikeys_lastuse"):
        usage.flush()

    assert total() == 1
    assert KeyNetwork.objects.count() == 1
    assert LastUse.objects.count() == 0
    usage.flush()
    assert (total(), LastUse.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["apikeys_keynetwork", "apikeys_keyevent"])
def test_a_fault_while_networks_are_written_costs_no_count_and_the_next_use_tells(table):
    issued = make_key()
    whoami(issued)
    with failing("INSERT", table):
        usage.flush()
    assert (total(), LastUse.objects.count()) == (1, 1)

    whoami(issued)
    usage.flush()

    assert KeyNetwork.objects.count() == 1
    assert KeyEvent.objects.filter(kind=EventKind.NEW_NETWORK).count() == 1


def test_counts_of_another_database_are_dropped_with_a_warning(monkeypatch, caplog):
    issued = make_key()
    for _ in range(3):
        whoami(issued)
    monkeypatch.setitem(connection.settings_dict, "NAME", "another")

    assert usage.flush() == 0
    monkeypatch.undo()
    assert usage.flush() == 0
    assert warnings(caplog) == ["dropped 3 counts of another database, as after a test run"]


class RouterOfRequests:
    """Chooses another database for counts while a request is under way."""

    alias = "default"

    def db_for_write(self, model, **hints):
        return self.alias if model is UsageCount else None


def test_counts_go_where_the_router_has_the_flush_write_whatever_it_says_in_a_request(settings, monkeypatch):
    settings.DATABASE_ROUTERS = [f"{__name__}.RouterOfRequests"]
    monkeypatch.setitem(
        connections.settings, "tenant", {**connection.settings_dict, "NAME": "tenant", "ATOMIC_REQUESTS": False}
    )
    monkeypatch.setattr(RouterOfRequests, "alias", "tenant")
    whoami(make_key())

    monkeypatch.setattr(RouterOfRequests, "alias", "default")
    usage.flush()

    assert total() == 1


@contextmanager
def unable_to_store(*texts):
    """Let the database fail to store rows that say one of *texts*, as one does whose columns are too short."""

    def fail(execute, sql, params, many, context):
        is_count = sql.startswith("INSERT") and "apikeys_usagecount" in sql
        if is_count and any(repr(text) in repr(params) for text in texts):
            raise DataError("value too long")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


def test_a_row_that_the_database_can_not_store_costs_no_other(caplog):
    for number in range(20):
        count(call(number), route=f"route {number}")

    with unable_to_store("route 7", "route 16"):
        assert usage.flush() == 18

    assert total() == 18
    assert warnings(caplog) == ["the database can't store a count of usage: it is lost"] * 2
    assert usage.flush() == 0


@pytest.mark.postgres
def test_a_text_that_is_too_long_for_its_column_costs_no_other_row():
    for route in ("one", "x" * 201, "two"):
        count(call(), route=route)

    assert usage.flush() == 2
    assert set(UsageCount.objects.values_list("route", flat=True)) == {"one", "two"}


def test_codes_and_ids_of_a_scheme_of_the_project_are_cut_to_what_the_columns_take():
    code, key_id = "signature_" * 5, "k" * 40
    counting.count_refusal(code, address=None, now=NOON, key_id=key_id, family=key_id)

    usage.flush()

    assert UsageCount.objects.values_list("outcome", "key_id", "family").get() == (code[:32], "k" * 12, "k" * 12)


def test_nothing_counted_costs_no_query():
    with statements() as sql:
        assert usage.flush() == 0

    assert sql == []


def test_a_flush_costs_the_same_queries_for_many_requests():
    issued = make_key()
    whoami(issued)
    usage.flush()
    whoami(issued)
    with statements() as few:
        usage.flush()
    for number in range(50):
        whoami(issued, REMOTE_ADDR="127.0.0.1", headers={"user-agent": f"agent {number}"})
    with statements() as many:
        usage.flush()

    assert len(many) == len(few) <= 3


def test_scopes_that_fit_no_row_are_in_several_and_count_once():
    names = sorted(f"{number}:{'x' * 90}" for number in range(12))
    count(call(scopes=names))

    usage.flush()

    rows = list(UsageCount.objects.order_by("pk").values_list("scopes", "count"))
    assert " ".join(scopes for scopes, _ in rows).split() == names
    assert [number for _, number in rows] == [1, 0, 0]


def test_memory_has_an_end_and_no_request_is_left_out(monkeypatch):
    monkeypatch.setattr(counting, "MOST_ROWS", 10)
    for number in range(100):
        count(call(number, key_id=f"{number % 30:012}", scopes=["todo:read"]), route=f"route {number}")

    assert usage.flush() <= 25
    assert total() == 100
    assert UsageCount.objects.filter(route="", network="", scopes="todo:read").exclude(key_id="").exists()
    assert UsageCount.objects.filter(key_id="", family="", outcome="ok", scopes="*").exists()


def test_refusals_of_many_networks_are_summed_beyond_the_largest():
    for number in range(1_200):
        for _ in range(1 + (number >= 1_150)):
            counting.count_refusal("key_invalid", address=parse_address(f"10.{number >> 8}.{number & 255}.1"), now=NOON)

    usage.flush()

    assert UsageCount.objects.exclude(network="other").count() == 1_000
    assert UsageCount.objects.filter(network__startswith="10.", count=2).count() == 50
    assert UsageCount.objects.get(network="other").count == 200


def test_a_flood_from_everywhere_fills_no_memory(monkeypatch):
    monkeypatch.setattr(counting, "_MOST_NETWORKS_HELD", 5)
    for number in range(20):
        counting.count_refusal("key_invalid", address=parse_address(f"10.0.{number}.1"), now=NOON)
        counting.count_refusal("key_invalid", address=parse_address("10.0.0.1"), now=NOON)

    assert usage.flush() == 6
    assert UsageCount.objects.get(network="10.0.0.0/24").count == 21
    assert UsageCount.objects.get(network="other").count == 15


def test_threads_lose_nothing():
    made = call()

    def work():
        for _ in range(2_000):
            count(made)

    at_once(*[work] * 4)
    usage.flush()

    assert total() == 8_000


def test_threads_lose_nothing_while_others_take(monkeypatch):
    made = call()
    taken = []
    is_over = threading.Event()

    def take():
        while not is_over.is_set():
            taken.append(counting.take())

    taker = threading.Thread(target=take)
    taker.start()
    for number in range(20_000):
        count(made, route=f"route {number % 7}")
    is_over.set()
    taker.join(timeout=30)
    taken.append(counting.take())

    assert sum(tally.count for counts in taken for tally in counts.requests.values()) == 20_000


def test_tasks_are_called_at_every_flush_and_one_that_fails_stops_no_other(monkeypatch, caplog):
    called = []

    def fail():
        raise RuntimeError("a fault of a task")

    monkeypatch.setattr(counting, "_after_flush", [])
    counting.every_flush(fail)
    counting.every_flush(task := lambda: called.append("task"))
    counting.every_flush(task)

    usage.flush()

    assert called == ["task"]
    assert warnings(caplog) == ["a task of the usage flush failed"]


def test_the_overlap_starts_when_the_replacement_is_first_used(noon):
    old = make_key()
    new = keys.rotate(old.key, overlap=keys.FROM_FIRST_USE)
    noon.move_to(NOON + timedelta(days=3), tick=False)
    whoami(new)
    noon.move_to(NOON + timedelta(days=3, seconds=9), tick=False)

    usage.flush()

    old.key.refresh_from_db()
    assert old.key.overlap_ends_at == NOON + timedelta(days=4)
    assert old.key.overlap_from_use is None


def test_using_the_old_key_starts_no_overlap(noon):
    old = make_key()
    keys.rotate(old.key, overlap=keys.FROM_FIRST_USE)
    before = old.key.overlap_ends_at
    whoami(old)

    usage.flush()

    old.key.refresh_from_db()
    assert old.key.overlap_from_use == timedelta(hours=24)
    assert before in {None, old.key.overlap_ends_at}


def test_an_overlap_that_could_not_start_starts_at_the_next_flush(noon):
    old = make_key()
    new = keys.rotate(old.key, overlap=keys.FROM_FIRST_USE)
    whoami(new)
    with failing("UPDATE", "apikeys_apikey", "overlap_from_use"):
        usage.flush()
    old.key.refresh_from_db()
    assert old.key.overlap_from_use == timedelta(hours=24)
    noon.move_to(NOON + timedelta(minutes=5), tick=False)

    usage.flush()

    old.key.refresh_from_db()
    assert old.key.overlap_ends_at == NOON + timedelta(hours=24)


def test_a_receiver_of_the_project_that_fails_stops_neither_the_networks_nor_the_tasks_of_a_flush(monkeypatch, caplog):
    def fail(**_what):
        raise RuntimeError

    called = []
    monkeypatch.setattr(counting, "_after_flush", [lambda: called.append("task")])
    whoami(keys.rotate(make_key().key, overlap=keys.FROM_FIRST_USE))
    post_save.connect(fail, sender=APIKey)
    try:
        usage.flush()
    finally:
        post_save.disconnect(fail, sender=APIKey)

    assert called == ["task"]
    assert KeyNetwork.objects.count() == 1
    assert warnings(caplog) == ["could not start the overlap of rotated keys: it is tried again"]


def test_a_key_in_the_wrong_header_is_stored_nowhere():
    issued = make_key()
    whoami(issued, headers={"user-agent": f"bot {issued.plaintext}"})
    whoami(f"{issued.plaintext}x", headers={"user-agent": issued.plaintext})

    usage.flush()

    assert LastUse.objects.get().user_agent == f"bot ak_live_{issued.key.key_id[:6]}…"
    assert_not_stored(issued.plaintext)
