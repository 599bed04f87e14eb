"""What a run is told, handed to its processes through the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

Database = Literal["sqlite", "postgres"]

#: How many keys a process sends, and all that a table holds unless more are asked for.
SENT_KEYS = 10_000


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Which contender a process is, and where its tables are."""

    database: Database
    #: For databases in files, and for the credentials that were made.
    directory: Path
    #: Rows in the table of keys.
    keys: int = SENT_KEYS
    contender: str = "unauthenticated"
    #: Empty for none: then processes share no cache.
    redis_url: str = ""
    #: Before every name in that cache: what an earlier run has proven must not help this one.
    run: str = ""

    @classmethod
    def of_process(cls) -> Self:
        """Return what this process was told."""
        given = os.environ
        database: Database = "postgres" if given["BENCHMARK_DATABASE"] == "postgres" else "sqlite"
        return cls(
            database=database,
            directory=Path(given["BENCHMARK_DIRECTORY"]),
            keys=int(given["BENCHMARK_KEYS"]),
            contender=given["BENCHMARK_CONTENDER"],
            redis_url=given["BENCHMARK_REDIS_URL"],
            run=given["BENCHMARK_RUN"],
        )

    def for_process(self) -> dict[str, str]:
        """Return the environment of a process that is told the same."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "BENCHMARK_DATABASE": self.database,
            "BENCHMARK_DIRECTORY": str(self.directory),
            "BENCHMARK_KEYS": str(self.keys),
            "BENCHMARK_CONTENDER": self.contender,
            "BENCHMARK_REDIS_URL": self.redis_url,
            "BENCHMARK_RUN": self.run,
        }
