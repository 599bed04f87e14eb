"""
What an access token costs a request, beside the toolkit's own authentication.

``python -m benchmarks.tokens`` fills both packages' tables, measures in interleaved rounds and prints a table.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from . import processes, rounds
from .environment import Environment
from .figures import BASELINE, cost_ratio, figures
from .findings import Findings, add_options, tell
from .rounds import Length
from .targets import Target

_THEIRS = "oauth-toolkit"
_OURS = ("apikeys-token", "apikeys-token-distinct")
#: Of the toolkit's cost, at most.
LIMIT = 0.5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What access tokens cost, beside the toolkit's own authentication.")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=Length.rounds)
    parser.add_argument("--requests", type=int, default=Length.requests, help="of each contender in each round")
    parser.add_argument("--sent", type=int, default=2_000, help="tokens in each table")
    parser.add_argument("--directory", type=Path, default=Path(".benchmarks"), help="for databases in files")
    add_options(parser)
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        database=given.database,
        directory=given.directory.resolve(),
        keys=given.sent,
        run=f"benchmark-{uuid4().hex}",
    )
    processes.fill(environment, [BASELINE, _THEIRS, _OURS[0]])
    length = Length(rounds=given.rounds, requests=given.requests, most_rounds=2 * given.rounds)
    names = (BASELINE, _THEIRS, *_OURS)
    measured = rounds.measure({name: replace(environment, contender=name) for name in names}, length)
    found = figures({name: {"label": name, **result} for name, result in measured.items()})
    rows = []
    targets = []
    for name, figure in found.items():
        share = cost_ratio(found, name, to=_THEIRS) if name in _OURS else None
        rows.append(
            (
                name,
                f"{figure.median:.0f}",
                f"{figure.cost:.0f}",
                f"{figure.counts['queries']:.0f}",
                f"{figure.counts['instances']:.0f}",
                "" if share is None else f"{share:.2f}",
            )
        )
        # An SQLite in the same process takes next to nothing: what is left is not what a project pays.
        if name in _OURS and given.database == "postgres":
            targets.append(
                Target(subject=name, figure="cost, as a share of the toolkit's", limit=LIMIT, measured=share)
            )
    told = Findings(
        name=f"tokens-{given.database}",
        title=f"A request with an access token on {given.database}; median of rounds of {given.requests}",
        columns=("contender", "median µs", "cost µs", "queries", "instances", "of the toolkit's cost"),
        rows=rows,
        targets=targets,
    )
    tell([told], given)


if __name__ == "__main__":
    main()
