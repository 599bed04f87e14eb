"""``SignedTokenAuthentication``: tokens that this server verifies by itself, with the authority's published keys."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import dropwhile, islice
from typing import Any

from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import (
    BasicAuthentication,
    RemoteUserAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.request import Request

from ..conf import settings
from ..core import bearer, errors
from ..core.credentials import RequestParts
from ..core.principals import Principal
from ..drf.principals import PrincipalAuthentication
from ..signed.jws import Unverified
from ..signed.tokens import SignedToken, issuer_of
from . import callers, polling, signed_bearer, verifying

#: REST framework's own, which read no bearer token.
_READ_NO_BEARER = (BasicAuthentication, RemoteUserAuthentication, SessionAuthentication)


class SignedTokenAuthentication(PrincipalAuthentication):
    """
    Take signed access tokens of the authority in ``Authorization: Bearer`` (RFC 9068, RFC 6750 section 2.1).

    The authority is asked for its keys and its revocation list now and then, and for no token. In its view every
    bearer token that looks signed is for this class, wherever it stands. One of another issuer, and a bearer token
    that no class of ours reads, is left to what comes after it and may read bearer tokens; where nothing does it is
    refused, also where the view lets anybody in.
    """

    credentials = ("token",)

    def presents(self, parts: RequestParts) -> bool:
        return signed_bearer.presented(parts) is not None or signed_bearer.is_exposed(parts)

    def leave(self, parts: RequestParts) -> RequestParts:
        return signed_bearer.without(parts)

    @sensitive_variables("text")
    def verify(self, request: Request, parts: RequestParts, *, now: datetime) -> Principal | None:
        try:
            text = self._read(request, parts)
            if text is None:
                return None
            token = verifying.recall(text, now=now)
            if token is None:
                # Both want what it says.
                unverified = Unverified(text)
                if not _is_ours(unverified):
                    self._leave_to_others(request)
                    return None
                token = verifying.verified(unverified, now=now)
            return _principal(token, parts, now=now)
        except errors.CredentialError as error:
            self.note_refusal(error, parts, now=now)
            raise

    def note_refusal(self, error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
        callers.note_refusal(error, parts)

    @sensitive_variables("text")
    def _read(self, request: Request, parts: RequestParts) -> str | None:
        """Return the token that looks signed, once what costs nothing to refuse is refused; None for none."""
        if signed_bearer.is_exposed(parts):
            raise errors.TokenInQueryError
        text = signed_bearer.presented(parts)
        if text is None:
            if _holds_bearer(parts) and not any(way.presents(parts) for way in _ours(request)):
                self._leave_to_others(request)
            return None
        # Two headers of one name arrive joined by a comma, which no token contains.
        if "," in text or (_stands_beside_key(parts) and _is_ours(text)):
            raise errors.AmbiguousCredentialError(about="token")
        if not parts.is_secure and settings.REQUIRE_HTTPS and _is_ours(text):
            raise errors.HTTPSRequiredError(about="token")
        return text

    def _leave_to_others(self, request: Request) -> None:
        """
        Leave the bearer token of *request* to somebody else's class that comes after this one.

        Raises:
            InvalidTokenError: If there is none. What nobody reads must not pass for no credential at all.
        """
        # Where another class calls this one, the view knows only that, and nothing is known to come after this one.
        here_and_after = dropwhile(lambda way: way is not self, request.authenticators or ())
        if not any(map(_may_read_bearer, islice(here_and_after, 1, None))):
            raise errors.InvalidTokenError


def _holds_bearer(parts: RequestParts) -> bool:
    prefix = settings.PREFIX
    return bearer.presented_token(parts, prefix=prefix) is not None or bearer.presents_key(parts, prefix=prefix)


def _stands_beside_key(parts: RequestParts) -> bool:
    # Where keys don't stand in that header, whatever is in there is none.
    return "x-api-key" in parts.headers and "x-api-key" in settings.CREDENTIAL_SOURCES


def _ours(request: Request) -> list[PrincipalAuthentication]:
    return [way for way in request.authenticators or () if isinstance(way, PrincipalAuthentication)]


def _is_ours(text: str | Unverified) -> bool:
    # Where the settings name no authority, nothing is left to others unread: ``verifying`` says what is missing.
    return not settings.ISSUER or issuer_of(text) == settings.ISSUER


def _may_read_bearer(way: Any) -> bool:
    if isinstance(way, PrincipalAuthentication):
        return False
    if isinstance(way, TokenAuthentication):
        return str(way.keyword).lower() == "bearer"
    return not isinstance(way, _READ_NO_BEARER)


def _principal(token: SignedToken, parts: RequestParts, *, now: datetime) -> Principal:
    scopes = polling.scopes_now(token, now=now)
    networks = polling.networks_now(token)
    callers.require_address(networks, parts, about="token", key_id=token.key_id, family=token.family)
    try:
        return callers.principal_of(
            kind="signed_token",
            subject=token.subject,
            client_id=token.client_id,
            scopes=scopes,
            expires_at=datetime.fromtimestamp(token.expires_at, tz=UTC),
            key_id=token.key_id,
            family=token.family,
            claims=token.claims,
        )
    except ValueError as error:
        # RFC 9068 section 5: who is a person and who a client must not be for the token's holder to choose.
        raise errors.InvalidTokenError(client_id=token.client_id) from error
