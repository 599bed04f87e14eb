"""``manage.py rollup_usage``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys.models import Grain, UsageCount
from apikeys.testing import make_key
from tests.commands import run
from tests.usage_rows import requests_with

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(db):
    return make_key().key


def test_command_says_what_it_summed(key, time_machine):
    time_machine.move_to(NOW)
    requests_with(key, at=NOW - 2 * HOUR)
    requests_with(key, at=NOW - 20 * DAY)

    result = run("rollup_usage")

    assert (result.code, result.out, result.err) == (0, "", "Summed 2 hours and 1 day.\n")


def test_command_as_json(key, time_machine):
    time_machine.move_to(NOW)
    requests_with(key, at=NOW - 2 * HOUR)

    assert run("rollup_usage", "--json").json == {
        "schema": 1,
        "command": "rollup_usage",
        "dry_run": False,
        "counts": {"hours": 1, "days": 0, "rows_read": 1, "rows_written": 4, "rows_deleted": 0},
    }


def test_command_has_nothing_to_say_to_cron(key, time_machine):
    time_machine.move_to(NOW)
    requests_with(key, at=NOW - 2 * HOUR)

    result = run("rollup_usage", "--verbosity", "0")

    assert (result.code, result.out, result.err) == (0, "", "")
    assert UsageCount.objects.filter(grain=Grain.HOUR).exists()


def test_command_does_nothing_where_nothing_is_due(db):
    assert run("rollup_usage").err == "Nothing was due.\n"


def test_dry_run_says_what_is_due_and_changes_nothing(key, time_machine):
    time_machine.move_to(NOW)
    requests_with(key, at=NOW - 2 * HOUR)

    result = run("rollup_usage", "--dry-run")

    assert "Would sum 1 hour and 0 days." in result.err
    assert UsageCount.objects.get().grain == Grain.RAW
