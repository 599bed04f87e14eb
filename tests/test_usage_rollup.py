"""Rolling up adds and loses nothing: not at once, not late, not while others write, not where clocks change."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError, connections, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apikeys import usage
from apikeys.models import Grain, Level, QuotaLedger, UsageCount
from apikeys.testing import make_key
from apikeys.usage import summing
from tests.threads import at_once
from tests.usage_rows import counted, refusals_of, requests_with, summed

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db
really_commits = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key(db):
    return make_key().key


def rows(**which):
    return UsageCount.objects.filter(**which)


def buckets(**which):
    return sorted(rows(**which).values_list("bucket", flat=True))


def test_hour_that_is_over_becomes_one_row_for_each_kind_of_request(key):
    for minute in (1, 20, 59):
        requests_with(key, at=NOW - 2 * HOUR + timedelta(minutes=minute - 30), count=minute)
    requests_with(key, at=NOW - 2 * HOUR, outcome="404")

    usage.rollup(now=NOW)

    found = rows(level=Level.REQUEST).values_list("grain", "outcome", "count", "bucket", "last_at").order_by("outcome")
    hour = NOW.replace(hour=10, minute=0)
    assert list(found) == [
        (Grain.HOUR, "404", 1, hour, NOW - 2 * HOUR),
        (Grain.HOUR, "ok", 80, hour, hour + timedelta(minutes=59)),
    ]


def test_what_is_said_of_requests_is_kept_by_the_hour(key):
    raw = requests_with(key, at=NOW - 2 * HOUR, method="POST", scopes="todo:read todo:write", network="2001:db8::/48")

    usage.rollup(now=NOW)

    kept = ["family", "key_id", "client_id", "route", "method", "outcome", "scopes", "network", "count", "last_at"]
    assert rows(level=Level.REQUEST).values(*kept).get() == {name: getattr(raw, name) for name in kept}


@pytest.mark.parametrize(
    ("minutes_past", "grain"),
    [
        pytest.param(4, Grain.RAW, id="hour that ended four minutes ago may be flushed still"),
        pytest.param(5, Grain.HOUR, id="hour that ended five minutes ago is summed"),
    ],
)
def test_hour_is_summed_five_minutes_after_its_end(key, minutes_past, grain):
    end = NOW.replace(minute=0)
    requests_with(key, at=end - timedelta(minutes=1))

    usage.rollup(now=end + timedelta(minutes=minutes_past))

    assert rows(level=Level.REQUEST).get().grain == grain


def test_minutes_of_refusals_become_their_hour(key):
    for minute in range(3):
        refusals_of(key, at=NOW - 2 * HOUR + timedelta(minutes=minute), count=2)
        refusals_of(None, at=NOW - 2 * HOUR + timedelta(minutes=minute), count=3)

    usage.rollup(now=NOW)

    found = rows(level=Level.REFUSAL).values_list("grain", "family", "outcome", "count").order_by("outcome")
    assert list(found) == [(Grain.HOUR, key.family, "key_expired", 6), (Grain.HOUR, "", "key_invalid", 9)]


def test_refusal_of_a_known_key_counts_for_it_and_its_client_and_all_refusals_count_over_all(key):
    requests_with(key, at=NOW - 2 * HOUR, count=5)
    refusals_of(key, at=NOW - 2 * HOUR, count=2)
    refusals_of(None, at=NOW - 2 * HOUR, count=3)

    usage.rollup(now=NOW)

    assert {level: summed(level) for level in (Level.KEY, Level.CLIENT, Level.ALL)} == {
        Level.KEY: 7,
        Level.CLIENT: 7,
        Level.ALL: 10,
    }
    by_outcome = dict(rows(level=Level.ALL).values_list("outcome", "count"))
    assert by_outcome == {"ok": 5, "key_expired": 2, "key_invalid": 3}


def test_refusals_of_a_flood_from_everywhere_become_few_rows_that_say_how_many_there_were(key, monkeypatch):
    monkeypatch.setattr(summing, "MOST_NETWORKS", 2)
    for number in range(6):
        network = f"2001:db8:0:{number}::/64"
        refusals_of(None, at=NOW - 2 * HOUR, count=number + 1, network=network)
        refusals_of(None, at=NOW - 2 * HOUR, count=1, network=network, outcome="key_malformed")
    refusals_of(key, at=NOW - 2 * HOUR, network="198.51.100.0/24")

    usage.rollup(now=NOW)

    found = rows(level=Level.REFUSAL).values_list("outcome", "network", "count").order_by("outcome", "network")
    assert list(found) == [
        ("key_expired", "198.51.100.0/24", 1),
        ("key_invalid", "2001:db8:0:4::/64", 5),
        ("key_invalid", "2001:db8:0:5::/64", 6),
        ("key_invalid", "other", 10),
        ("key_malformed", "2001:db8:0:4::/64", 1),
        ("key_malformed", "2001:db8:0:5::/64", 1),
        ("key_malformed", "other", 4),
    ]
    assert summed(Level.ALL) == 28


def test_sums_say_nothing_of_route_method_and_network(key):
    requests_with(key, at=NOW - 2 * HOUR, route="one")
    requests_with(key, at=NOW - 2 * HOUR, route="two", network="198.51.100.0/24", method="POST")

    usage.rollup(now=NOW)

    for level in (Level.KEY, Level.CLIENT, Level.ALL):
        row = rows(level=level).get()
        assert (row.count, row.route, row.method, row.network) == (2, "", "", "")


def test_late_rows_are_summed_by_the_next_run(key):
    requests_with(key, at=NOW - 2 * HOUR, count=2)
    usage.rollup(now=NOW)
    requests_with(key, at=NOW - 2 * HOUR, count=3)

    usage.rollup(now=NOW)

    assert counted() == counted(grain=Grain.HOUR) == summed(Level.KEY) == summed(Level.ALL) == 5


def test_late_rows_of_a_day_that_is_summed_join_it(key):
    requests_with(key, at=NOW - 20 * DAY, count=2)
    usage.rollup(now=NOW)
    requests_with(key, at=NOW - 20 * DAY, count=3)

    usage.rollup(now=NOW)

    assert counted() == counted(grain=Grain.DAY) == summed(Level.KEY, grain=Grain.DAY) == 5
    assert usage.totals(since=NOW - 30 * DAY).requests == 5


def test_second_run_changes_nothing(key):
    requests_with(key, at=NOW - 20 * DAY)
    requests_with(key, at=NOW - 2 * HOUR)
    usage.rollup(now=NOW)
    before = set(rows().values_list("pk", "count"))

    assert usage.rollup(now=NOW) == usage.RolledUp()

    assert set(rows().values_list("pk", "count")) == before


def test_hours_become_days_when_they_are_older_than_the_setting_says(key, settings):
    settings.APIKEYS = {**settings.APIKEYS, "USAGE_HOURS_KEPT": timedelta(days=2)}
    first = NOW.replace(hour=0, minute=0)
    for hours in range(0, 24 * 5, 6):
        requests_with(key, at=first - hours * HOUR)

    usage.rollup(now=NOW)

    assert set(buckets(level=Level.KEY, grain=Grain.DAY)) == {first - days * DAY for days in (3, 4, 5)}
    assert min(buckets(level=Level.KEY, grain=Grain.HOUR)) == first - 2 * DAY
    assert counted() == summed(Level.KEY) == summed(Level.CLIENT) == summed(Level.ALL) == 20


def test_days_forget_networks_and_keep_the_scopes_that_were_needed(key):
    for number in range(3):
        requests_with(key, at=NOW - 20 * DAY, network=f"198.51.{number}.0/24", scopes="todo:write")

    usage.rollup(now=NOW)

    row = rows(level=Level.REQUEST).get()
    assert (row.grain, row.network, row.scopes, row.route, row.count) == (Grain.DAY, "", "todo:write", "todo:list", 3)


def test_days_that_are_older_than_the_setting_says_are_deleted(key):
    requests_with(key, at=NOW - 401 * DAY)
    requests_with(key, at=NOW - 400 * DAY)
    refusals_of(None, at=NOW - 401 * DAY)

    result = usage.rollup(now=NOW)

    assert result.rows_deleted == 6
    assert counted() == summed(Level.ALL) == 1


@pytest.mark.parametrize("days_kept", [7, 400], ids=["a week", "a year"])
def test_quotas_of_months_that_are_over_are_deleted_and_never_this_month_s(settings, days_kept):
    settings.APIKEYS = {**settings.APIKEYS, "USAGE_DAYS_KEPT": timedelta(days=days_kept)}
    for starts_at in (NOW - 450 * DAY, datetime(2026, 11, 1, tzinfo=UTC)):
        QuotaLedger.objects.create(family="family", period="month", starts_at=starts_at, taken=1)

    usage.rollup(now=NOW)

    assert QuotaLedger.objects.get().starts_at == datetime(2026, 11, 1, tzinfo=UTC)


# In local time: the day in spring with 23 hours, the day in autumn with 25, an hour that is half past in UTC.
@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        pytest.param("Europe/Berlin", (2026, 3, 29), 23, id="spring"),
        pytest.param("Europe/Berlin", (2026, 10, 25), 25, id="autumn"),
        pytest.param("Asia/Kolkata", (2026, 10, 25), 24, id="half past"),
        pytest.param("Africa/Cairo", (2026, 4, 24), 23, id="no midnight"),
        pytest.param("Australia/Lord_Howe", (2026, 4, 5), 24.5, id="half an hour"),
    ],
)
def test_days_are_those_of_the_projects_time_zone(key, settings, zone, day, hours):
    settings.TIME_ZONE = zone
    start = datetime(day[0], day[1], day[2], tzinfo=ZoneInfo(zone)).astimezone(UTC)
    minutes = range(0, int(hours * 60), 30)
    for minute in minutes:
        requests_with(key, at=start + timedelta(minutes=minute))
    requests_with(key, at=start - timedelta(minutes=30), count=1000)
    requests_with(key, at=start + hours * HOUR, count=1000)

    usage.rollup(now=start + 20 * DAY)

    assert rows(level=Level.KEY, grain=Grain.DAY, bucket=start).get().count == len(minutes)
    assert counted() == len(minutes) + 2000


def test_hour_that_comes_twice_in_autumn_is_two(key, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    first = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 2:00, and again an hour later
    for hours in range(3):
        requests_with(key, at=first + hours * HOUR)

    usage.rollup(now=first + 5 * HOUR)

    assert buckets(level=Level.KEY, grain=Grain.HOUR) == [first, first + HOUR, first + 2 * HOUR]


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    written=st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=40 * 24 * 60),
            st.sampled_from(["ok", "404", "limited", "5xx"]),
            st.integers(min_value=1, max_value=2**40),
        ),
        max_size=12,
    ),
    runs=st.lists(st.integers(min_value=0, max_value=45 * 24), min_size=1, max_size=4),
)
def test_no_order_of_writing_and_rolling_up_changes_a_sum(key, written, runs):
    rows().delete()
    expected: dict[str, int] = {}

    for number, (minutes, outcome, count) in enumerate(written):
        requests_with(key, at=NOW + timedelta(minutes=minutes), outcome=outcome, count=count)
        expected[outcome] = expected.get(outcome, 0) + count
        usage.rollup(now=NOW + runs[number % len(runs)] * HOUR)

    found = usage.totals(since=NOW - DAY, until=NOW + 50 * DAY, family=key.family)
    assert found.by_outcome == expected
    assert counted() == sum(expected.values())


def write_until(stop, *, key, written):
    """Write rows of the hours that are being summed, one commit each, until *stop*."""
    try:
        while not stop.is_set():
            # MariaDB may make the writer the victim of a deadlock, as it may every transaction. A flush is tried again.
            with suppress(OperationalError):
                requests_with(key, at=NOW - (len(written) % 3 + 2) * HOUR, count=1)
                written.append(1)
    finally:
        connections.close_all()


@really_commits
def test_two_roll_ups_at_once_under_writers_neither_lose_nor_double_anything():
    key = make_key().key
    for hours in range(2, 5):
        for _ in range(50):
            requests_with(key, at=NOW - hours * HOUR, count=2)
    stop = threading.Event()
    written: list[list[int]] = [[], []]
    writers = [threading.Thread(target=partial(write_until, stop, key=key, written=each)) for each in written]
    for writer in writers:
        writer.start()

    totals = []
    try:
        for _ in range(6):
            at_once(partial(usage.rollup, now=NOW), partial(usage.rollup, now=NOW))
            totals.append(counted())
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    usage.rollup(now=NOW)

    expected = 300 + sum(map(len, written))
    assert all(map(len, written))
    assert counted() == summed(Level.KEY) == summed(Level.CLIENT) == summed(Level.ALL) == expected
    assert totals == sorted(totals)
    assert not rows(grain=Grain.RAW).exists()


@really_commits
def test_reader_sees_the_same_sum_before_during_and_after_a_roll_up():
    key = make_key().key
    for hours in range(2, 40):
        requests_with(key, at=NOW - hours * HOUR, count=2)
        requests_with(key, at=NOW - hours * HOUR - 20 * DAY, count=3)
    stop, seen = threading.Event(), set()

    def read():
        try:
            while not stop.is_set():
                seen.add((counted(), usage.totals(since=NOW - 60 * DAY, family=key.family).requests))
        finally:
            connections.close_all()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        usage.rollup(now=NOW)
    finally:
        stop.set()
        reader.join()

    assert seen == {(190, 190)}


@really_commits
def test_roll_up_inside_a_transaction_of_somebody_else_is_refused(key):
    requests_with(key, at=NOW - 2 * HOUR)

    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        usage.rollup(now=NOW)

    assert rows().get().grain == Grain.RAW


def test_roll_up_is_about_no_row_at_a_time(key, django_assert_max_num_queries):
    for number in range(200):
        requests_with(key, at=NOW - 2 * HOUR, route=f"route-{number}")

    with django_assert_max_num_queries(40):
        usage.rollup(now=NOW)

    assert rows(level=Level.REQUEST, grain=Grain.HOUR).count() == 200
