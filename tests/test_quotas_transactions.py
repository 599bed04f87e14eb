from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from apikeys import counting
from apikeys.testing import make_key

from .quota_urls import Slow
from .quota_use import apply_to, ask, taken
from .request_path import connection_kept
from .threads import at_once

pytestmark = pytest.mark.urls("tests.quota_urls")

IS_SQLITE = connection.vendor == "sqlite"


@pytest.fixture
def apply(settings):
    return apply_to(settings)


@pytest.fixture
def around_views(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("block", [1, 100])
def test_a_quota_holds_in_a_transaction_around_the_view(apply, around_views, block):
    apply(QUOTAS=["3/month"], QUOTA_BLOCK=block)

    assert ask(make_key(), times=5) == [200, 200, 200, 429, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(IS_SQLITE, reason="has one writer, so that the quota is spent in the view's transaction")
@pytest.mark.parametrize("block", [1, 100])
def test_a_view_that_is_rolled_back_has_spent_its_quota(apply, around_views, block):
    apply(QUOTAS=["3/month"], QUOTA_BLOCK=block)

    assert ask(make_key(), times=5, url="/failing/") == [404, 404, 404, 429, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not IS_SQLITE, reason="spends on a connection of its own")
def test_on_sqlite_what_is_spent_is_rolled_back_with_the_view(apply, around_views):
    apply(QUOTAS=["2/month"])
    issued = make_key()

    failed = ask(issued, times=5, url="/failing/")

    assert failed == [404] * 5
    assert ask(issued, times=3) == [200, 200, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(IS_SQLITE, reason="has one writer, who holds up all others")
def test_the_ledger_is_not_locked_while_a_view_runs_in_its_transaction(apply, around_views):
    apply(QUOTAS=["100/month"], QUOTA_BLOCK=1)
    issued = make_key()
    Slow.gate.clear()
    Slow.entered.clear()
    answers = []
    slow = threading.Thread(target=lambda: answers.extend(at_once(lambda: ask(issued, url="/slow/"))))
    slow.start()
    try:
        assert Slow.entered.wait(timeout=60)
        meanwhile = ask(issued, times=2)
    finally:
        Slow.gate.set()
        slow.join()

    assert meanwhile == [200, 200]
    assert answers == [[200]]
    assert taken() == [3]


@pytest.mark.django_db(transaction=True)
def test_the_connection_of_the_view_is_its_own_again_after_a_lease(apply, around_views):
    apply(QUOTAS=["100/month"], QUOTA_BLOCK=1)
    issued = make_key()
    before = connections["default"]

    with transaction.atomic():
        answers = ask(issued)
        is_in_transaction = connections["default"].in_atomic_block

    assert answers == [200]
    assert connections["default"] is before
    assert is_in_transaction


class ExhaustedPool:
    """Django's pool, each of whose connections is held by a request."""

    def open(self):
        pass

    def getconn(self):
        raise OperationalError("no connection came in time")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_lease_waits_for_no_connection_of_a_pool(apply, around_views, monkeypatch):
    apply(QUOTAS=["100/month"], QUOTA_BLOCK=1)
    issued = make_key()

    with transaction.atomic(), monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict["OPTIONS"], "pool", {"max_size": 1})
        default: Any = connections["default"]
        patch.setitem(default._connection_pools, "default", ExhaustedPool())  # noqa: SLF001
        answers = ask(issued)

    assert answers == [200]
    assert taken() == [1]


@pytest.mark.django_db(transaction=True)
def test_a_quota_holds_where_a_project_has_no_autocommit(apply, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    apply(QUOTAS=["3/month"], QUOTA_BLOCK=1)
    issued = make_key()
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)

    try:
        with connection_kept():
            answers = ask(issued, times=4)
        connection.rollback()
    finally:
        connection.close()

    assert answers == [200, 200, 200, 429]


@pytest.mark.django_db
def test_a_quota_holds_in_a_test_case_and_leaves_nothing_behind(apply):
    apply(QUOTAS=["150/month"])
    issued = make_key()

    answers = ask(issued, times=3)
    seen = taken()
    counting.shut_down()

    assert answers == [200] * 3
    # Nothing is held in memory that the end of the test would take back in the database alone.
    assert seen == taken() == [3]


@pytest.mark.django_db
def test_what_a_transaction_in_a_test_case_takes_back_is_not_spent(apply):
    apply(QUOTAS=["1/month"])
    issued = make_key()

    with transaction.atomic():
        ask(issued)
        transaction.set_rollback(True)

    assert ask(issued, times=2) == [200, 429]
