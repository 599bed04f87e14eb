"""``OAuthTokenAuthentication``: access tokens for the same views, permissions and limits as keys."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.utils.encoding import escape_uri_path
from rest_framework.request import Request

from .. import verification
from ..core import errors
from ..core.credentials import RequestParts
from ..core.principals import Principal
from ..drf.principals import PrincipalAuthentication
from . import bearer, proving


class OAuthTokenAuthentication(PrincipalAuthentication):
    """
    Take access tokens in ``Authorization: Bearer`` (RFC 6750 section 2.1).

    ``request.auth`` is the ``Principal``, ``request.user`` the person who consented, or a ``ClientUser`` for a client's
    own token. What claims to be a key is left to ``APIKeyAuthentication`` where the view has it; any other bearer
    token that is not known here is refused, also where the view lets anybody in.
    """

    credentials = ("token",)

    def presents(self, parts: RequestParts) -> bool:
        return bearer.presents(parts)

    def verify(self, request: Request, parts: RequestParts, *, now: datetime) -> Principal | None:
        ours = [way for way in request.authenticators or () if isinstance(way, PrincipalAuthentication)]
        takes_keys = any("key" in way.credentials for way in ours)
        if not takes_keys and (error := _error_of_key(parts)) is not None:
            verification.leave_refusal(error, parts, now=now)
            raise error
        return proving.authenticate(parts, uri=partial(address_of, request, parts), now=now)

    def note_refusal(self, error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
        verification.leave_refusal(error, parts, now=now)


def address_of(request: Request, parts: RequestParts) -> str:
    """Return the address that *request* asks for, without its query, escaped anew."""
    inner = request._request
    # The path was decoded: a question mark in it would end it here.
    return f"{'https' if parts.is_secure else 'http'}://{inner.get_host()}{escape_uri_path(inner.path)}"


def _error_of_key(parts: RequestParts) -> errors.CredentialError | None:
    """Return why a key in *parts* is refused by a view that takes tokens alone; None where there is no key."""
    if bearer.presents(parts):
        return errors.AmbiguousCredentialError(about="token") if verification.presents(parts) else None
    return errors.InvalidTokenError() if bearer.presents_key(parts) else None
