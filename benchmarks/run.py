"""
The benchmark: ``python -m benchmarks.run``, or ``make bench``.

Fills each package's tables, measures all contenders in interleaved rounds, over HTTP and from a cold start, prints
the tables, and leaves the results in ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from . import cold, contenders, findings, over_http, processes, report, rounds, scale, shared_cache
from .environment import SENT_KEYS, Environment
from .figures import BASELINE
from .machine import machine, versions
from .rounds import Length

_REDIS = "redis://127.0.0.1:6379/14"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what *arguments*, by default the command's, ask for."""
    given = _parser().parse_args(arguments)
    directory = given.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        database=given.database,
        directory=directory,
        keys=given.sent,
        redis_url=given.redis or (_REDIS if given.database == "postgres" else ""),
        run=f"benchmark-{uuid4().hex}",
    )
    try:
        results = run(environment, given)
    finally:
        shared_cache.clear(environment)
    # What is published is all of it.
    output = given.output or (directory if given.only else findings.RESULTS) / f"{environment.database}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n")
    print(report.section(results))


def run(environment: Environment, given: argparse.Namespace) -> dict[str, Any]:
    """Return the results of everything that *given* asks for."""
    packages = contenders.installed()
    labels = {case.name: case.label for package in packages for case in package.cases if case.is_in_table}
    if given.only:
        labels = {name: label for name, label in labels.items() if name in {BASELINE, *given.only}}
    length = Length(
        rounds=given.rounds,
        requests=given.requests,
        most_rounds=max(given.rounds, given.most_rounds),
        most_seconds=given.most_seconds,
    )
    _say("filling tables")
    chosen = [package for package in packages if any(case.name in labels for case in package.cases)]
    processes.fill(environment, [package.cases[0].name for package in chosen])
    _say(f"measuring {len(labels)} contenders in process")
    in_process = rounds.measure({name: replace(environment, contender=name) for name in labels}, length)
    return {
        "command": given.command or " ".join(["python -m benchmarks.run", *sys.argv[1:]]),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": environment.database,
        "machine": machine(),
        "versions": versions(environment, chosen),
        "parameters": {"keys": environment.keys, **asdict(length)},
        "contenders": {name: {"label": labels[name], **result} for name, result in in_process.items()},
        "http": _http(environment, given, length, list(labels)),
        "cold": _cold(environment, given),
        "scale": _scale(environment, given, length),
    }


def _http(
    environment: Environment, given: argparse.Namespace, length: Length, names: Sequence[str]
) -> dict[str, Any] | None:
    if not given.http_seconds:
        return None
    asked = [name for name in over_http.CONTENDERS if name in names]
    _say(f"measuring {len(asked)} contenders over HTTP")
    return over_http.measure(environment, asked, length, seconds=given.http_seconds)


def _cold(environment: Environment, given: argparse.Namespace) -> dict[str, Any] | None:
    if not given.cold_keys:
        return None
    _say("measuring cold starts")
    return cold.measure(environment, keys=min(given.cold_keys, environment.keys - 1))


def _scale(environment: Environment, given: argparse.Namespace, length: rounds.Length) -> dict[str, Any] | None:
    if given.keys <= environment.keys:
        return None
    _say(f"measuring among {given.keys:,} keys")
    return scale.measure(environment, length, keys=given.keys)


_BEGAN = time.monotonic()


def _say(sentence: str) -> None:
    print(f"[{time.monotonic() - _BEGAN:5.0f} s] {sentence}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure what authentication costs.")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--redis", default="", help="a shared cache; PostgreSQL runs with one on this machine anyway")
    parser.add_argument("--keys", type=int, default=0, help="also look keys up among so many")
    parser.add_argument("--sent", type=int, default=SENT_KEYS, help="keys in each table, that are all sent")
    parser.add_argument("--only", nargs="*", default=[], metavar="CONTENDER", help="these and the unauthenticated one")
    parser.add_argument("--rounds", type=int, default=Length.rounds)
    parser.add_argument("--most-rounds", type=int, default=Length.most_rounds)
    parser.add_argument(
        "--most-seconds", type=float, default=Length.most_seconds, help="for which rounds are added where they differ"
    )
    parser.add_argument("--requests", type=int, default=Length.requests, help="of each contender in each round")
    parser.add_argument("--http-seconds", type=float, default=1, help="of load in each round; 0 for none")
    parser.add_argument("--cold-keys", type=int, default=SENT_KEYS, help="at most, of those sent; 0 for no cold start")
    parser.add_argument("--directory", type=Path, default=Path(".benchmarks"), help="for databases in files")
    parser.add_argument("--output", type=Path, default=None, help="where the results go")
    parser.add_argument("--command", default=None, help="what the results say they were made with")
    return parser


if __name__ == "__main__":
    main()
