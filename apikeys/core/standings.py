"""What is left of a limit, once a request was counted."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One limit of a caller, as it stands."""

    #: What the policy is called in header fields: ``minute``, ``search-minute``, ``quota-month``.
    name: str
    amount: int
    remaining: int
    #: Seconds until more is left: of a limit that refused, until the same request passes if nobody else spends.
    reset_seconds: float
    #: How long the window is; None for a quota, whose month has no constant length.
    window_seconds: int | None = None

    @property
    def reset_whole_seconds(self) -> int:
        """``reset_seconds``, rounded up: what is told must not be too early."""
        return math.ceil(self.reset_seconds)
