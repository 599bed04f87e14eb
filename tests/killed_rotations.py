"""
Rotations of signing keys that are killed: ``rotate_signing_key`` in a process that dies before a given statement.

``python -m tests.killed_rotations`` reads lines of a number and options, and answers each with "killed" or "done".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection

from tests.authority_server import VARIABLE
from tests.introspection import ISSUER


@contextmanager
def killed_rotations() -> Iterator[Callable[..., bool]]:
    """
    Give a function that runs ``rotate_signing_key`` with options, and kills it before it asks the database so often.

    It returns whether the command came to its end. A new key signs at once.
    """
    given = {
        "database": str(connection.settings_dict["NAME"]),
        "issuer": ISSUER,
        "seconds": {"SIGNING_KEY_PUBLISHED_AHEAD": 0},
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.killed_rotations"],
        env={**os.environ, VARIABLE: json.dumps(given)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None

        def rotate(*options: str, before_statement: int) -> bool:
            asked.write(f"{json.dumps([before_statement, *options])}\n")
            asked.flush()
            return {"killed": False, "done": True}[told.readline().strip()]

        yield rotate
        asked.close()


def _rotate_and_die(before_statement: int, *options: str) -> None:
    asked = 0

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == before_statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*arguments)

    with connection.execute_wrapper(count):
        call_command("rotate_signing_key", *options, stdout=StringIO(), verbosity=0)


def _serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _rotate_and_die(*json.loads(line))
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write("killed\n" if is_killed else "done\n" if status == 0 else "failed\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
