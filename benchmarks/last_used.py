"""
What ``last_used_at`` costs: processes that use one key for a while, over the end of a minute, and revoke it.

``python -m benchmarks.last_used --seconds 30 --processes 8`` needs PostgreSQL, found as in the settings of the test
suite, makes a database of its own there and prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import timedelta
from typing import Any

import django

#: The minute ends after this share of the run.
_MINUTE_ENDS_AT = 0.5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=8)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.last_used_settings"
    os.environ.setdefault("APIKEYS_TEST_DATABASE", "postgres")
    django.setup()
    from django.db import connection
    from django.test.utils import setup_databases, teardown_databases

    if connection.vendor != "postgresql":
        sys.exit("This asks PostgreSQL who waits for a lock: set APIKEYS_TEST_DATABASE=postgres.")
    made = setup_databases(verbosity=0, interactive=False)
    try:
        figures = measure(seconds=options.seconds, processes=options.processes)
    finally:
        teardown_databases(made, verbosity=0)
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")


def measure(*, seconds: float, processes: int) -> dict[str, Any]:
    """Return what *processes* that use one key for *seconds* did to its row, and who waited for a lock."""
    from django.utils import timezone

    from apikeys import keys
    from apikeys.models import LAST_USED_ACCURACY
    from apikeys.testing import WorkerProcesses, cheap_hashes, make_key
    from tests.row_changes import lock_waits, row_changes

    with cheap_hashes(), WorkerProcesses(processes, timeout_seconds=seconds + 60) as workers:
        issued = make_key()
        noted_at = timezone.now() - LAST_USED_ACCURACY + timedelta(seconds=seconds * _MINUTE_ENDS_AT)
        keys.record_use(issued.key.pk, at=noted_at)
        with row_changes() as changes, lock_waits() as seen:
            with workers.hammering("/apikeys/whoami/", issued) as proof:
                used = proof.finish(within=timedelta(seconds=seconds))
            with workers.hammering("/apikeys/whoami/", issued) as proof:
                began = time.monotonic()
                keys.revoke(issued.key, reason="other", note="measured")
                revoked_in = time.monotonic() - began
                stopped = proof.finish()
            updates = changes.of(issued.key)
    return {
        "seconds": seconds,
        "processes": processes,
        "requests": used.requests,
        "slowest_request_ms": round(used.slowest / timedelta(milliseconds=1), 1),
        "updates": len(updates),
        "backwards_moves": sum(before is not None and after <= before for before, after in updates),
        "lock_samples": seen.samples,
        "lock_waits": seen.waiting,
        "revoke_ms": round(revoked_in * 1000, 1),
        "last_admitted_after_revoke_ms": round(stopped.last_admitted / timedelta(milliseconds=1), 1),
    }


if __name__ == "__main__":
    main()
