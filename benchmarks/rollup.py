"""
What a roll-up costs: rows as processes write them, made by the database, summed into hours and days.

``python -m benchmarks.rollup --rows 10000000`` needs PostgreSQL, found as in the settings of the test suite, makes a
database of its own there and prints a table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

from .findings import Findings, add_options, tell
from .targets import Target

_DAYS = 30
_FAMILIES = 10_000
_ROUNDS = 7

#: One row in twenty was denied; each family calls five routes from one of 500 networks.
_FILL = """
    INSERT INTO apikeys_usagecount
        (level, grain, bucket, family, key_id, client_id, route, method, outcome, scopes, network, count, last_at)
    SELECT 'request', 0, date_trunc('hour', %(now)s::timestamptz - (n %% %(hours)s) * interval '1 hour'),
        'family' || lpad(((n * 7919) %% %(families)s)::text, 6, '0'),
        'family' || lpad(((n * 7919) %% %(families)s)::text, 6, '0'),
        'client' || ((n * 7919) %% %(families)s) / 100,
        'todo:route-' || n %% 5, 'GET', CASE WHEN n %% 20 = 0 THEN 'limited' ELSE 'ok' END, 'todo:read',
        '192.0.' || n %% 500 || '.0/24', 1 + n %% 9, %(now)s::timestamptz - (n %% %(hours)s) * interval '1 hour'
    FROM generate_series(1, %(rows)s::bigint) AS n
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).strip().splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    add_options(parser)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.last_used_settings"
    os.environ.setdefault("APIKEYS_TEST_DATABASE", "postgres")
    django.setup()
    from django.db import connection
    from django.test.utils import setup_databases, teardown_databases

    if connection.vendor != "postgresql":
        sys.exit("The rows are made by PostgreSQL: set APIKEYS_TEST_DATABASE=postgres.")
    made = setup_databases(verbosity=0, interactive=False)
    try:
        figures = measure(rows=options.rows)
    finally:
        teardown_databases(made, verbosity=0)
    found = Findings(
        name="rollup",
        title=f"rollup_usage over {options.rows:,} rows of {_DAYS} days on PostgreSQL, and questions of its sums",
        columns=("", ""),
        rows=[
            ("took", f"{figures['seconds']:,} s, {figures['rows_per_second']:,} rows a second"),
            ("longest transaction", f"{figures['longest_transaction_seconds']} s"),
            ("rows left", f"{figures['rows_left']:,}"),
            *((name, f"{milliseconds} ms") for name, milliseconds in figures["milliseconds"].items()),
        ],
        targets=[
            Target(
                subject="rollup_usage",
                figure="requests in its sums less those in the rows",
                limit=0,
                measured=figures["requests_gained"],
                kind="exactly",
            )
        ],
    )
    tell([found], options)


def measure(*, rows: int) -> dict[str, Any]:
    """Return what it costs to sum *rows* of 30 days, and what questions cost afterwards."""
    from django.db import connection
    from django.db.models import Sum
    from django.utils import timezone

    from apikeys import usage
    from apikeys.models import Level, UsageCount
    from apikeys.usage.rollup import steps

    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"now": now, "hours": _DAYS * 24, "families": _FAMILIES, "rows": rows})
        cursor.execute("VACUUM ANALYZE apikeys_usagecount")
    counted = UsageCount.objects.filter(level__in=(Level.REQUEST, Level.REFUSAL))
    before = counted.aggregate(sum=Sum("count"))["sum"]
    began, longest, last, done = time.monotonic(), 0.0, time.monotonic(), usage.RolledUp()
    for done in steps(now=now):  # noqa: B007  # the last one has all
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    took = time.monotonic() - began
    after = counted.aggregate(sum=Sum("count"))["sum"]
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE apikeys_usagecount")
    since, family = now - timedelta(days=_DAYS), "family000001"
    some = [f"family{number:06}" for number in range(100)]
    return {
        "rows": rows,
        "requests_gained": after - before,
        "seconds": round(took, 1),
        "rows_per_second": round(done.rows_read / took),
        "longest_transaction_seconds": round(longest, 2),
        "hours": done.hours,
        "days": done.days,
        "rows_left": UsageCount.objects.count(),
        "milliseconds": {
            "totals over all": _median(lambda: usage.totals(since=since)),
            "series over all": _median(lambda: usage.series(since=since)),
            "top clients": _median(lambda: usage.top("client", since=since)),
            "top keys": _median(lambda: usage.top("family", since=since)),
            "series of a key": _median(lambda: usage.series(since=since, family=family)),
            "top routes of a key": _median(lambda: usage.top("route", since=since, family=family)),
            "14 days of 100 keys": _median(lambda: usage.series_of_families(some, since=now - timedelta(days=13))),
        },
    }


def _median(ask: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1000, 1)


if __name__ == "__main__":
    main()
