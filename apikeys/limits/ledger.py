"""Where quotas are counted: in the database, which ``limits`` does not know. The app puts the ledger here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ..core.rates import Quota
from ..core.standings import Standing


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a ledger answers: all quotas were spent, or none."""

    #: The quota that has not enough left; None where the request was admitted.
    refused: Quota | None
    #: One of each quota, in their order, after the spending. Of the one that refused, ``reset_seconds`` is how long to
    #: wait; the names are those of the quotas.
    standings: tuple[Standing, ...]
    #: What the ledger needs to give it back.
    lease: Any = field(default=None, repr=False)

    @property
    def is_admitted(self) -> bool:
        """Whether every quota had enough left."""
        return self.refused is None


class Ledger(Protocol):
    """Counts quotas."""

    def take(self, family: str, quotas: Sequence[Quota], *, cost: int, now: datetime) -> Taken:
        """
        Spend *cost* of all *quotas* of *family*, or of none.

        Raises:
            LimitsUnavailableError: If it can't be known what is left.
        """

    def give_back(self, taken: Taken) -> None:
        """Undo *taken*, which was admitted, because something else refused the request."""


_ledger: Ledger | None = None


def use(ledger: Ledger | None) -> None:
    """Count quotas in *ledger* from now on; with None, requests of callers that have quotas fail."""
    global _ledger  # noqa: PLW0603  # one ledger of the process, put here by the app
    _ledger = ledger


def current() -> Ledger | None:
    """Return where quotas are counted."""
    return _ledger
