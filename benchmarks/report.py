"""
Writes ``docs/performance.md`` from the results of the last runs: ``python -m benchmarks.report``.

Every figure on the page comes from the results; none is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .figures import BASELINE, MOST_SPREAD, Figures, cost_ratio, figures, rival, shares, spread
from .findings import RESULTS, Findings
from .targets import COLD_STARTS, Target, targets

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"

_NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
_SMALLER = (
    "usage",
    "limits",
    "limits-at-once",
    "rollup",
    "tokens-sqlite",
    "tokens-postgres",
    "signed",
    "remembering",
    "asking",
    "authority",
)
_INTRODUCTION = """\
# Performance

What it costs to know who is calling, measured side by side with the other packages for Django REST framework. This
page is written by `python -m benchmarks.report` from the results of the last runs; `make bench` runs it all again on
your machine. How it is measured stands in [the benchmark's own page](../benchmarks/README.md).

**Cost** is what a request takes above the same view without authentication, in microseconds. **Ratio** compares
that cost with djangorestframework-api-key's in the same case (one key, many keys, a forged key), the quickest of the
packages that look at the database; † with that of stateless simplejwt, which can't revoke. **Spread** is the
interquartile range of the rounds as a share of their median; above 10 % it is marked (!), as is each verdict that
rests on such rounds: run it again.
"""


def read_results() -> list[dict[str, Any]]:
    """Return the results that there are, SQLite first."""
    files = [RESULTS / f"{database}.json" for database in _NAMES]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def read_findings() -> list[Findings]:
    """Return what the smaller runs found, in the order of the page."""
    files = [RESULTS / f"{name}.json" for name in _SMALLER]
    return [Findings.read(file) for file in files if file.exists()]


def page(results: Iterable[Mapping[str, Any]], findings: Iterable[Findings]) -> str:
    """Return the page about *results* and *findings*."""
    return "\n".join(
        [_INTRODUCTION, *map(section, results), "## Beside requests with keys\n", *map(_smaller, findings)]
    )


def _smaller(found: Findings) -> str:
    parts = [
        f"### {found.title}",
        f"```console\n$ {found.command}\n```",
        f"{found.made_at[:10]}, {found.machine['processor']}, {found.machine['cores']} cores.",
        _table(found.columns, found.rows),
    ]
    if found.targets:
        parts.append(_targets(found.targets))
    return "\n\n".join(parts) + "\n"


def section(results: Mapping[str, Any]) -> str:
    """Return what *results*, the run on one database, say."""
    parts = [f"## {_NAMES[results['database']]}", _made_with(results), *contenders_table(results)]
    if results["http"]:
        parts += ["### Over HTTP", _http(results["http"])]
    if results["cold"]:
        parts += ["### A new process", _cold(results["cold"])]
    if results["scale"]:
        parts += ["### Among many keys", _scale(results["scale"])]
    parts += ["### Targets", targets_table(results)]
    return "\n\n".join(parts) + "\n"


def _made_with(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return (
        f"```console\n$ {results['command']}\n```\n\n"
        f"{results['made_at'][:10]}, {machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"kernel {machine['kernel']}. {versions}. "
        f"{results['parameters']['requests']} requests a round, "
        f"{results['parameters']['keys']:,} keys in each table."
    )


def contenders_table(results: Mapping[str, Any]) -> list[str]:
    """Return the heading and the table of the rounds in process."""
    found = figures(results["contenders"])
    rounds = len(results["contenders"][BASELINE]["rounds"])
    columns = ["Contender", "Median µs", "Cost µs", "Spread", "Ratio", "Queries", "Writes", "Argon2 runs"]
    rows = [_contender(name, figure, found) for name, figure in found.items()]
    return [f"### In process, {rounds} rounds", _table(columns, rows)]


def _contender(name: str, figure: Figures, found: Mapping[str, Figures]) -> list[str]:
    other = rival(name)
    ratio = cost_ratio(found, name, to=other)
    mark = " †" if other == "simplejwt" else ""
    counts = figure.counts
    return [
        figure.label,
        f"{figure.median:.0f}",
        f"{figure.cost:.0f}",
        _percent(figure.spread),
        "" if ratio is None or name in {BASELINE, "refused"} else f"{ratio:.2f}{mark}",
        *(f"{counts[what]:g}" for what in ("queries", "writes", "hashes")),
    ]


def _http(http: Mapping[str, Any]) -> str:
    share = shares(http["contenders"])
    rows = [
        [result["label"], f"{median(result['rounds']):.0f}", _percent(spread(result["rounds"])), f"{share[name]:.2f}"]
        for name, result in http["contenders"].items()
    ]
    server = f"{http['server']}; {http['connections']} connections, {http['seconds']:g} s a round."
    return f"{server}\n\n" + _table(["Contender", "Requests a second", "Spread", "Share"], rows)


def _cold(cold: Mapping[str, Any]) -> str:
    rows = [
        [COLD_STARTS[name], f"{found['keys']:,}", f"{found['microseconds']:.0f}", f"{found['hashes']:,}"]
        for name, found in cold.items()
        if found is not None
    ]
    return _table(
        ["Cold start", "Keys", "µs a request, the first of each key", "Argon2 runs, each key sent twice"], rows
    )


def _scale(scale: Mapping[str, Any]) -> str:
    found = figures(scale["contenders"])
    rows = [
        [figure.label, f"{figure.median:.0f}", f"{figure.cost:.0f}", _percent(figure.spread)]
        for figure in found.values()
    ]
    ratio = cost_ratio(found, "many", to="few")
    table = _table(["Contender", "Median µs", "Cost µs", "Spread"], rows)
    return table if ratio is None else f"{table}\n\nRatio of the two costs: {ratio:.2f}."


def targets_table(results: Mapping[str, Any]) -> str:
    """Return the table of what must hold and whether it does."""
    return _targets(targets(results))


def _targets(found: Iterable[Target]) -> str:
    rows = [
        [
            target.subject,
            target.figure,
            f"{target.kind} {target.limit:g}" + ("" if target.aim is None else f", aim {target.aim:g}"),
            "" if target.measured is None else f"{target.measured:.3g}",
            target.verdict + (" (!)" if target.is_noisy and target.measured is not None else ""),
        ]
        for target in found
    ]
    return _table(["Subject", "Figure", "Limit", "Measured", "Verdict"], rows)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") + (" (!)" if share > MOST_SPREAD else "")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(read_results(), read_findings()))


if __name__ == "__main__":
    write()
