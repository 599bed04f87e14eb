"""What one of the smaller runs found: a table and its targets, printed, and kept for the page of figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from .machine import machine
from .targets import Target

#: Those of a whole run are ``sqlite.json`` and ``postgres.json``.
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What one run found."""

    #: Of its file, without the ending.
    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target] = ()
    command: str = field(default_factory=lambda: " ".join(["python -m", *_module_and_arguments()]))
    made_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: dict[str, str] = field(default_factory=machine)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Return what :func:`tell` kept in *file*."""
        kept: dict[str, Any] = json.loads(file.read_text())
        return cls(**{**kept, "targets": [Target(**target) for target in kept["targets"]]})

    def keep(self) -> None:
        """Keep it for the page."""
        (RESULTS / f"{self.name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    def __str__(self) -> str:
        return "\n".join([self.title, aligned([self.columns, *self.rows]), *map(_sentence, self.targets)])


def tell(found: Iterable[Findings], given: argparse.Namespace) -> None:
    """Print *found*, keep it where *given* says so, and end with 1 if a limit was missed and that is asked for."""
    are_met = True
    for each in found:
        print(each)
        are_met &= all(target.verdict == "met" for target in each.targets)
        if given.keep:
            each.keep()
    if given.strict and not are_met:
        sys.exit(1)


def _sentence(target: Target) -> str:
    measured = "unknown" if target.measured is None else f"{target.measured:.3g}"
    return f"  {target.subject}: {target.figure}: {measured}, {target.kind} {target.limit:g}: {target.verdict}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`tell` reads."""
    parser.add_argument("--keep", action="store_true", help="keep what was found for docs/performance.md")
    parser.add_argument("--strict", action="store_true", help="fail where a limit is missed or could not be measured")


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return *rows* below each other, for a terminal."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def _module_and_arguments() -> Iterable[str]:
    # ``-m`` leaves the path of the module where a shell would have its name.
    return (f"benchmarks.{Path(sys.argv[0]).stem}", *(each for each in sys.argv[1:] if each != "--keep"))
