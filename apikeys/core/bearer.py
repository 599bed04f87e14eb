"""The access token of a request, as its headers and its address hold it. Nothing is decided here."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from .credentials import RequestParts

#: RFC 6750 section 2.1, ``token68`` of RFC 9110 section 11.2.
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
#: Servers join repeated headers by a comma, with a space behind it or without.
_BEHIND = re.compile(r",[ \t]*bearer ", re.IGNORECASE)
#: RFC 6750 section 2.3, which RFC 9700 took back.
_PARAMETER = "access_token"


def presented_token(parts: RequestParts, *, prefix: str) -> str | None:
    """
    Return what ``Authorization: Bearer`` holds, or None where it holds nothing, or an API key of *prefix*.

    Of a repeated header it is all of them, joined by a comma, which no token contains.
    """
    authorization = _authorization(parts)
    word, _, value = authorization.partition(" ")
    if word.lower() == "bearer":
        value = value.strip(" \t")
        is_key = value.startswith(f"{prefix}_") and "," not in value
        return None if is_key else value
    # A repeated header whose first value belongs to somebody else.
    return authorization if "," in authorization and _BEHIND.search(authorization) else None


def presents_key(parts: RequestParts, *, prefix: str) -> bool:
    """Whether ``Authorization: Bearer`` holds what claims to be an API key of *prefix*."""
    word, _, value = _authorization(parts).partition(" ")
    return word.lower() == "bearer" and value.strip(" \t").startswith(f"{prefix}_")


def exposed_token(parts: RequestParts) -> str | None:
    """Return the token in the address of *parts*, or None; of several the first."""
    return next(iter(exposed_tokens(parts)), None)


def exposed_tokens(parts: RequestParts) -> list[str]:
    """Return the tokens in the address of *parts*."""
    # Substring tests keep this off the path of every honest request; the name may be encoded.
    text = parts.query_string
    if not text or (_PARAMETER not in text and "%" not in text):
        return []
    return [value for name, value in parse_qsl(text, keep_blank_values=True) if name == _PARAMETER]


def is_token68(text: str) -> bool:
    """Whether *text* is written as a token is."""
    return _TOKEN68.fullmatch(text) is not None


def _authorization(parts: RequestParts) -> str:
    return parts.headers.get("authorization", "").strip(" \t")
