"""The smaller benchmarks run, count right and compare with rivals; what they take is for a quiet machine to say."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys

import pytest

from benchmarks import findings
from benchmarks.findings import Findings, tell
from benchmarks.targets import Target
from tests.documents import ROOT


def output_of(module: str, *options: str) -> str:
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-m", f"benchmarks.{module}", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(output: str) -> dict[str, list[str]]:
    """Return the cells of each row behind its first."""
    rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines() if line.startswith("  ")]
    return {first: cells for first, *cells in rows if cells}


def test_tokens_take_one_query_beside_the_toolkits(tmp_path):
    output = output_of("tokens", "--rounds", "1", "--requests", "5", "--sent", "10", "--directory", str(tmp_path))

    rows = rows_of(output)
    assert list(rows) == ["contender", "unauthenticated", "oauth-toolkit", "apikeys-token", "apikeys-token-distinct"]
    for ours in ("apikeys-token", "apikeys-token-distinct"):
        _median, _cost, queries, instances, *_share = rows[ours]
        assert (queries, instances) == ("1", "0")


def test_signed_tokens_and_introspection_take_no_query_beside_rivals(tmp_path):
    few = ["--rounds", "1", "--requests", "5", "--asking", "2", "--sent", "60", "--directory", str(tmp_path)]

    output = output_of("signed", *few)

    ours = {label: cells for label, cells in rows_of(output).items() if label.startswith("apikeys")}
    assert [cells[2] for cells in ours.values()] == ["0"] * 4
    assert output.count("at most 1.2") == output.count("at most 0.35") == 1
    assert "exchange of a key for a signed token" in output


def test_counting_takes_no_query():
    output = output_of("usage", "--rounds", "1", "--keys", "1000")

    assert "a request with a key: queries: 0, exactly 0: met" in output


@pytest.mark.redis
def test_limits_admit_as_many_as_they_say():
    output = output_of("limits", "--rounds", "1", "--redis", os.environ["APIKEYS_TEST_REDIS_URL"])

    assert "admitted of a limit of 500: 500, exactly 500: met" in output


@pytest.mark.postgres
def test_sums_hold_every_request_of_the_rows():
    output = output_of("rollup", "--rows", "2000")

    assert "requests in its sums less those in the rows: 0, exactly 0: met" in output


@pytest.fixture
def found():
    target = Target(subject="a request", figure="µs", limit=15, measured=16.0)
    return Findings(
        name="usage", title="What counting adds", columns=("", "takes"), rows=[["a", "b"]], targets=[target]
    )


@pytest.mark.parametrize("measured", [16.0, None], ids=["missed", "unknown"])
def test_strict_run_fails_without_a_met_target(measured, capsys):
    missed = Findings(
        name="usage",
        title="What counting adds",
        columns=("",),
        rows=[["a"]],
        targets=[Target(subject="a request", figure="µs", limit=15, measured=measured)],
    )

    with pytest.raises(SystemExit) as ended:
        tell([missed], argparse.Namespace(keep=False, strict=True))

    assert ended.value.code == 1
    assert "a request: µs: " in capsys.readouterr().out


def test_what_was_kept_is_read_again(found, tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "RESULTS", tmp_path)

    tell([found], argparse.Namespace(keep=True, strict=False))

    assert str(Findings.read(tmp_path / "usage.json")) == str(found)
