"""
The processes beside this site: programs that sign in with OAuth, and API servers that trust this site's credentials.

``manage.py demo`` starts them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.views.decorators.debug import sensitive_variables

_ROOT = Path(__file__).resolve().parents[2]


class ProgramError(Exception):
    """A program does not start."""


class Handover(Protocol):
    """What a program is handed."""

    def as_line(self) -> str:
        """Return it as one line of text."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program."""

    #: The package ``example_project.<name>``.
    name: str
    #: How far its port is from the site's.
    ports_on: int
    #: Cookies know no ports, so a program that people sign in to goes by another name than the site.
    host: str = "localhost"

    def address(self, *, port: int) -> str:
        """Return where it is if the site is on *port*."""
        return f"http://{self.host}:{port + self.ports_on}"


HOOLI = Program(name="hooli", ports_on=1)
PIPER = Program(name="piper", ports_on=2)
SHARING = Program(name="sharing", ports_on=3, host="127.0.0.1")
SUMMARIES = Program(name="summaries", ports_on=4, host="127.0.0.1")
PROGRAMS = (HOOLI, PIPER, SHARING, SUMMARIES)

_started: dict[Program, subprocess.Popen[str]] = {}


def site_port() -> int:
    """
    Return the port of this site, from the environment variable ``PORT``, else 8000.

    Raises:
        ValueError: If that leaves no port for it and the programs.
    """
    text = os.environ.get("PORT", "") or "8000"
    if not (text.isdecimal() and 0 < int(text) < 2**16 - len(PROGRAMS)):
        raise ValueError(f"PORT={text} is not a port.")
    return int(text)


def addresses() -> dict[str, str]:
    """Return where each program is, by its name."""
    return {program.name: program.address(port=site_port()) for program in PROGRAMS}


def is_running(program: Program) -> bool:
    """
    Whether this process started *program* and it still runs.

    What else listens on its port is nobody to send a key to.
    """
    process = _started.get(program)
    return process is not None and process.poll() is None


@sensitive_variables("handover")
def start(program: Program, handover: Handover) -> subprocess.Popen[str]:
    """
    Return the process of *program* once it answers. It ends with this process, however that ends.

    Raises:
        ProgramError: If it does not start.
    """
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    process = subprocess.Popen(  # noqa: S603  # our own words
        [sys.executable, "-m", f"example_project.{program.name}"],
        cwd=_ROOT,
        env=kept,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None  # noqa: S101  # for types: both are pipes
    assert process.stdout is not None  # noqa: S101  # likewise
    process.stdin.write(handover.as_line())
    process.stdin.flush()
    if not process.stdout.readline():
        process.communicate()
        raise ProgramError(f"{program.name} does not start: see above.")
    _started[program] = process
    return process
