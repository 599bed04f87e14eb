"""The access token of a request, read off its headers: no query, and nothing is decided."""

from __future__ import annotations

from collections.abc import Callable

from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..core import bearer
from ..core.credentials import RequestParts
from ..core.errors import AmbiguousCredentialError, HTTPSRequiredError, InvalidTokenError, TokenInQueryError

#: Longer texts are no token: of the toolkit's own, and of none that fits into a header with others.
MOST_LETTERS = 512


def presents(parts: RequestParts) -> bool:
    """Whether *parts* hold an access token, good or bad, in their headers or in the address."""
    return _presented(parts) is not None or bearer.exposed_token(parts) is not None


def presents_key(parts: RequestParts) -> bool:
    """Whether ``Authorization: Bearer`` holds what claims to be an API key."""
    return bearer.presents_key(parts, prefix=settings.PREFIX)


@sensitive_variables("token", "exposed")
def read(parts: RequestParts, *, note: Callable[[str, str], object]) -> str | None:
    """
    Return the token of *parts*, or None where there is none.

    One that left its place, in the address or in the clear, is handed to *note* with the code that refuses it.

    Raises:
        CredentialError: If it stands in the address, is one of two, crossed the network in the clear, or is no text
            that a token can be (RFC 6750 section 2.1).
    """
    exposed = bearer.exposed_token(parts)
    if exposed is not None:
        note(exposed, TokenInQueryError.code)
        raise TokenInQueryError
    token = _presented(parts)
    if token is None:
        return None
    # Two headers of one name arrive joined by a comma, which no token contains.
    if "," in token:
        raise AmbiguousCredentialError(about="token")
    if not is_token(token):
        raise InvalidTokenError
    if not parts.is_secure and settings.REQUIRE_HTTPS:
        note(token, HTTPSRequiredError.code)
        raise HTTPSRequiredError(about="token")
    return token


def is_token(text: str) -> bool:
    """Whether *text* is written as a token is; it may still be unknown."""
    return len(text) <= MOST_LETTERS and bearer.is_token68(text)


def _presented(parts: RequestParts) -> str | None:
    return bearer.presented_token(parts, prefix=settings.PREFIX)
