"""How a request ended, in one word: the one place that says which words mean that it was denied or failed."""

from __future__ import annotations

from typing import Final

OK: Final = "ok"
#: Verified, and sent away: over a limit, or without a scope that was needed.
LIMITED: Final = "limited"
SCOPE_MISSING: Final = "scope_missing"
#: Answered, while the storage of the rates was down, so that they did not count.
UNCOUNTED: Final = "limits_unavailable"
#: All answers from 500 on.
FAILED: Final = "5xx"

#: In the place of the scopes of a count: too many to be said, so that none of those held may be taken for unneeded.
SCOPES_UNSAID: Final = "*"

#: Statuses that say no to the caller. The other 4xx say no to what was asked.
DENYING_STATUSES: Final = frozenset({"401", "403"})


def is_failed(outcome: str) -> bool:
    """Whether the service failed."""
    return outcome == FAILED


def is_denied(outcome: str) -> bool:
    """Whether the caller was sent away: refused, limited, without the scope. An unknown word is a refusal's code."""
    if outcome in {OK, UNCOUNTED, FAILED}:
        return False
    return outcome in DENYING_STATUSES or not outcome.isdigit()
