"""What the demonstration shows of usage, without waiting for traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from apikeys import quotas, usage
from apikeys.core.rates import strictest_quotas
from apikeys.models import APIKey, Client, LastUse, Level, QuotaLedger, UsageCount
from apikeys.testing import make_key
from example_project.todo import seed
from tests.example_data import as_the_example
from tests.key_use import used

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def example(settings: Any) -> None:
    as_the_example(settings)


@pytest.fixture(autouse=True)
def _seeded(db: None, example: None) -> None:
    seed.seed()


def key_called(name):
    return APIKey.objects.get(name=name, replaces=None)


def rows():
    levels = {level: UsageCount.objects.filter(level=level).count() for level in Level}
    return levels | {"last": LastUse.objects.count(), "ledger": QuotaLedger.objects.count()}


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=7), 40 * DAY], ids=["now", "same-day", "40-days"])
def test_seeding_again_makes_as_many_counts(later):
    before = rows()

    with time_machine.travel(timezone.now() + later, tick=False):
        call_command("seed_demo")

    assert rows() == before


def test_ninety_days_of_use_have_a_dip():
    now = timezone.now()

    points = usage.series(since=now - 89 * DAY, until=now)

    by_day = [point.requests for point in points]
    assert len(by_day) == 90
    # Today may have begun a minute ago.
    assert all(by_day[:-1])
    assert sum(by_day[-12:-9]) < sum(by_day[-15:-12]) / 3


def test_one_key_is_mostly_denied():
    totals = usage.totals(since=timezone.now() - 90 * DAY, family=key_called("Dinesh's watch").family)

    assert totals.denied > totals.allowed


def test_old_key_in_its_overlap_is_still_used():
    old = APIKey.objects.get(overlap_ends_at__gt=timezone.now())

    last = usage.last_use(old.key_id)

    assert last is not None
    assert (last.address, last.at) == ("198.51.100.23", old.last_used_at)
    assert usage.last_use(old.replacement.key_id) is None


def test_denials_have_several_reasons():
    reasons = dict(usage.refusals(since=timezone.now() - 30 * DAY))

    assert {"limited", "scope_missing", "key_invalid", "key_revoked", "key_expired", "ip_not_allowed"} <= set(reasons)


def test_quotas_are_partly_spent():
    app = Client.objects.get(name="LLM Summariser")
    key = key_called("Summariser nightly")

    (balance,) = quotas.standing_of(key.family, strictest_quotas(tuple(app.quotas)))

    assert balance.remaining == 3760


def test_no_count_is_in_the_future_or_of_a_key_that_was_never_used():
    now = timezone.now()

    assert not UsageCount.objects.filter(bucket__gt=now).exists()
    assert not UsageCount.objects.filter(last_at__gt=now).exists()
    unused = APIKey.objects.filter(last_used_at=None).values("key_id")
    assert not UsageCount.objects.filter(key_id__in=unused).exists()


def test_sums_are_those_of_what_was_counted():
    since = timezone.now() - 90 * DAY
    counted = UsageCount.objects.filter(level__in=[Level.REQUEST, Level.REFUSAL]).values_list("count", flat=True)

    assert usage.totals(since=since).requests == sum(counted)


def test_seeding_again_keeps_what_visitors_did():
    key = make_key(client=Client.objects.get(name="Web app")).key
    used(key, 17, ago=timedelta(hours=3))
    usage.rollup()

    seed.seed()

    assert usage.totals(since=timezone.now() - DAY, family=key.family).requests == 17


def test_starting_over_forgets_what_visitors_did():
    key = make_key(client=Client.objects.get(name="Web app")).key
    used(key, 17)

    seed.start_over()

    assert not UsageCount.objects.filter(family=key.family).exists()
