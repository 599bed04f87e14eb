from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks import figures, report
from benchmarks.targets import Target, targets
from tests.documents import ROOT

# One process runs the benchmark that several of these look at.
pytestmark = pytest.mark.xdist_group("a benchmark")

NOTHING = {"queries": 0.0, "writes": 0.0, "hashes": 0.0, "instances": 0.0}


def contender(*rounds: float) -> dict[str, Any]:
    return {"label": "a contender", "rounds": list(rounds), "counts": NOTHING}


def results(contenders: dict[str, Any], *, database: str = "sqlite") -> dict[str, Any]:
    return {
        "database": database,
        "contenders": {"unauthenticated": contender(100, 100), **contenders},
        "http": None,
        "cold": None,
        "scale": None,
    }


def verdicts(found: dict[str, Any], figure: str) -> list[str]:
    return [target.verdict for target in targets(found) if target.figure.startswith(figure) and target.measured]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("benchmark")
    small = {"--rounds": 2, "--most-rounds": 2, "--requests": 5, "--sent": 10, "--http-seconds": 0, "--cold-keys": 0}
    places = {"--directory": directory, "--output": directory / "results.json"}
    options = [str(word) for option in (small | places).items() for word in option]
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-m", "benchmarks.run", *options, "--only", "apikeys", "apikeys-forged"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((directory / "results.json").read_text()), done.stdout


def test_the_page_is_what_the_committed_results_say():
    found = report.read_results()

    assert {result["database"] for result in found} == {"sqlite", "postgres"}
    assert report.PAGE.read_text() == report.page(found, report.read_findings())


def test_a_run_leaves_what_it_ran_on_and_each_round(run):
    found, printed = run

    assert set(found["machine"]) == {"processor", "cores", "system", "kernel"}
    assert {"Python", "Django", "djangorestframework", "SQLite"} <= set(found["versions"])
    assert set(found["contenders"]) == {"unauthenticated", "apikeys", "apikeys-forged"}
    for result in found["contenders"].values():
        assert len(result["rounds"]) == 2
        assert all(microseconds > 0 for microseconds in result["rounds"])
    assert "| apikeys, forged |" in printed


@pytest.mark.parametrize(("name", "queries"), [("unauthenticated", 0), ("apikeys", 1), ("apikeys-forged", 0)])
def test_a_run_counts_queries_writes_and_hashes(run, name, queries):
    found, _ = run

    counts = found["contenders"][name]["counts"]
    assert (counts["queries"], counts["writes"], counts["hashes"]) == (queries, 0, 0)


def test_a_cost_is_the_difference_of_two_medians():
    found = figures.figures(results({"apikeys": contender(130, 150, 900)})["contenders"])["apikeys"]

    assert (found.median, found.cost) == (150, 50)


@pytest.mark.parametrize(
    ("rounds", "spread"),
    [
        pytest.param([100], 0, id="one round"),
        pytest.param([100, 100, 100], 0, id="all alike"),
        pytest.param([90, 95, 100, 105, 110], 0.1, id="even"),
        pytest.param([95, 100, 100, 100, 900], 0, id="one outlier"),
    ],
)
def test_the_spread_is_the_interquartile_range_as_a_share_of_the_median(rounds, spread):
    assert figures.spread(rounds) == pytest.approx(spread)


@pytest.mark.parametrize(("rounds", "mark"), [([90, 95, 100, 105, 110], "10 %"), ([90, 94, 100, 105, 110], "11 % (!)")])
def test_rounds_that_lie_too_far_apart_are_marked(rounds, mark):
    found = results({"apikeys": contender(*rounds)})

    assert f"| {mark} |" in "\n".join(report.contenders_table(found))


@pytest.mark.parametrize(
    ("database", "cost", "verdict"),
    [("sqlite", 30, "met"), ("sqlite", 31, "missed"), ("postgres", 60, "met"), ("postgres", 61, "missed")],
)
def test_a_look_up_is_compared_with_the_best_package_on_the_same_database(database, cost, verdict):
    found = results({"drf-api-key": contender(200), "apikeys": contender(100 + cost)}, database=database)

    assert verdicts(found, "cost") == [verdict]


@pytest.mark.parametrize(
    ("name", "other", "limit"),
    [
        ("apikeys-distinct", "drf-api-key-distinct", 30),
        ("apikeys-stale", "simplejwt", 35),
        ("apikeys-forged", "drf-api-key-forged", 10),
    ],
)
def test_each_case_is_compared_with_its_like(name, other, limit):
    met = results({other: contender(200), name: contender(100 + limit), "drf-api-key": contender(101)})
    missed = results({other: contender(200), name: contender(101 + limit), "drf-api-key": contender(9999)})

    assert verdicts(met, "cost, as a share of: a contender") == ["met"]
    assert verdicts(missed, "cost, as a share of: a contender") == ["missed"]


@pytest.mark.parametrize(("last", "mark"), [(105, "met |"), (106, "met (!) |")])
def test_a_verdict_on_rounds_that_lie_too_far_apart_is_marked(last, mark):
    found = results({"drf-api-key": contender(9999), "apikeys": contender(90, 95, 100, last, last)})

    assert f"| {mark}" in report.targets_table(found)


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert {target.verdict for target in targets(results({}))} == {"not measured"}


@pytest.mark.parametrize(
    ("kind", "limit", "measured", "verdict"),
    [
        ("at most", 1.2, 1.2, "met"),
        ("at most", 1.2, 1.21, "missed"),
        ("at least", 0.75, 0.75, "met"),
        ("at least", 0.75, 0.74, "missed"),
        ("exactly", 0, 0, "met"),
        ("exactly", 1, 1.02, "missed"),
    ],
)
def test_a_limit_itself_is_met(kind, limit, measured, verdict):
    target = Target(subject="it", figure="a figure", limit=limit, measured=measured, kind=kind)

    assert target.verdict == verdict


def test_the_share_over_http_is_that_of_the_medians():
    http = {"unauthenticated": {"rounds": [900, 1000, 1100]}, "apikeys-stale": {"rounds": [800, 800, 1]}}

    assert figures.shares(http)["apikeys-stale"] == pytest.approx(0.8)


def test_a_cold_start_counts_the_hashes_of_each_key():
    cold = {"shared": {"keys": 9999, "hashes": 1}, "alone": {"keys": 100, "hashes": 100}}

    assert verdicts(results({}) | {"cold": cold}, "Argon2 runs a key") == ["missed", "met"]


@pytest.mark.parametrize(("many", "verdict"), [(220, "met"), (221, "missed")])
def test_a_look_up_among_many_is_compared_with_one_among_few(many, verdict):
    scale = {
        "keys": 1_000_000,
        "contenders": {
            "unauthenticated": contender(100),
            "few": contender(200),
            "many": contender(many),
        },
    }

    assert verdicts(results({}) | {"scale": scale}, "cost") == [verdict]
