"""
Measure the commands that work on many keys, on PostgreSQL, in processes of their own.

    python -m benchmarks.commands expire --keys 1000000
    python -m benchmarks.commands beside --keys 100000
    python -m benchmarks.commands rotate --keys 100000
    python -m benchmarks.commands cores --keys 2000

Each makes its database afresh (``--database``, on the server of the test suite's ``APIKEYS_TEST_DATABASE_…``) and
prints JSON. Memory is the peak of the command's process, beside that of a run with nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

CHEAP_ARGON2 = {"memory_kib": 8, "time": 1, "parallelism": 1}
#: Each mode of ``cores`` takes its keys in so many turns, so that what else the machine does meets both.
_TURNS = 20
_CLIENTS = 50
_KIB_IN_MIB = 1024


def main() -> None:
    """Run the measurement that the command line names, or what one of them runs in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurement", choices=[*_MEASUREMENTS, "prepare", "run", "revoke", "audit"])
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--database", default="apikeys_benchmark_commands")
    parser.add_argument("--kind", choices=["due", "working"], help=argparse.SUPPRESS)
    parser.add_argument("--apikeys", type=json.loads, default={}, help=argparse.SUPPRESS)
    parser.add_argument("--argv", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measurement in _MEASUREMENTS:
        # Without Django here: a process that is forked off counts its parent's memory as its own.
        _print(_MEASUREMENTS[options.measurement](options.keys, options.database))
        return
    _configure(options.database, apikeys=options.apikeys)
    if options.measurement == "prepare":
        _prepare(options.kind, keys=options.keys)
    elif options.measurement == "run":
        _run(options.argv)
    else:
        _print(_revoke() if options.measurement == "revoke" else _audit())


def expire(keys: int, database: str) -> dict[str, Any]:
    """Measure ``expire_keys`` over so many due *keys*, beside a quarter as many that are not due."""
    _in_process("prepare", database, "--kind", "due", "--keys", "0")
    empty = _command(database, "expire_keys", "--verbosity", "0")
    _in_process("prepare", database, "--kind", "due", "--keys", str(keys))
    return _figures(keys, empty=empty, full=_command(database, "expire_keys"))


def beside(keys: int, database: str) -> dict[str, Any]:
    """Let two ``expire_keys`` share so many due *keys* while somebody revokes some, and look at what is left."""
    _in_process("prepare", database, "--kind", "due", "--keys", str(keys))
    revoking = _started("revoke", database)
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _: _command(database, "expire_keys"), range(2)))
    revoking.terminate()
    return {
        "keys": keys,
        "seconds": [round(run["seconds"], 1) for run in runs],
        "rows_of_each_run": [run["lines_on_stdout"] - 1 for run in runs],
        "transaction_ms": [run["transaction_ms"] for run in runs],
        "revoked_meanwhile": json.loads(revoking.communicate()[0]),
        **json.loads(_in_process("audit", database, stdout=subprocess.PIPE).stdout),
    }


def rotate(keys: int, database: str) -> dict[str, Any]:
    """Measure ``rotate_keys`` over so many *keys* with a hash that costs next to nothing."""
    _in_process("prepare", database, "--kind", "working", "--keys", "0")
    empty = _rotation(database, ARGON2=CHEAP_ARGON2)
    _in_process("prepare", database, "--kind", "working", "--keys", str(keys))
    return _figures(keys, empty=empty, full=_rotation(database, ARGON2=CHEAP_ARGON2))


def cores(keys: int, database: str) -> dict[str, Any]:
    """Measure ``rotate_keys`` over so many *keys* with one hash at a time, and over as many with one on each core."""
    _in_process("prepare", database, "--kind", "working", "--keys", "0")
    empty = _rotation(database)
    _in_process("prepare", database, "--kind", "working", "--keys", str(2 * keys))
    limit = ("--limit", str(keys // _TURNS))
    turns: dict[str, list[dict[str, Any]]] = {"one": [], "all": []}
    for _ in range(_TURNS):
        turns["one"].append(_rotation(database, *limit, CONCURRENT_HASHES=1))
        turns["all"].append(_rotation(database, *limit))
    done = keys // _TURNS * _TURNS
    seconds = {mode: sum(turn["seconds"] for turn in each) for mode, each in turns.items()}
    return {
        "keys": done,
        "cores": len(os.sched_getaffinity(0)),
        "seconds": {mode: round(each, 1) for mode, each in seconds.items()},
        "keys_per_second": {mode: round(done / each, 1) for mode, each in seconds.items()},
        "ratio": round(seconds["one"] / seconds["all"], 2),
        "ratios_of_turns": sorted(
            round(one["seconds"] / every["seconds"], 2) for one, every in zip(turns["one"], turns["all"], strict=True)
        ),
        "cpu_seconds": {mode: round(sum(turn["cpu_seconds"] for turn in each), 1) for mode, each in turns.items()},
        "peak_mib": {mode: round(max(turn["peak_mib"] for turn in each), 1) for mode, each in turns.items()},
        "peak_mib_of_an_empty_run": round(empty["peak_mib"], 1),
    }


_MEASUREMENTS = {"expire": expire, "beside": beside, "rotate": rotate, "cores": cores}


def _figures(keys: int, *, empty: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    return {
        "keys": keys,
        "seconds": round(full["seconds"], 1),
        "cpu_seconds": round(full["cpu_seconds"], 1),
        "keys_per_second": round(keys / full["seconds"], 1),
        "peak_mib": round(full["peak_mib"], 1),
        "peak_mib_of_an_empty_run": round(empty["peak_mib"], 1),
        "grown_mib": round(full["peak_mib"] - empty["peak_mib"], 1),
        "transactions": full["transactions"],
        "transaction_ms": full["transaction_ms"],
        "lines_on_stdout": full["lines_on_stdout"],
        "remarks": full["remarks"],
    }


def _rotation(database: str, *options: str, **apikeys: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "new-keys.jsonl"
        chosen = ("--older-than", "30d", "--no-input", "--output", str(output), *options)
        return _command(database, "rotate_keys", *chosen, apikeys=apikeys)


def _command(database: str, *argv: str, apikeys: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run the command *argv* as cron does, rows to a file, and return what its process says of itself."""
    with tempfile.TemporaryFile("w+") as rows:
        ended = _in_process(
            "run", database, "--apikeys", json.dumps(apikeys or {}), "--argv", json.dumps(argv), stdout=rows
        )
        rows.seek(0)
        lines = sum(1 for _ in rows)
    *remarks, figures = ended.stderr.splitlines()
    return {**json.loads(figures), "lines_on_stdout": lines, "remarks": remarks}


def _in_process(step: str, database: str, *argv: str, stdout: Any = None) -> subprocess.CompletedProcess[str]:
    process = _started(step, database, *argv, stdout=stdout)
    out, err = process.communicate()
    if process.returncode:
        sys.exit(err)
    return subprocess.CompletedProcess(process.args, 0, out, err)


def _started(step: str, database: str, *argv: str, stdout: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.commands", step, "--database", database, *argv]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)  # noqa: S603  # ours


def _run(argv: list[str]) -> None:
    import resource

    from django.core.management import call_command

    with _timed_transactions() as transactions:
        began = time.perf_counter()
        call_command(*argv)
        seconds = time.perf_counter() - began
    sys.stdout.flush()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / _KIB_IN_MIB,
        **transactions,
    }
    sys.stderr.write(json.dumps(figures) + "\n")


def _revoke() -> dict[str, Any]:
    """Revoke due keys until somebody terminates this process, and return how long that took."""
    import signal

    from apikeys import keys
    from apikeys.core.errors import AlreadyRevokedError

    is_over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: is_over.set())
    seconds: list[float] = []
    while not is_over.wait(timeout=0.02):
        # What is about to be recorded: those that a batch may hold at this moment.
        if not (due := keys.due_to_expire(batch_size=2_000)):
            continue
        key = random.choice(due)
        began = time.perf_counter()
        with suppress(AlreadyRevokedError):
            keys.revoke(key, reason="unneeded")
        seconds.append(time.perf_counter() - began)
    return {
        "keys": len(seconds),
        "median_ms": round(1000 * median(seconds or [0]), 1),
        "longest_ms": round(1000 * max(seconds, default=0), 1),
    }


def _audit() -> dict[str, int]:
    """Return what the history says, which must be once for each key, and never after its revocation."""
    from django.db.models import Count, F

    from apikeys import keys
    from apikeys.models import KeyEvent

    expired = KeyEvent.objects.filter(kind="expired")
    twice = expired.order_by().values("key").annotate(times=Count("pk")).filter(times__gt=1)
    return {
        "recorded": expired.count(),
        "recorded_twice": twice.count(),
        "recorded_after_their_revocation": expired.filter(key__revocation__at__lt=F("at")).count(),
        "still_due": keys.count_due_to_expire(),
    }


@contextmanager
def _timed_transactions() -> Iterator[dict[str, Any]]:
    """Count the transactions of this process, and find how long they take."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    found: dict[str, Any] = {}
    seconds = array("d")
    original = BaseDatabaseWrapper.set_autocommit
    began: float | None = None

    def timed(self: Any, autocommit: bool, **options: Any) -> None:  # noqa: FBT001  # Django's signature
        nonlocal began
        if autocommit and began is not None:
            seconds.append(time.perf_counter() - began)
        began = None if autocommit else time.perf_counter()
        original(self, autocommit, **options)

    BaseDatabaseWrapper.set_autocommit = timed  # type: ignore[method-assign,assignment]  # it is what is measured
    try:
        yield found
    finally:
        BaseDatabaseWrapper.set_autocommit = original  # type: ignore[method-assign]  # as it was
        in_order = sorted(seconds) or [0.0]
        found["transactions"] = len(seconds)
        found["transaction_ms"] = {
            name: round(1000 * in_order[int(share * (len(in_order) - 1))], 1)
            for name, share in [("median", 0.5), ("99 of 100", 0.99), ("longest", 1)]
        }


def _configure(database: str, *, apikeys: dict[str, Any]) -> None:
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": database,
                "HOST": os.environ.get("APIKEYS_TEST_DATABASE_HOST", "127.0.0.1"),
                "PORT": os.environ.get("APIKEYS_TEST_DATABASE_PORT", "5432"),
                "USER": os.environ.get("APIKEYS_TEST_DATABASE_USER", "postgres"),
                "PASSWORD": os.environ.get("APIKEYS_TEST_DATABASE_PASSWORD", ""),
            }
        },
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "apikeys"],
        APIKEYS={"SCOPES": {"todo:read": "View to-dos", "todo:write": "Change to-dos"}, **apikeys},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="signs nothing",  # noqa: S106  # and so is none
        USE_TZ=True,
    )
    django.setup()


def _prepare(kind: str, *, keys: int) -> None:
    """Make the database afresh, with so many *keys* that are due to expire, or that work."""
    from django.core.management import call_command
    from django.db import connection

    with connection._nodb_cursor() as cursor:  # noqa: SLF001  # as the test runner does
        cursor.execute(f"DROP DATABASE IF EXISTS {connection.ops.quote_name(connection.settings_dict['NAME'])}")
        cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(connection.settings_dict['NAME'])}")
    call_command("migrate", verbosity=0)
    _make_holders()
    ages = {"due": [("-100 days", "-1 hour", keys), ("-1 day", "90 days", keys // 4)]}
    ages["working"] = [("-60 days", "30 days", keys)]
    with connection.cursor() as cursor:
        # All that is referred to exists, and asking for each row would be most of the work.
        cursor.execute("SET session_replication_role = replica")
        first = 0
        for created, expires, rows in ages[kind]:
            cursor.execute(_ROWS, {"first": first, "last": first + rows, "created": created, "expires": expires})
            first += rows
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")


def _make_holders() -> None:
    from django.contrib.auth import get_user_model

    from apikeys import clients, tag_secrets

    people = get_user_model()._default_manager
    for number in range(_CLIENTS):
        clients.create(name=f"Client {number}", allowed_scopes=["todo:read", "todo:write"])
        people.create(username=f"person-{number}")
    tag_secrets.make()


# The verifier is one that no proof fits: nobody calls with these keys.
_ROWS = f"""
    INSERT INTO apikeys_apikey (key_id, family, mode, verifier, client_id, name, owner_id, acts_for_user, scopes, note,
                                created_at, expires_at)
    SELECT id, id, 'live', 'argon2id$v=19$m=19456,t=2,p=1$' || repeat(id, 5), (SELECT min(id) FROM apikeys_client)
           + n %% {_CLIENTS}, 'Key ' || n, (SELECT min(id) FROM auth_user) + n %% {_CLIENTS}, true, 'todo:read', '',
           now() + %(created)s::interval, now() + %(expires)s::interval + n * interval '1 millisecond'
    FROM (SELECT n, left(md5('key ' || n), 12) AS id FROM generate_series(%(first)s, %(last)s - 1) AS n) AS made
"""  # noqa: S608  # numbers of our own


def _print(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
