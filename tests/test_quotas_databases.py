from __future__ import annotations

import pytest
from django.db import OperationalError, connection, connections

from apikeys import counting
from apikeys.models import QuotaLedger
from apikeys.testing import make_key

from .quota_use import apply_to, ask, taken
from .replicas import second_database

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.quota_urls")]


@pytest.fixture(autouse=True)
def _without_transactions(monkeypatch):
    # What happens in one has tests of its own.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)


@pytest.fixture
def apply(settings):
    return apply_to(settings)


class RouterOfRequests:
    """Chooses another database for quotas while a request is under way."""

    alias = "default"

    def db_for_write(self, model, **hints):
        return self.alias if model is QuotaLedger else None


@pytest.fixture
def second(tmp_path, settings, monkeypatch):
    """Choose the database ``second`` for quotas, until a test undoes *monkeypatch*."""
    settings.DATABASE_ROUTERS = [f"{__name__}.RouterOfRequests"]
    with second_database(tmp_path, ATOMIC_REQUESTS=False):
        monkeypatch.setattr(RouterOfRequests, "alias", "second")
        yield
        counting.shut_down()


def away(execute, sql, params, many, context):
    raise OperationalError("the database is away")


def taken_in_second():
    return list(QuotaLedger.objects.using("second").values_list("taken", flat=True))


@pytest.mark.usefixtures("second")
def test_what_is_left_goes_back_to_the_database_that_the_router_chose_for_the_request(apply, monkeypatch):
    apply(QUOTAS=["1000/month"])
    ask(make_key(), times=3)
    during = taken_in_second()

    monkeypatch.setattr(RouterOfRequests, "alias", "default")
    counting.shut_down()

    assert (during, taken_in_second(), taken()) == ([100], [3], [])


@pytest.mark.usefixtures("second")
def test_what_a_lower_quota_gives_back_goes_to_the_database_that_it_was_leased_from(apply, monkeypatch):
    apply(QUOTAS=["1000/month"])
    issued = make_key()
    ask(issued, times=3)

    monkeypatch.setattr(RouterOfRequests, "alias", "default")
    apply(QUOTAS=["4/month"])

    assert ask(issued, times=2) == [200, 429]
    assert (taken_in_second(), taken()) == ([4], [])


@pytest.mark.usefixtures("second")
def test_what_was_leased_from_others_goes_back_while_one_database_is_away(apply, monkeypatch):
    apply(QUOTAS=["1000/month"])
    ask(make_key(), times=3)
    monkeypatch.setattr(RouterOfRequests, "alias", "default")
    ask(make_key(), times=5)

    with connections["second"].execute_wrapper(away):
        counting.shut_down()

    assert taken() == [5]


def test_what_was_leased_in_a_test_run_is_not_given_to_the_projects_own_ledger(apply, monkeypatch):
    apply(QUOTAS=["1000/month"])
    ask(make_key(), times=3)

    monkeypatch.setitem(connection.settings_dict, "NAME", "another")
    counting.shut_down()

    assert taken() == [100]
