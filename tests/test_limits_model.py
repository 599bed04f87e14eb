"""Rates against a model that adds up on paper."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
import time_machine
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apikeys import limits
from apikeys.core import errors
from apikeys.limits import storage
from apikeys.limits.windows import sliding

from .limited import admitted, caller, is_admitted, refusal_of, with_settings

#: Ahead of the clock: between two steps, a thread of the library's memory forgets what is over by the real one.
START = datetime(2100, 11, 20, tzinfo=UTC)
#: Eighths of a second, and windows of powers of two, so that no sum is rounded on the way.
EIGHTH = timedelta(seconds=0.125)

traces = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 4)), min_size=1, max_size=60)


class Model:
    """A window that slides: what the window before counted, by the share of it that still overlaps, and this one."""

    def __init__(self, amount, seconds):
        self.amount, self.seconds = amount, seconds
        self.counts = defaultdict(int)

    def used(self, at):
        number, into = divmod(at, self.seconds)
        overlap = 1 - Fraction(into) / self.seconds
        return math.floor(self.counts[number - 1] * overlap) + self.counts[number]

    def has(self, cost, *, at):
        return self.used(at) + cost <= self.amount

    def spend(self, cost, *, at):
        self.counts[at // self.seconds] += cost


@pytest.fixture
def memory(settings):
    with_settings(settings, LIMITS_STORAGE="memory://")


@pytest.mark.usefixtures("memory")
@hypothesis_settings(max_examples=150, deadline=None)
@given(trace=traces, amounts=st.tuples(st.integers(1, 12), st.integers(1, 40), st.integers(1, 60)))
def test_any_trace_is_admitted_as_on_paper(trace, amounts):
    models = [Model(amount, seconds) for amount, seconds in zip(amounts, (8, 64, 1024), strict=True)]
    who = caller(*(f"{model.amount}/{model.seconds}s" for model in models))
    now = START

    for gap, cost in trace:
        now += gap * EIGHTH
        at = Fraction(int((now - START) / EIGHTH), 8) + int(START.timestamp())
        with time_machine.travel(now, tick=False):
            try:
                standings = limits.spend(who, cost=cost)
            except errors.LimitExceededError as error:
                assert not all(model.has(cost, at=at) for model in models)
                standings, wait = error.standings, error.retry_after_seconds
                # A request that costs more than there ever is has nothing to wait for.
                assert any(cost > model.amount for model in models) or all(
                    model.has(cost, at=at + wait) for model in models
                )
            else:
                assert all(model.has(cost, at=at) for model in models)
                for model in models:
                    model.spend(cost, at=at)
        assert [standing.remaining for standing in standings] == [
            max(0, model.amount - model.used(at)) for model in models
        ]


@pytest.mark.redis
@hypothesis_settings(max_examples=50, deadline=None)
@given(costs=st.lists(st.integers(1, 5), max_size=30), amounts=st.tuples(st.integers(1, 20), st.integers(1, 60)))
def test_redis_admits_any_costs_as_on_paper(costs, amounts):
    who = caller(f"{amounts[0]}/h", f"{amounts[1]}/day")
    spent = 0

    for cost in costs:
        fits = spent + cost <= min(amounts)
        assert is_admitted(who, cost=cost) is fits
        spent += cost if fits else 0


@pytest.mark.redis
@pytest.mark.parametrize(
    ("minutes_left", "admitted_then"),
    [
        # Of two hours that the counter of a window of an hour is kept.
        pytest.param(119, 0, id="a minute later"),
        pytest.param(59.9, 1, id="at the turn of the window"),
        pytest.param(30.1, 5, id="in the middle of the next"),
        pytest.param(0.1, 10, id="at its end"),
        pytest.param(0, 10, id="two hours later"),
    ],
)
def test_redis_lets_the_window_before_fade(minutes_left, admitted_then):
    who = caller("10/h")
    assert admitted(who, hits=20) == 10

    # Redis has a clock of its own, so that time passes by what is left of the counter.
    def pass_time(found):
        redis = found.get_connection()
        [name] = redis.keys(f"{found.key_prefix}:{{rate/{who.family}/3600}}")
        return redis.pexpire(name, int(minutes_left * 60_000))

    assert storage.ask(pass_time)
    assert admitted(who, hits=20) == admitted_then


@pytest.mark.redis
@pytest.mark.parametrize("cost", [1, 4, 10])
def test_redis_tells_honestly_how_long_to_wait(cost):
    who = caller("10/h")
    limits.spend(who, cost=10)

    wait = refusal_of(who, cost=cost).retry_after_seconds

    def pass_time(found):
        redis = found.get_connection()
        [name] = redis.keys(f"{found.key_prefix}:{{rate/{who.family}/3600}}")
        return redis.pexpire(name, redis.pttl(name) - wait * 1000)

    assert storage.ask(pass_time)
    assert is_admitted(who, cost=cost)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("rates", "interval"),
    [
        pytest.param(["10/s"], 0.101, id="10/s"),
        pytest.param(["60/min"], 1.01, id="60/min"),
        pytest.param(["20/s", "600/min"], 0.101, id="two rates"),
        pytest.param(["1/min"], 60.6, id="1/min"),
        pytest.param(["100/h"], 36.36, id="100/h"),
        pytest.param(["2/day"], 43_632, id="2/day"),
    ],
)
@pytest.mark.parametrize("phase", [0, 0.3, 17.9])
def test_a_steady_caller_under_its_limit_is_never_refused(rates, interval, phase):
    who = caller(*rates)
    start = START + timedelta(seconds=phase)

    refused = 0
    for number in range(400):
        with time_machine.travel(start + number * timedelta(seconds=interval), tick=False):
            refused += not is_admitted(who)

    assert refused == 0


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("strategy", ["sliding-window-counter", "moving-window", "fixed-window"])
@pytest.mark.parametrize("cost", [1, 3])
def test_the_same_request_passes_after_the_time_that_a_refusal_names(settings, strategy, cost):
    with_settings(settings, LIMITS_STRATEGY=strategy)
    who = caller("7/min")
    now = START + timedelta(seconds=11)

    for _ in range(30):
        with time_machine.travel(now, tick=False):
            while is_admitted(who, cost=cost):
                pass
            wait = refusal_of(who, cost=cost).retry_after_seconds
            assert wait is not None
        now += timedelta(seconds=wait)
        with time_machine.travel(now, tick=False):
            assert is_admitted(who, cost=cost)


counts = st.integers(0, 1000)


@given(amount=st.integers(1, 1000), cost=st.integers(1, 1000), previous=counts, current=counts, into=st.integers(0, 59))
def test_no_shorter_wait_than_the_one_named_would_do(amount, cost, previous, current, into):
    def reading(wait):
        # Seconds into the window, and how much each counter counts then.
        at = into + wait
        if at < 60:
            return {"previous": previous, "previous_left": 60 - at, "current": current, "current_left": 120 - at}
        return {"previous": current, "previous_left": max(0, 120 - at), "current": 0, "current_left": 0}

    def is_enough(wait):
        return sliding(amount, length=60, cost=cost, **reading(wait)).is_enough

    found = sliding(amount, length=60, cost=cost, **reading(0))

    if found.is_enough or cost > amount:
        return
    assert is_enough(found.reset_seconds)
    assert not is_enough(max(0, found.reset_seconds - 0.002))
