"""What the test's process and its workers tell each other. No Django here: a worker reads it before its set-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The first that a worker hears."""

    #: By alias, the name of the database that the test runs in.
    databases: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The worker has set Django up; its clock says *clock*."""

    clock: float


@dataclass(frozen=True, kw_only=True)
class Round:
    """Send a request to *url*, tell its answer, and once told to go on send others, until told to finish."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One request: when it was sent and answered, with which status and ``code``."""

    started_at: float
    finished_at: float
    status: int
    code: str

    def __str__(self) -> str:
        return f"{self.status} {self.code}".rstrip()

    @property
    def is_admitted(self) -> bool:
        """Whether the key was let in."""
        return self.status < 400


@dataclass(frozen=True, kw_only=True)
class GoOn:
    """Everybody's first request is answered."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """End the round once *requests* more were started after the instant *after*."""

    after: float
    requests: int


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The worker can't go on."""

    why: str
