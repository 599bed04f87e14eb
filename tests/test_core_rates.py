"""Rates and quotas as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys.core import rates
from apikeys.core.errors import RateSyntaxError
from apikeys.core.rates import Quota, Rate

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/s", Rate(seconds=1, amount=20)),
        ("20/sec", Rate(seconds=1, amount=20)),
        ("20/second", Rate(seconds=1, amount=20)),
        ("600/min", Rate(seconds=60, amount=600)),
        ("600/m", Rate(seconds=60, amount=600)),
        ("600/minute", Rate(seconds=60, amount=600)),
        ("5000/h", Rate(seconds=3600, amount=5000)),
        ("5000/hour", Rate(seconds=3600, amount=5000)),
        ("10000/day", Rate(seconds=86400, amount=10000)),
        ("10000/d", Rate(seconds=86400, amount=10000)),
        ("5/10s", Rate(seconds=10, amount=5)),
        ("5/90min", Rate(seconds=5400, amount=5)),
        ("1/31day", Rate(seconds=31 * 86400, amount=1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rate_is_read(text, rate):
    assert rates.parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        *["", "600", "/min", "min", "600/", "0/min", "5/0s", "-5/min", "6e2/min", "1.5/s", "600/MIN", "600 /min"],
        *["600/fortnight", "600/month", "600/min\n", "٦٠٠/min", "1/32day", "1/99999s99", "5/123456s"],
        "1" * 13 + "/min",
    ],
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(RateSyntaxError) as refused:
        rates.parse_rate(text)

    assert refused.value.text == text


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("100000/month", Quota(period="month", amount=100_000)),
        ("5000/day", Quota(period="day", amount=5000)),
        ("5000/d", Quota(period="day", amount=5000)),
    ],
    ids=["month", "day", "short"],
)
def test_quota_is_read(text, quota):
    assert rates.parse_quota(text) == quota


@pytest.mark.parametrize("text", ["100000/min", "0/month", "5/2month", "100000", "5/0day", "many/month"])
def test_what_is_no_quota_is_refused(text):
    with pytest.raises(RateSyntaxError):
        rates.parse_quota(text)


@given(st.text(max_size=20))
def test_any_text_is_a_rate_or_a_rate_syntax_error(text):
    try:
        rate = rates.parse_rate(text)
    except RateSyntaxError:
        return

    assert rate.amount > 0
    assert rate.seconds > 0


@given(st.integers(1, 10**12 - 1), st.integers(1, 31 * 86400))
def test_rate_is_written_as_it_is_read(amount, seconds):
    rate = Rate(seconds=seconds, amount=amount)

    # Nobody writes more than five digits before a unit.
    if len(str(rate).partition("/")[2].rstrip("daysminh")) <= 5:
        assert rates.parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    ("rate", "name"),
    [("20/s", "second"), ("5/10s", "10-second"), ("600/min", "minute"), ("60/60min", "hour"), ("9/2day", "2-day")],
    ids=["second", "seconds", "minute", "sixty minutes", "days"],
)
def test_window_has_a_name(rate, name):
    assert rates.parse_rate(rate).name == name


def test_quota_has_a_name():
    assert rates.parse_quota("5/month").name == "quota-month"


def test_smallest_amount_of_each_window_counts():
    strictest = rates.strictest_rates(("600/min", "100/s"), ("300/min",), ("20/s", "1000/day"))

    assert [str(rate) for rate in strictest] == ["20/s", "300/min", "1000/day"]


def test_smallest_amount_of_each_period_counts():
    strictest = rates.strictest_quotas(("100/month",), ("200/month", "50/day"), ())

    assert [str(quota) for quota in strictest] == ["50/day", "100/month"]


def test_nothing_named_limits_nothing():
    assert rates.strictest_rates((), (), ()) == ()
    assert rates.strictest_quotas((), (), ()) == ()


def test_lines_are_stored_in_one_writing():
    assert rates.normalise_rates([" 600 / Minute ", "", "20/sec", "700/min"]) == ["20/s", "600/min"]
    assert rates.normalise_quotas(["", "5000 / DAY"]) == ["5000/day"]


@pytest.mark.parametrize(
    ("period", "now", "start", "end"),
    [
        ("day", "2026-11-22T23:59:59", "2026-11-22", "2026-11-23"),
        ("day", "2026-12-31T00:00:00", "2026-12-31", "2027-01-01"),
        ("month", "2026-11-22T12:00:00", "2026-11-01", "2026-12-01"),
        ("month", "2026-12-31T23:59:00", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        ("month", "2026-01-01T00:00:00", "2026-01-01", "2026-02-01"),
    ],
    ids=["a day", "the last day of a year", "a month", "the last month of a year", "a leap day", "its first instant"],
)
def test_period_is_one_of_the_calendar(period, now, start, end):
    assert rates.period_start(period, now=in_utc(now)) == in_utc(start)
    assert rates.period_end(period, now=in_utc(now)) == in_utc(end)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)], ids=["clocks go forward", "clocks go back"]
)
def test_day_is_as_long_as_the_clock_makes_it(day, hours):
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=BERLIN)

    start, end = (edge("day", now=noon) for edge in (rates.period_start, rates.period_end))

    assert (end.astimezone(UTC) - start.astimezone(UTC)).total_seconds() == hours * 3600


def in_utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
