from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import override_settings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apikeys import counting, quotas
from apikeys.core.rates import Quota
from apikeys.models import QuotaLedger
from apikeys.quotas import leases

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
PROCESSES = 3

spends = st.tuples(st.just("spend"), st.integers(0, PROCESSES - 1), st.integers(1, 9))
undoes = st.tuples(st.just("undo"), st.integers(0, PROCESSES - 1), st.just(0))
ends = st.tuples(st.just("end"), st.integers(0, PROCESSES - 1), st.just(0))
#: To another day of the same month or of the next one.
passes = st.tuples(st.just("pass"), st.just(0), st.integers(6, 30))
limits = st.tuples(st.just("limit"), st.integers(0, 1), st.integers(1, 60))


class Model:
    """What was spent of each day and month, as plainly as it can be written."""

    def __init__(self) -> None:
        self.spent: dict[object, int] = {}
        self.now = NOON

    def periods(self):
        return {"day": self.now.date(), "month": (self.now.year, self.now.month)}

    def has_left(self, asked, *, cost):
        periods = self.periods()
        return all(self.spent.get(periods[quota.period], 0) + cost <= quota.amount for quota in asked)

    def add(self, periods, cost):
        for period in periods.values():
            self.spent[period] = self.spent.get(period, 0) + cost


class Process:
    """What one process has in memory, put into the place of this one's."""

    def __init__(self, patch) -> None:
        self.patch = patch
        self.leases: dict[object, object] = {}
        self.admitted: list[object] = []

    def __enter__(self):
        self.patch.setattr(leases, "_leases", self.leases)
        return self

    def __exit__(self, *exception):
        self.patch.undo()


def amounts(limits_of):
    return (Quota(period="day", amount=limits_of[0]), Quota(period="month", amount=limits_of[1]))


#: What a refused request puts back must not be spent again where a lower quota has no room for it any more.
LOWERED_AND_UNDONE = [
    ("spend", 0, 1),
    ("spend", 1, 1),
    ("limit", 0, 1),
    ("spend", 1, 1),
    ("undo", 1, 0),
    ("spend", 1, 1),
]


@pytest.mark.parametrize("block", [1, 10])
@given(trace=st.lists(st.one_of(spends, spends, spends, undoes, ends, passes, limits), max_size=40))
@example(trace=LOWERED_AND_UNDONE)
@settings(max_examples=30, deadline=None)
def test_any_trace_admits_what_a_plain_count_would(block, trace):
    with (
        override_settings(APIKEYS={**django_settings.APIKEYS, "QUOTA_BLOCK": block}),
        pytest.MonkeyPatch.context() as patch,
        pytest.MonkeyPatch.context() as leases_patch,
    ):
        patch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
        patch.setattr(leases, "_REFUSED_SECONDS", 0.0)
        QuotaLedger.objects.all().delete()
        model = Model()
        processes = [Process(leases_patch) for _ in range(PROCESSES)]
        most = [30, 50]
        for action, number, value in trace:
            if action == "pass":
                model.now += timedelta(hours=value)
            elif action == "limit":
                most[number] = value
            else:
                with processes[number] as process:
                    play(action, process, model, amounts(most), cost=value, is_exact=block == 1)
        for process in processes:
            with process:
                counting.shut_down()

        ledger = {(row.period, row.starts_at): row.taken for row in QuotaLedger.objects.all() if row.taken}
        assert sorted(ledger.values()) == sorted(count for count in model.spent.values() if count)


def play(action, process, model, asked, *, cost, is_exact):
    if action == "end":
        counting.shut_down()
    elif action == "undo" and process.admitted:
        taken, periods, its_cost = process.admitted.pop()
        quotas.give_back(taken)
        model.add(periods, -its_cost)
    elif action == "spend":
        may = model.has_left(asked, cost=cost)
        taken = quotas.take("family", asked, cost=cost, now=model.now)
        # Units that lie in another process may be missed, never spent twice.
        assert taken.is_admitted == may if is_exact else taken.is_admitted <= may
        if taken.is_admitted:
            model.add(model.periods(), cost)
            process.admitted.append((taken, model.periods(), cost))
