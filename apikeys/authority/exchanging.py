"""
A signed token for an API key (RFC 8693, RFC 6749 section 4.4): never wider, never longer, never for another client.

What the token says is what the key may do at this moment. That the key, its client or its person is stopped afterwards,
or at the same time, and what is taken from the scopes or networks of key and client, is in the revocation list for as
long as the token lives. Claims, a Django right that the person loses and a scope that is declared no longer are not:
these count anew with the next token.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import router
from django.views.decorators.debug import sensitive_variables

from .. import lookup, verification
from ..conf import settings
from ..core import errors
from ..core.claims import visible
from ..core.credentials import RequestParts
from ..core.networks import allows
from ..core.principals import Principal
from ..core.scopes import RESERVED_BEGINNING
from ..lookup import Found
from ..models import APIKey
from ..registry import declared_claims
from ..signed.jws import MOST_CHARACTERS
from ..signed.tokens import SignedToken, sign
from . import outstanding
from .issuer import issuer
from .signing import signing_key
from .subjects import subject_of
from .token_refusals import TokenRefusedError, unauthenticated
from .token_requests import CLIENT_CREDENTIALS, TokenRequest

#: RFC 9068 counts whole seconds, so that no token can live for less.
_LEAST_LIFETIME = timedelta(seconds=1)
_JTI_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """A new token. Its text exists once, and nobody may have it before ``note_given``."""

    text: str = field(repr=False)
    lifetime_seconds: int
    issued_at: datetime
    scopes: tuple[str, ...]
    #: As RFC 8693 section 3 names it.
    token_type: str


@dataclass(frozen=True, kw_only=True)
class KeyHolder:
    """Who asks, verified, and the row of the key, read after that."""

    principal: Principal
    found: Found


@sensitive_variables()
def authenticate(asked: TokenRequest, parts: RequestParts, *, now: datetime) -> KeyHolder:
    """
    Return whom the key of *asked* is of, verified as on any request: its state, its networks, HTTPS.

    *parts* are of the request that brought it; what stands in their headers is not asked.

    Raises:
        CredentialError: If the key is refused.
    """
    principal = verification.authenticate_text(asked.key, parts, now=now)
    # Once more, whatever MAX_STALENESS and READ_REPLICA allow: a token outlives every snapshot.
    alias = router.db_for_write(APIKey)
    found = lookup.find(principal.key_id, alias=alias)
    if found is None:
        raise errors.UnknownKeyError
    holder = KeyHolder(principal=verification.principal_of(found, alias=alias, now=now), found=found)
    if not all(allows(bound, parts.address) for bound in found.networks):
        raise errors.AddressRefusedError(key_id=found.key_id, family=found.family)
    return holder


@sensitive_variables("text")
def exchange(holder: KeyHolder, asked: TokenRequest, *, now: datetime) -> IssuedToken:
    """
    Return the token that *holder* asks for, decided and signed. Nothing of the token is written.

    Raises:
        TokenRefusedError: If another client, a scope or a server was asked for that the key does not give.
        CredentialError: If the key ends in less than a second.
        NoSigningKeyError: If nothing can be signed.
    """
    principal = holder.principal
    _require_own_client(principal, asked)
    scopes = _scopes(principal, asked)
    audience = _audience(holder.found, asked)
    issued_at = math.floor(now.timestamp())
    expires_at = _expires_at(principal, issued_at=issued_at, now=now)
    token = SignedToken(
        issuer=issuer(),
        audience=audience,
        subject=subject_of(principal),
        client_id=principal.client_id,
        issued_at=issued_at,
        expires_at=expires_at,
        jti=secrets.token_urlsafe(_JTI_BYTES),
        scopes=scopes,
        key_id=principal.key_id,
        family=principal.family,
        networks=holder.found.networks,
        claims=visible(principal.claims, declared_claims(), audience=audience),
    )
    text = sign(token, key=signing_key(now=now))
    if len(text) > MOST_CHARACTERS:
        raise TokenRefusedError("invalid_scope", description="The token would be too long. Ask for fewer scopes.")
    return IssuedToken(
        text=text,
        lifetime_seconds=expires_at - issued_at,
        issued_at=datetime.fromtimestamp(issued_at, tz=UTC),
        scopes=scopes,
        token_type=asked.issued_token_type,
    )


def note_given(issued: IssuedToken, *, holder: KeyHolder) -> None:
    """Note that *holder* gets *issued*. It is written when this returns, outside a transaction."""
    lifetime = timedelta(seconds=issued.lifetime_seconds)
    outstanding.note(holder.found.key_pk, lifetime=lifetime, now=issued.issued_at)


def _require_own_client(principal: Principal, asked: TokenRequest) -> None:
    named = asked.client_id
    if named is None and asked.grant_type != CLIENT_CREDENTIALS:
        return
    if named != principal.client_id:
        raise unauthenticated(description="The key is not of this client.")


def _scopes(principal: Principal, asked: TokenRequest) -> tuple[str, ...]:
    if not asked.scopes:
        raise TokenRefusedError("invalid_scope", description="Name the scopes that the token shall have.")
    # What the app keeps for its own endpoints is of no use elsewhere, and there it takes the key.
    if any(name.startswith(RESERVED_BEGINNING) for name in asked.scopes) or not principal.has_scopes(*asked.scopes):
        raise TokenRefusedError("invalid_scope", description="The key does not have these scopes, or not now.")
    return asked.scopes


def _audience(found: Found, asked: TokenRequest) -> str:
    if len(asked.audiences) != 1:
        raise TokenRefusedError("invalid_target", description="Name one API server, as audience or as resource.")
    audience = asked.audiences[0]
    # Not for the authority itself either, whatever it was called when the client named it: nobody is told the
    # revocation list of that name.
    if audience == issuer() or audience not in found.client_audiences:
        raise TokenRefusedError("invalid_target", description="This client has no such API server.")
    return audience


def _expires_at(principal: Principal, *, issued_at: int, now: datetime) -> int:
    longest = issued_at + math.floor(settings.SIGNED_TOKEN_LIFETIME.total_seconds())
    if principal.expires_at is None:
        return longest
    if principal.expires_at - now < _LEAST_LIFETIME:
        raise errors.ExpiredKeyError(key_id=principal.key_id, family=principal.family, at=principal.expires_at)
    return min(longest, math.floor(principal.expires_at.timestamp()))
