"""What is left of the limits, as header fields (draft-ietf-httpapi-ratelimit-headers)."""

from __future__ import annotations

from collections.abc import Sequence

from ..conf import settings
from ..core.standings import Standing


def header_fields(standings: Sequence[Standing]) -> dict[str, str]:
    """Return the header fields that tell how *standings* are, as ``RATE_LIMIT_HEADERS`` asks for them."""
    kind = settings.RATE_LIMIT_HEADERS
    if not standings or kind == "off":
        return {}
    fields = {}
    if kind in {"draft", "both"}:
        # Lists of Strings with parameters (RFC 9651). Names of limits hold nothing that a String would escape.
        fields["RateLimit-Policy"] = ", ".join(map(_policy, standings))
        fields["RateLimit"] = ", ".join(
            f'"{standing.name}";r={standing.remaining};t={standing.reset_whole_seconds}' for standing in standings
        )
    if kind in {"legacy", "both"}:
        tightest = min(standings, key=lambda standing: standing.remaining / standing.amount)
        fields["X-RateLimit-Limit"] = str(tightest.amount)
        fields["X-RateLimit-Remaining"] = str(tightest.remaining)
        fields["X-RateLimit-Reset"] = str(tightest.reset_whole_seconds)
    return fields


def _policy(standing: Standing) -> str:
    window = "" if standing.window_seconds is None else f";w={standing.window_seconds}"
    return f'"{standing.name}";q={standing.amount}{window}'
