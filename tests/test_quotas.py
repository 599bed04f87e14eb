from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from apikeys import clients, counting, keys, quotas, usage
from apikeys.core.rates import parse_quota
from apikeys.quotas import leases
from apikeys.testing import ApiKeyClient, make_key

from .quota_use import apply_to, ask, left, taken
from .request_path import code_of, statements, whoami

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.quota_urls")]


@pytest.fixture(autouse=True)
def _without_transactions(monkeypatch):
    # What happens in one has tests of its own.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)


@pytest.fixture
def apply(settings):
    return apply_to(settings)


@pytest.mark.parametrize("quota", ["3/month", "3/day"])
@pytest.mark.parametrize("block", [1, 100])
def test_a_quota_admits_as_many_requests_as_it_says(apply, quota, block):
    apply(QUOTAS=[quota], QUOTA_BLOCK=block)

    assert ask(make_key(), times=5) == [200, 200, 200, 429, 429]


def test_a_quota_counts_for_each_key_by_itself(apply):
    apply(QUOTAS=["1/month"])
    first, second = make_key(), make_key()

    assert ask(first, times=2) + ask(second, times=2) == [200, 429, 200, 429]


def test_the_strictest_of_project_client_and_key_counts(apply):
    apply(QUOTAS=["100/month"])
    client = clients.create(name="Strict", allowed_scopes=["todo:read"], quotas=["3/month"])

    assert ask(make_key(client=client), times=4) == [200, 200, 200, 429]
    assert ask(make_key(client=client, quotas=["2/month"]), times=3) == [200, 200, 429]
    assert ask(make_key(client=client, quotas=["50/month"]), times=4) == [200, 200, 200, 429]


def test_a_key_and_its_replacement_share_one_quota(apply):
    apply(QUOTAS=["3/month"])
    old = make_key()
    ask(old, times=2)

    new = keys.rotate(old.key)

    assert ask(new) + ask(old) + ask(new) == [200, 429, 429]


def test_the_refusal_says_when_the_quota_is_refilled(apply, time_machine):
    time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
    apply(QUOTAS=["1/month"])
    issued = make_key()
    ask(issued)

    refused = ApiKeyClient(issued).get("/counted/")

    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert int(refused["Retry-After"]) == timedelta(days=8, hours=12).total_seconds()
    assert '"quota-month";r=0' in refused["RateLimit"]
    assert '"quota-month";q=1' in refused["RateLimit-Policy"]


def test_of_two_quotas_that_are_used_up_the_refusal_names_the_longer_wait(apply, time_machine):
    time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
    apply(QUOTAS=["1/month", "1/day"])
    issued = make_key()
    ask(issued)

    refused = ApiKeyClient(issued).get("/counted/")

    assert int(refused["Retry-After"]) == timedelta(days=8, hours=12).total_seconds()


#: Zone, quota, an instant, and when the quota is refilled, both on clocks of that zone.
REFILLS = {
    "end of a month": ("UTC", "1/month", "2026-11-30T23:59:59", "2026-12-01T00:00:00"),
    "end of a year": ("UTC", "1/month", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    "leap day": ("UTC", "1/day", "2028-02-28T12:00:00", "2028-02-29T00:00:00"),
    "February of a leap year": ("UTC", "1/month", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    "far east of the client": ("Pacific/Auckland", "1/day", "2026-11-22T23:59:59", "2026-11-23T00:00:00"),
    "far west of the client": ("Pacific/Honolulu", "1/month", "2026-11-30T23:59:59", "2026-12-01T00:00:00"),
    "clocks go forward": ("Europe/Berlin", "1/day", "2026-03-29T00:00:00", "2026-03-30T00:00:00"),
    "clocks go back": ("Europe/Berlin", "1/day", "2026-10-25T00:00:00", "2026-10-26T00:00:00"),
    "month in which clocks go back": ("Europe/Berlin", "1/month", "2026-10-01T00:00:00", "2026-11-01T00:00:00"),
    # On that day it was 01:00 a moment after 23:59:59.
    "day without a midnight": ("Africa/Cairo", "1/day", "2026-04-24T12:00:00", "2026-04-25T00:00:00"),
    "before a day without a midnight": ("Africa/Cairo", "1/day", "2026-04-23T12:00:00", "2026-04-24T00:00:00"),
    # On that day it was 00:00 twice.
    "day with two midnights": ("America/Havana", "1/day", "2026-11-01T00:30:00", "2026-11-02T00:00:00"),
}


@pytest.mark.parametrize("case", REFILLS.values(), ids=REFILLS)
def test_a_quota_is_refilled_by_the_calendar_of_the_project(settings, apply, time_machine, case):
    settings.TIME_ZONE, quota, before, refilled = case
    here = timezone.get_default_timezone()
    # In UTC, because sums of local times are those of clocks on a wall.
    before_at, refilled_at = (
        datetime.fromisoformat(text).replace(tzinfo=here).astimezone(UTC) for text in (before, refilled)
    )
    time_machine.move_to(before_at, tick=False)
    apply(QUOTAS=[quota], ALLOW_NO_EXPIRY=True)
    issued = make_key(lifetime=None)
    ask(issued)
    wait = timedelta(seconds=int(ApiKeyClient(issued).get("/counted/")["Retry-After"]))

    with timezone.override("Asia/Kathmandu"):
        time_machine.move_to(before_at + wait - timedelta(seconds=1), tick=False)
        still = ask(issued)
        time_machine.move_to(before_at + wait, tick=False)
        again = ask(issued)

    assert before_at + wait == refilled_at
    assert still + again == [429, 200]


def test_a_block_is_one_lease_and_then_costs_no_query(apply):
    apply(QUOTAS=["1000/month"], QUOTA_BLOCK=10)
    issued = make_key()
    ask(issued)

    with statements() as sql:
        ask(issued, times=9)
    within = [text for text in sql if "quotaledger" in text]
    with statements() as sql:
        ask(issued)
    beyond = [text.split()[0] for text in sql if "quotaledger" in text]

    assert within == []
    assert beyond == ["SELECT", "UPDATE"]


def test_the_less_is_left_the_less_is_leased(apply):
    apply(QUOTAS=["100/month"], QUOTA_BLOCK=100)
    issued = make_key()

    ask(issued)
    first = taken()
    ask(issued, times=89)
    ask(issued)
    last = taken()

    assert (first, last) == ([10], [91])


def test_who_is_refused_costs_no_query_for_a_second(apply, monkeypatch):
    apply(QUOTAS=["1/month"])
    issued = make_key()
    ask(issued, times=2)

    with statements() as sql:
        ask(issued, times=5)
    monkeypatch.setattr(leases, "_REFUSED_SECONDS", 0.0)
    issued_later = make_key()
    ask(issued_later, times=2)
    with statements() as later_sql:
        ask(issued_later)

    assert [text for text in sql if "quotaledger" in text] == []
    assert [text for text in later_sql if "quotaledger" in text] != []


@pytest.mark.parametrize("block", [1, 100])
def test_a_request_that_a_day_refuses_spends_nothing_of_the_month(apply, block):
    apply(QUOTAS=["2/day", "1000/month"], QUOTA_BLOCK=block)
    issued = make_key()

    answers = ask(issued, times=6)

    balances = {row["quota"]: row["remaining"] for row in whoami(issued).json()["quotas"]}
    assert answers == [200, 200, 429, 429, 429, 429]
    assert balances == {"2/day": 0, "1000/month": 998}


@pytest.mark.parametrize("block", [1, 100])
def test_a_request_that_a_rate_refuses_spends_no_quota(apply, block):
    apply(QUOTAS=["1000/month"], RATES=["2/h"], QUOTA_BLOCK=block)
    issued = make_key()

    answers = ask(issued, times=6)

    assert answers == [200, 200, 429, 429, 429, 429]
    assert left(issued) == 998


def test_a_block_of_one_leaves_nothing_with_a_process(apply):
    apply(QUOTAS=["1000/month"], RATES=["2/h"], QUOTA_BLOCK=1)
    issued = make_key()

    ask(issued, times=6)

    assert taken() == [2]


def test_a_request_can_cost_more_than_a_block(apply):
    apply(QUOTAS=["100/month"], QUOTA_BLOCK=5)
    issued = make_key()

    answers = [ask(issued, url=f"/dear/?cost={cost}") for cost in (60, 60, 40, 1)]

    assert answers == [[200], [429], [200], [429]]


def test_a_dear_request_that_is_refused_leaves_room_for_a_cheap_one(apply):
    apply(QUOTAS=["10/month"])
    issued = make_key()

    answers = [ask(issued, url=f"/dear/?cost={cost}") for cost in (6, 6, 4)]

    assert answers == [[200], [429], [200]]


def test_a_free_request_spends_nothing(apply):
    apply(QUOTAS=["1/month"])
    issued = make_key()

    answers = ask(issued, times=3, url="/dear/?cost=0") + ask(issued)

    assert answers == [200] * 4


def test_a_raised_quota_counts_at_once(apply):
    apply(QUOTAS=["2/month"])
    issued = make_key()
    before = ask(issued, times=3)

    apply(QUOTAS=["4/month"])

    assert before + ask(issued, times=3) == [200, 200, 429, 200, 200, 429]


def test_a_lowered_quota_counts_at_once_also_where_more_is_leased(apply):
    apply(QUOTAS=["1000/month"])
    issued = make_key()
    ask(issued, times=10)

    apply(QUOTAS=["12/month"])

    assert ask(issued, times=3) == [200, 200, 429]


def test_a_lowered_quota_refuses_who_used_more_already(apply):
    apply(QUOTAS=["1000/month"])
    issued = make_key()
    ask(issued, times=10)

    apply(QUOTAS=["5/month"])

    assert ask(issued) == [429]
    assert left(issued) == 0


def test_what_nobody_spends_goes_back_after_a_minute(apply, monkeypatch):
    apply(QUOTAS=["1000/month"])
    issued = make_key()
    ask(issued, times=3)
    usage.flush()
    fresh = taken()

    monkeypatch.setattr(leases, "_IDLE_SECONDS", 0.0)
    usage.flush()

    assert (fresh, taken()) == ([100], [3])
    assert ask(issued) == [200]
    assert left(issued) == 996


def test_what_a_process_did_not_spend_goes_back_when_it_ends(apply):
    apply(QUOTAS=["1000/month"])
    ask(make_key(), times=3)

    counting.shut_down()

    assert taken() == [3]


def test_what_is_left_of_last_month_goes_back_to_last_month(apply, time_machine, monkeypatch):
    apply(QUOTAS=["1000/month"])
    time_machine.move_to("2026-11-30T23:59:59Z", tick=False)
    issued = make_key()
    ask(issued, times=3)
    time_machine.move_to("2026-12-01T00:00:00Z", tick=False)
    ask(issued)

    counting.shut_down()

    assert taken() == [3, 1]


def test_families_beyond_what_a_process_remembers_are_counted_all_the_same(apply, monkeypatch):
    held: dict[Any, Any] = {}
    monkeypatch.setattr(leases, "_leases", held)
    monkeypatch.setattr(leases, "_MOST", 1)
    apply(QUOTAS=["30/month"])
    ask(make_key())
    issued = make_key()

    answers = ask(issued, times=31)

    assert answers == [200] * 30 + [429]
    assert len(held) == 1


def test_whoami_tells_what_the_key_may_use(apply, time_machine):
    time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
    apply(QUOTAS=["100000/month"], RATES=["600/min", "20/s"])
    issued = make_key(quotas=["5000/day"])
    ask(issued, times=3)

    answer = whoami(issued).json()

    assert answer["rates"] == ["20/s", "600/min"]
    assert answer["quotas"] == [
        {"quota": "5000/day", "remaining": 4997, "resets_at": "2026-11-23T00:00:00Z"},
        {"quota": "100000/month", "remaining": 99997, "resets_at": "2026-12-01T00:00:00Z"},
    ]


def test_whoami_of_an_unlimited_key_says_so_without_a_further_query():
    issued = make_key(owner=None)
    whoami(issued)

    with statements() as sql:
        answer = whoami(issued).json()

    assert (answer["rates"], answer["quotas"]) == ([], [])
    assert len(sql) == 1


def test_whoami_costs_one_more_query_for_all_quotas(apply):
    apply(QUOTAS=["100/month", "10/day"])
    issued = make_key(owner=None)
    whoami(issued)

    with statements() as sql:
        whoami(issued)

    assert len(sql) == 2


def test_many_families_are_told_with_one_query(apply):
    apply(QUOTAS=["100/month"])
    issued = [make_key() for _ in range(3)]
    for times, one in enumerate(issued):
        ask(one, times=times)
    wanted = {one.key.family: (parse_quota("100/month"),) for one in issued}

    with statements() as sql:
        told = quotas.standings_of(wanted)

    assert [told[one.key.family][0].remaining for one in issued] == [100, 99, 98]
    assert len(sql) == 1


def test_old_rows_of_the_ledger_can_be_deleted(apply, time_machine):
    apply(QUOTAS=["100/day"])
    time_machine.move_to("2026-11-21T12:00:00Z", tick=False)
    issued = make_key()
    ask(issued)
    time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
    ask(issued)

    assert quotas.delete_before(timezone.now()) == 2
    assert taken() == []


def test_the_migration_has_what_the_ledger_needs():
    call_command("makemigrations", "apikeys", check=True, dry_run=True, verbosity=0)
