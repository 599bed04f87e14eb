"""Runs management commands as a shell does: into pipes, or on a pseudo-terminal with somebody who answers."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from apikeys.core import keyformat
from tests.threads import at_once

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command left behind."""

    #: As the shell sees it.
    code: int
    #: As it came, with colours.
    raw: str
    err: str

    @property
    def out(self) -> str:
        """Return what stands on stdout."""
        return _COLOUR.sub("", self.raw)

    @property
    def lines(self) -> list[str]:
        """Return the lines on stdout."""
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """Return stdout, which must be one JSON value and nothing else."""
        return json.loads(self.raw)

    @property
    def rows(self) -> list[dict[str, str]]:
        """Return the tab-separated lines by the names in the first one."""
        header, *rows = (line.split("\t") for line in self.raw.splitlines())
        return [dict(zip(header, row, strict=True)) for row in rows]


def keys_in(*texts: str) -> list[str]:
    """Return every key in *texts*, and what of one would leak its secret."""
    return keyformat.key_pattern("ak").findall(" ".join(texts))


def run(*argv: str, terminal: int | None = None, answer: str = "") -> Result:
    """Run the command *argv*; on a *terminal* so many columns wide, where *answer* is typed, or into pipes."""
    err = io.StringIO()
    if terminal is None:
        out = io.StringIO()
        code, problem = _call(*argv, stdout=out, stderr=err)
        return Result(code=code, raw=out.getvalue(), err=err.getvalue() + problem)
    with _terminal(columns=terminal, answer=answer) as screen:
        code, problem = _call(*argv, stdout=sys.stdout, stderr=err)
    return Result(code=code, raw=screen.text, err=err.getvalue() + problem)


def run_at_once(*argv: str, times: int = 2) -> list[Result]:
    """Run *argv* so many times at once."""
    return at_once(*[partial(run, *argv)] * times)


def issue(
    *options: str, owner: str | None = "richard", name: str = "First", scope: str | None = "todo:read", **where: Any
) -> Result:
    """Run ``issue_key`` for *owner*, who is nobody where that is None."""
    holder = ("--service",) if owner is None else ("--owner", owner)
    scopes = () if scope is None else ("--scope", scope)
    return run("issue_key", *holder, "--name", name, *scopes, *options, **where)


def _call(*argv: str, stdout: Any, stderr: Any) -> tuple[int, str]:
    try:
        call_command(*argv, stdout=stdout, stderr=stderr)
    except CommandError as error:
        # As BaseCommand.run_from_argv() does at the end of a process.
        return error.returncode, f"CommandError: {error}\n"
    except SystemExit as error:
        return int(error.code or 0), ""
    return 0, ""


class _Screen:
    text = ""


@contextmanager
def _terminal(*, columns: int, answer: str) -> Iterator[_Screen]:
    ours, theirs = pty.openpty()
    # Neither an echo of the answer nor carriage returns: what is read is what was written.
    tty.setraw(theirs)
    termios.tcsetwinsize(theirs, (50, columns))
    os.write(ours, answer.encode())
    screen = _Screen()
    chunks: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(ours, chunks))
    reader.start()
    before = sys.stdin, sys.stdout
    stdin, stdout = os.fdopen(os.dup(theirs), encoding="utf-8"), os.fdopen(theirs, "w", encoding="utf-8")
    sys.stdin, sys.stdout = stdin, stdout
    try:
        yield screen
    finally:
        sys.stdin, sys.stdout = before
        stdin.close()
        stdout.close()
        reader.join(timeout=10)
        os.close(ours)
        screen.text = b"".join(chunks).decode()


def _read_all(descriptor: int, chunks: list[bytes]) -> None:
    while True:
        try:
            chunk = os.read(descriptor, 65_536)
        except OSError:  # what Linux says when the other end is closed
            return
        if not chunk:
            return
        chunks.append(chunk)
