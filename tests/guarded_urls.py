"""Views that hash on each request, and a hasher that writes down when, for processes that are counted together."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import include, path
from rest_framework.response import Response

from apikeys import remembered
from apikeys.core.verifiers import Argon2idHasher
from tests.request_path import whoami, with_right_tag
from tests.request_path_urls import KeyView


class Run(NamedTuple):
    """One slow hash of one process."""

    process: int
    began_at: float
    ended_at: float
    #: The minute of the clock on the wall.
    minute: int
    is_right: bool


class RecordingHasher(Argon2idHasher):
    """Argon2id that takes its time, and writes each check to the file in the setting ``HASHES_FILE``."""

    def matches(self, proof, verifier):
        began_at, minute = time.monotonic(), int(time.time()) // 60
        is_right = super().matches(proof, verifier)
        time.sleep(0.01)
        line = f"{os.getpid()} {began_at!r} {time.monotonic()!r} {minute} {int(is_right)}\n"
        # One write of so little to the end of a file is not torn.
        path = settings.HASHES_FILE  # type: ignore[misc]  # of these tests alone
        with Path(path).open("ab", buffering=0) as file:
            file.write(line.encode())
        return is_right


def runs(file: Path) -> list[Run]:
    """Return what all processes wrote to *file*."""
    found = []
    for line in file.read_text().splitlines():
        process, began_at, ended_at, minute, is_right = line.split()
        found.append(Run(int(process), float(began_at), float(ended_at), int(minute), is_right == "1"))
    return found


def most_at_once(found: list[Run]) -> int:
    """Return how many of *found* ran at a time, at most."""
    steps = sorted([(run.began_at, 1) for run in found] + [(run.ended_at, -1) for run in found])
    running = most = 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most


def wrong_by_minute(found: list[Run]) -> Counter[int]:
    """Return how many of *found* were wrong in each minute."""
    return Counter(run.minute for run in found if not run.is_right)


class Forgetful(KeyView):
    """Remembers no proof, so that each request hashes."""

    def get(self, request: Any) -> Response:
        remembered.forget_all()
        # So that the turns go round: who has just had one is the quickest to ask again.
        time.sleep(0.05)
        return Response()


class Guessing(KeyView):
    """Answers after a guess at the key in the query that passes its tag, and is wrong."""

    def get(self, request: Any) -> Response:
        guess = with_right_tag(request.GET["key_id"], secret=f"{secrets.randbelow(10**40):043}")
        return Response({"guess": whoami(guess).status_code})


urlpatterns = [
    path("forgetful/", Forgetful.as_view()),
    path("guessing/", Guessing.as_view()),
    path("apikeys/", include("apikeys.urls")),
]
