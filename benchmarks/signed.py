"""
What signed tokens and introspection cost an API server and the authority, beside simplejwt and the toolkit.

``python -m benchmarks.signed`` starts an authority, measures in interleaved rounds and prints tables.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from . import contenders, processes, rounds
from .authority import serving
from .environment import Environment
from .figures import BASELINE, cost_ratio, figures
from .findings import Findings, add_options, tell
from .rounds import Length
from .targets import Target

_SIMPLEJWT = "simplejwt-es256"
_SIGNED = (BASELINE, _SIMPLEJWT, "apikeys-signed", "apikeys-signed-remembered")
_CACHED = (BASELINE, "oauth-toolkit-cached", "apikeys-introspection-cached")
_ASKING = (BASELINE, "oauth-toolkit-asking", "apikeys-introspection")
_ANSWERING = (
    "oauth-toolkit-introspects",
    "authority-introspects-key",
    "authority-introspects-token",
    "authority-exchanges",
)
#: Of the rival's cost, at most.
LIMITS = {"apikeys-signed": 1.2, "apikeys-signed-remembered": 0.35}


def main() -> None:
    """Measure and print. Ends with 1 if a limit was missed and that is asked for."""
    parser = argparse.ArgumentParser(description="What signed tokens and introspection cost.")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite", help="of the authority")
    parser.add_argument("--rounds", type=int, default=Length.rounds)
    parser.add_argument("--requests", type=int, default=Length.requests, help="of each contender in each round")
    parser.add_argument("--asking", type=int, default=50, help="the same, of those that ask the authority each time")
    parser.add_argument("--sent", type=int, default=2_000, help="tokens in the toolkit's tables")
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
    length = Length(rounds=given.rounds, requests=given.requests, most_rounds=2 * given.rounds)
    few = replace(length, requests=given.asking)
    with serving(environment):
        processes.fill(environment, [BASELINE, "apikeys-signed", "oauth-toolkit-cached", _SIMPLEJWT])
        found = [
            _costs("signed", f"A signed token; median of rounds of {given.requests}", _SIGNED, environment, length),
            _costs(
                "remembering", f"An API server that remembers; rounds of {given.requests}", _CACHED, environment, length
            ),
            _costs("asking", f"An API server that asks each time; rounds of {given.asking}", _ASKING, environment, few),
            _answers(f"The authority on {given.database}; median of rounds of {given.requests}", environment, length),
        ]
    tell(found, given)


def _costs(name: str, title: str, names: Sequence[str], environment: Environment, length: Length) -> Findings:
    """Return what *names* cost, and what share of the second's cost each has that comes after it."""
    found = figures(
        {each: {"label": _label(each), **result} for each, result in _measured(names, environment, length).items()}
    )
    rival = names[1]
    shares = {each: cost_ratio(found, each, to=rival) for each in names[2:]}
    return Findings(
        name=name,
        title=title,
        columns=("contender", "median µs", "cost µs", "queries", f"of the cost of: {_label(rival)}"),
        rows=[
            (
                figure.label,
                f"{figure.median:.0f}",
                f"{figure.cost:.0f}",
                f"{figure.counts['queries']:.0f}",
                _share(shares.get(each)),
            )
            for each, figure in found.items()
        ],
        targets=[
            Target(
                subject=_label(each),
                figure=f"cost, as a share of: {_label(rival)}",
                limit=limit,
                measured=shares[each],
                is_noisy=any(found[one].is_noisy for one in (BASELINE, rival, each)),
            )
            for each, limit in LIMITS.items()
            if each in shares
        ],
    )


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.2f}"


def _answers(title: str, environment: Environment, length: Length) -> Findings:
    rows = []
    for name, result in _measured(_ANSWERING, environment, length).items():
        took = statistics.median(result["rounds"])
        rows.append((_label(name), f"{took:.0f}", f"{result['counts']['queries']:.0f}", f"{1e6 / took:.0f}"))
    columns = ("answer", "median µs", "queries", "a second and process")
    return Findings(name="authority", title=title, columns=columns, rows=rows)


def _measured(names: Sequence[str], environment: Environment, length: Length) -> dict[str, Any]:
    return rounds.measure({name: replace(environment, contender=name) for name in names}, length)


def _label(name: str) -> str:
    return contenders.find(name)[1].label


if __name__ == "__main__":
    main()
