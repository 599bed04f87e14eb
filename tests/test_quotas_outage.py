from __future__ import annotations

import logging

import pytest
from django.db import OperationalError, connection

from apikeys.logging import complaints
from apikeys.testing import ApiKeyClient, make_key

from .quota_use import apply_to, ask, left, taken
from .request_path import code_of, whoami

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.quota_urls")]


@pytest.fixture(autouse=True)
def _without_transactions(monkeypatch):
    # What happens in one has tests of its own.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)


@pytest.fixture
def apply(settings):
    return apply_to(settings)


def broken(execute, sql, params, many, context):
    if "quotaledger" in sql:
        raise OperationalError("the ledger is gone")
    return execute(sql, params, many, context)


def test_a_quota_that_cannot_be_read_refuses(apply):
    apply(QUOTAS=["1000/month"], LIMITS_FAIL_OPEN=True)
    issued = make_key()

    with connection.execute_wrapper(broken):
        refused = ApiKeyClient(issued).get("/counted/")

    assert (refused.status_code, code_of(refused)) == (503, "limits_unavailable")
    assert refused["Retry-After"] == "1"
    assert ask(issued) == [200]


def test_the_log_says_once_a_minute_why_quotas_cannot_be_read(apply, caplog, monkeypatch):
    # No clock that could be frozen counts here.
    complaints.forget()
    apply(QUOTAS=["1000/month"])
    issued = make_key()

    with connection.execute_wrapper(broken):
        ask(issued, times=3)
        a_minute_earlier = {message: at - 60 for message, at in complaints._told_at.items()}  # noqa: SLF001
        monkeypatch.setattr(complaints, "_told_at", a_minute_earlier)
        ask(issued, times=2)

    told = [record for record in caplog.records if record.name == "apikeys.auth" and record.levelno >= logging.WARNING]
    assert [record.reason for record in told] == ["limits_unavailable"] * 2
    assert "the ledger is gone" in caplog.text


def test_a_quota_that_cannot_be_read_leaves_the_other_one_whole(apply):
    apply(QUOTAS=["1000/month", "10/day"])
    issued = make_key()
    ask(issued, times=10)

    with connection.execute_wrapper(broken):
        refused = ask(issued)
    apply(QUOTAS=["1000/month", "11/day"])

    assert refused == [503]
    assert left(issued) == 1
    assert whoami(issued).json()["quotas"][1]["remaining"] == 990


def test_what_is_leased_already_is_spent_without_the_database(apply):
    apply(QUOTAS=["1000/month"])
    issued = make_key()
    ask(issued)

    with connection.execute_wrapper(broken):
        answers = ask(issued, times=3)

    assert answers == [200] * 3


def test_a_refused_request_stays_refused_where_its_quota_cannot_be_given_back(apply):
    apply(QUOTAS=["1000/month"], RATES=["1/h"], QUOTA_BLOCK=1)
    issued = make_key()
    ask(issued)

    def fails_to_give_back(execute, sql, params, many, context):
        return (broken if "- " in sql else execute_as_is)(execute, sql, params, many, context)

    def execute_as_is(execute, sql, params, many, context):
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fails_to_give_back):
        refused = ask(issued)

    assert refused == [429]
    assert taken() == [2]
