"""The signed token of a request, as its headers and its address hold it. Nothing is decided, and nothing verified."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..core import bearer
from ..core.credentials import RequestParts
from ..signed.tokens import looks_signed

_BETWEEN_WORDS = re.compile(r"[ \t,]+")
#: Of a repeated header, how many are looked at. None is taken, however many there are, and each look costs.
_MOST_WORDS = 8


@sensitive_variables("token")
def presented(parts: RequestParts) -> str | None:
    """
    Return what ``Authorization: Bearer`` holds, if it looks signed; None for anything else.

    Of a repeated header it is all of them, joined by a comma, if one of them looks signed.
    """
    token = bearer.presented_token(parts, prefix=settings.PREFIX)
    if token is None:
        return None
    is_signed = (
        any(map(looks_signed, _BETWEEN_WORDS.split(token, _MOST_WORDS))) if "," in token else looks_signed(token)
    )
    return token if is_signed else None


def is_exposed(parts: RequestParts) -> bool:
    """Whether a token in the address of *parts* looks signed."""
    return any(map(looks_signed, bearer.exposed_tokens(parts)))


def without(parts: RequestParts) -> RequestParts:
    """Return *parts* without the tokens that look signed."""
    if presented(parts) is not None:
        headers = {name: value for name, value in parts.headers.items() if name != "authorization"}
        parts = replace(parts, headers=headers)
    if is_exposed(parts):
        left = [pair for pair in parse_qsl(parts.query_string, keep_blank_values=True) if not looks_signed(pair[1])]
        parts = replace(parts, query_string=urlencode(left))
    return parts
