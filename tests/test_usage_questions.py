"""The questions that pages ask, on both sides of a roll-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys import keys, usage
from apikeys.core import outcomes
from apikeys.models import APIKey, LastUse, UsageCount
from apikeys.testing import make_key
from apikeys.usage.questions import _DENIED
from tests.factories import ClientFactory
from tests.usage_rows import refusal_row, request_row, requests_with

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_noon(time_machine):
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def web(db):
    return make_key(name="Web", client=ClientFactory(name="Web app")).key


@pytest.fixture
def bot(db):
    return make_key(name="Bot", client=ClientFactory(name="Chat bot")).key


@pytest.fixture
def three_weeks(web, bot):
    """What two keys did in three weeks."""
    rows = []
    for days in range(21):
        at = NOW - days * DAY - 2 * HOUR
        rows += [
            request_row(web, at=at, count=10),
            request_row(web, at=at, count=2, outcome="limited", route="todo:detail"),
            request_row(web, at=at - HOUR, count=1, outcome="5xx"),
            request_row(bot, at=at, count=3, outcome="404", network="198.51.100.0/24"),
            refusal_row(bot, at=at, count=4, network="203.0.113.0/24"),
            refusal_row(None, at=at, count=5),
        ]
    UsageCount.objects.bulk_create(rows)


BEFORE_AND_AFTER = pytest.mark.parametrize("is_rolled_up", [False, True], ids=["raw", "rolled up"])


@BEFORE_AND_AFTER
def test_totals_of_a_key_are_the_same_before_and_after_a_roll_up(web, three_weeks, is_rolled_up):
    if is_rolled_up:
        usage.rollup()

    assert usage.totals(since=NOW - 30 * DAY, family=web.family) == usage.Totals(
        requests=13 * 21, denied=2 * 21, failed=21, by_outcome={"ok": 210, "limited": 42, "5xx": 21}
    )


@BEFORE_AND_AFTER
def test_totals_of_a_client_count_the_refusals_of_its_keys(bot, three_weeks, is_rolled_up):
    if is_rolled_up:
        usage.rollup()

    totals = usage.totals(since=NOW - 30 * DAY, client_id=bot.client.client_id)
    assert (totals.requests, totals.denied, totals.allowed) == (7 * 21, 4 * 21, 3 * 21)


def test_totals_over_all_are_of_what_is_summed(three_weeks):
    assert usage.totals(since=NOW - 30 * DAY).requests == 0

    usage.rollup()

    assert usage.totals(since=NOW - 30 * DAY).requests == (13 + 7 + 5) * 21


def test_totals_are_of_the_span_that_is_asked_for(web, three_weeks):
    usage.rollup()

    day = NOW.replace(hour=0, minute=0)
    assert usage.totals(since=day - DAY, until=day, family=web.family).requests == 13
    assert usage.totals(since=NOW - HOUR, family=web.family).requests == 0
    # The hour of 10:30 is counted as a whole, or not at all.
    assert usage.totals(since=NOW - HOUR * 2, family=web.family).requests == 12


def test_day_of_which_no_hours_are_left_counts_as_a_whole(web, three_weeks):
    usage.rollup()

    since = (NOW - 18 * DAY).replace(hour=23, minute=0)
    assert usage.totals(since=since, until=since + HOUR, family=web.family).requests == 13


@BEFORE_AND_AFTER
def test_series_has_every_day_also_those_without_requests(web, is_rolled_up):
    requests_with(web, at=NOW - 2 * DAY, count=5)
    requests_with(web, at=NOW - 2 * DAY, count=1, outcome="403")
    if is_rolled_up:
        usage.rollup()

    series = usage.series(since=NOW - 3 * DAY, family=web.family)

    assert [(point.at.day, point.allowed, point.denied, point.requests) for point in series] == [
        (19, 0, 0, 0),
        (20, 5, 1, 6),
        (21, 0, 0, 0),
        (22, 0, 0, 0),
    ]


@BEFORE_AND_AFTER
def test_series_by_the_hour(web, three_weeks, is_rolled_up):
    if is_rolled_up:
        usage.rollup()

    series = usage.series(since=NOW - 4 * HOUR, by="hour", family=web.family)

    assert [(point.at.hour, point.allowed, point.denied) for point in series] == [
        (8, 0, 0),
        (9, 1, 0),
        (10, 10, 2),
        (11, 0, 0),
        (12, 0, 0),
    ]


@BEFORE_AND_AFTER
def test_series_and_totals_agree_over_hours_and_days(web, three_weeks, is_rolled_up):
    if is_rolled_up:
        usage.rollup()

    for by in ("hour", "day"):
        series = usage.series(since=NOW - 20 * DAY, by=by, family=web.family)
        totals = usage.totals(since=series[0].at, family=web.family)
        assert sum(point.requests for point in series) == totals.requests == 13 * 21
        assert sum(point.denied for point in series) == totals.denied


@pytest.mark.parametrize(
    ("since", "hours"),
    [
        pytest.param(datetime(2026, 3, 28, 23, tzinfo=UTC), 23, id="spring"),
        pytest.param(datetime(2026, 10, 24, 22, tzinfo=UTC), 25, id="autumn"),
    ],
)
def test_series_knows_the_days_on_which_clocks_change(settings, time_machine, since, hours):
    settings.TIME_ZONE = "Europe/Berlin"
    time_machine.move_to(since + 2 * DAY, tick=False)

    by_hour = usage.series(since=since, until=since + hours * HOUR, by="hour")
    by_day = usage.series(since=since, until=since + hours * HOUR)

    assert len(by_hour) == len({point.at.astimezone(UTC) for point in by_hour}) == hours
    assert [point.at.astimezone(UTC) for point in by_day] == [since]


def test_series_of_many_families_is_one_query(web, bot, three_weeks, django_assert_num_queries):
    usage.rollup()

    with django_assert_num_queries(1):
        found = usage.series_of_families([web.family, bot.family, "nobody"], since=NOW - 13 * DAY)

    assert {family: sum(point.requests for point in series) for family, series in found.items()} == {
        web.family: 13 * 14,
        bot.family: 7 * 14,
        "nobody": 0,
    }
    assert {len(series) for series in found.values()} == {14}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        pytest.param("outcome", [("ok", 210, 0), ("key_invalid", 105, 105), ("key_expired", 84, 84)], id="outcome"),
        pytest.param("route", [("todo:list", 294, 0), ("todo:detail", 42, 42)], id="route"),
        pytest.param(
            "network",
            # 14 whole days of hours, and today.
            [("192.0.2.0/24", 18 * 15, 7 * 15), ("203.0.113.0/24", 4 * 15, 4 * 15), ("198.51.100.0/24", 3 * 15, 0)],
            id="network",
        ),
    ],
)
def test_top_over_all(three_weeks, by, expected):
    usage.rollup()

    found = usage.top(by, since=NOW - 30 * DAY, most=3)

    assert [(each.name, each.requests, each.denied) for each in found] == expected


def test_top_clients_and_keys_have_names_for_people(web, bot, three_weeks):
    newest = keys.rotate(APIKey.objects.get(pk=bot.pk)).key
    keys.edit(newest, name="New bot", note="")
    usage.rollup()

    by_client = usage.top("client", since=NOW - 30 * DAY)
    by_family = usage.top("family", since=NOW - 30 * DAY)

    assert [(each.name, each.label, each.requests, each.denied) for each in by_client] == [
        (web.client.client_id, "Web app", 273, 42),
        (bot.client.client_id, "Chat bot", 147, 84),
    ]
    assert [(each.name, each.label, each.requests) for each in by_family] == [
        (web.family, "Web", 273),
        (bot.family, "New bot", 147),
    ]


@BEFORE_AND_AFTER
@pytest.mark.parametrize("whose", ["family", "client_id"])
def test_top_of_one_key_or_client_is_fresh(web, three_weeks, whose, is_rolled_up):
    if is_rolled_up:
        usage.rollup()
    value = {"family": web.family, "client_id": web.client.client_id}[whose]

    found = {
        by: [(each.name, each.requests) for each in usage.top(by, since=NOW - 2 * HOUR, **{whose: value})]
        for by in ("route", "network", "outcome", "family", "client")
    }

    assert found == {
        "route": [("todo:list", 10), ("todo:detail", 2)],
        "network": [("192.0.2.0/24", 12)],
        "outcome": [("ok", 10), ("limited", 2)],
        "family": [(web.family, 12)],
        "client": [(web.client.client_id, 12)],
    }


def test_refusals_are_the_reasons_of_denials_the_most_frequent_first(three_weeks):
    usage.rollup()

    assert usage.refusals(since=NOW - 30 * DAY) == [("key_invalid", 105), ("key_expired", 84), ("limited", 42)]


WORDS = ["ok", "5xx", "limited", "scope_missing", "key_invalid", "ip_not_allowed", "wrong_mode", "new_word"]
WORDS += ["limits_unavailable", *(str(status) for status in range(400, 500))]


def test_database_and_python_agree_on_what_is_denied(web):
    UsageCount.objects.bulk_create(request_row(web, at=NOW, outcome=word) for word in WORDS)

    denied = UsageCount.objects.filter(_DENIED).values_list("outcome", flat=True)
    assert sorted(denied) == sorted(filter(outcomes.is_denied, WORDS))


@pytest.mark.parametrize(
    ("word", "denied", "failed"),
    [
        ("ok", False, False),
        ("404", False, False),
        ("400", False, False),
        ("401", True, False),
        ("403", True, False),
        ("limited", True, False),
        ("scope_missing", True, False),
        ("limits_unavailable", False, False),
        ("5xx", False, True),
        ("key_expired", True, False),
        ("a_word_of_tomorrow", True, False),
    ],
)
def test_outcomes_are_sorted_into_denied_failed_and_the_rest(word, denied, failed):
    assert (outcomes.is_denied(word), outcomes.is_failed(word)) == (denied, failed)


def test_counted_until_is_the_end_of_the_last_summed_hour(web):
    requests_with(web, at=NOW - 5 * HOUR)
    assert usage.counted_until() is None

    usage.rollup()

    assert usage.counted_until() == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_counted_until_where_only_days_are_left(web):
    requests_with(web, at=NOW - 30 * DAY)

    usage.rollup()

    assert usage.counted_until() == datetime(2026, 10, 24, tzinfo=UTC)


def test_usage_is_recorded_as_soon_as_anything_is_counted(web):
    assert not usage.is_recorded()

    requests_with(web, at=NOW)

    assert usage.is_recorded()


def test_last_uses_of_many_keys_are_one_query(web, bot, django_assert_num_queries):
    LastUse.objects.create(key_id=web.key_id, at=NOW, address="192.0.2.7", route="todo:list", method="GET")

    with django_assert_num_queries(1):
        found = usage.last_uses([web.key_id, bot.key_id])

    assert {key_id: (use.at, str(use.address)) for key_id, use in found.items()} == {web.key_id: (NOW, "192.0.2.7")}
    assert usage.last_use(bot.key_id) is None
    assert usage.last_use(web.key_id).route == "todo:list"


@pytest.mark.parametrize(
    ("ask", "queries"),
    [
        pytest.param(lambda: usage.totals(since=NOW - 90 * DAY), 1, id="totals"),
        pytest.param(lambda: usage.series(since=NOW - 90 * DAY), 1, id="series"),
        pytest.param(lambda: usage.top("client", since=NOW - 90 * DAY), 2, id="top"),
        pytest.param(lambda: usage.refusals(since=NOW - 90 * DAY), 1, id="refusals"),
        pytest.param(usage.counted_until, 1, id="counted until"),
        pytest.param(usage.is_recorded, 1, id="is recorded"),
        pytest.param(usage.unneeded_scopes, 5, id="unneeded scopes"),
    ],
)
def test_questions_cost_few_queries(three_weeks, ask, queries, django_assert_max_num_queries):
    usage.rollup()

    with django_assert_max_num_queries(queries):
        ask()
