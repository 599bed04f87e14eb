"""``IntrospectionAuthentication``: keys and tokens that the authority is asked about."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import lru_cache
from typing import ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request

from ..conf import settings
from ..core import bearer, errors
from ..core.credentials import RequestParts
from ..core.keyformat import KeyText
from ..core.principals import Principal
from ..core.schemes import KeyScheme
from ..drf.principals import PrincipalAuthentication
from . import asking, callers, complaints
from .answers import Introspection

#: Longer texts are no token, and no header has room for them beside others.
_MOST_LETTERS = 8192


class IntrospectionAuthentication(PrincipalAuthentication):
    """
    Take API keys and access tokens, and ask the authority about each (RFC 7662).

    Nothing is decided here but what the authority leaves to its API servers: that the answer is of ``ISSUER``, for
    ``AUDIENCE`` and of this time, and that the caller is where the key may be used. Where there is no answer, nobody is
    let in and no key is called bad: 503 with ``Retry-After``. A token that looks signed is left to
    ``SignedTokenAuthentication`` where the view has that as well.
    """

    credentials = ("key",)
    otherwise: ClassVar[tuple[str, ...]] = ("token",)

    def presents(self, parts: RequestParts) -> bool:
        try:
            if _scheme().read(parts) is not None:
                return True
        except errors.CredentialError:
            return True
        token = bearer.presented_token(parts, prefix=settings.PREFIX)
        return token is not None or bearer.exposed_token(parts) is not None

    def verify(self, request: Request, parts: RequestParts, *, now: datetime) -> Principal | None:
        try:
            return _verified(parts, now=now)
        except errors.CredentialError as error:
            self.note_refusal(error, parts, now=now)
            raise

    def note_refusal(self, error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
        callers.note_refusal(error, parts)


@sensitive_variables("token", "text")
def _verified(parts: RequestParts, *, now: datetime) -> Principal | None:
    if bearer.exposed_token(parts) is not None:
        raise errors.TokenInQueryError
    credential = _scheme().read(parts)
    token = bearer.presented_token(parts, prefix=settings.PREFIX)
    if credential is not None and token is not None:
        raise errors.AmbiguousCredentialError(about="token")
    if credential is not None and credential.key_text is not None:
        text, about = _admitted_key(credential.key_text, parts), "key"
    elif token is not None:
        text, about = _admitted_token(token, parts), "token"
    else:
        return None
    issuer, audience = settings.ISSUER, settings.AUDIENCE
    if not issuer or not audience:
        raise ImproperlyConfigured("APIKEYS needs ISSUER, the authority, and AUDIENCE, this server.")
    found = asking.introspect(text, about=about, now=now)
    if found is None:
        raise _unknown(about)
    _require_meant(found, about=about, issuer=issuer, audience=audience, now=now)
    callers.require_address(found.networks, parts, about=about, key_id=found.key_id, family=found.family)
    return _principal(found, about=about)


def _admitted_key(key_text: KeyText, parts: RequestParts) -> str:
    """Return the whole key, once what the authority need not be asked about is refused: plain HTTP, the mode."""
    if not parts.is_secure and settings.REQUIRE_HTTPS:
        raise errors.HTTPSRequiredError(key_text=key_text)
    if key_text.mode != settings.MODE:
        raise errors.WrongModeError(presented=key_text.mode, expected=settings.MODE)
    return key_text.plaintext


@sensitive_variables("token")
def _admitted_token(token: str, parts: RequestParts) -> str:
    """Return *token*, once what the authority need not be asked about is refused: two of them, plain HTTP, no token."""
    # Two headers of one name arrive joined by a comma, which no token contains.
    if "," in token:
        raise errors.AmbiguousCredentialError(about="token")
    if len(token) > _MOST_LETTERS or not bearer.is_token68(token):
        raise errors.InvalidTokenError
    if not parts.is_secure and settings.REQUIRE_HTTPS:
        raise errors.HTTPSRequiredError(about="token")
    return token


def _require_meant(found: Introspection, *, about: str, issuer: str, audience: str, now: datetime) -> None:
    if not found.is_for(issuer=issuer, audience=audience):
        # With an authority of ours no token brings this about: the settings of both sides differ.
        complaints.tell(
            "The authority told of a key or token that is not of APIKEYS['ISSUER'], or not for APIKEYS['AUDIENCE'].",
            level=logging.ERROR,
        )
        raise _unknown(about)
    leeway = settings.CLOCK_LEEWAY
    if found.has_ended(now=now, leeway=leeway):
        kind = errors.ExpiredKeyError if about == "key" else errors.ExpiredTokenError
        raise kind(key_id=found.key_id, family=found.family, at=found.expires_at)
    if not found.is_bearer or not found.has_begun(now=now, leeway=leeway):
        raise _unknown(about)


def _principal(found: Introspection, *, about: str) -> Principal:
    try:
        return callers.principal_of(
            # Not a key unless one was presented: some views take keys alone.
            kind=found.kind or ("api_key" if about == "key" else "oauth_token"),
            subject=found.subject,
            client_id=found.client_id,
            client_name=found.client_name,
            key_id=found.key_id,
            family=found.family,
            username=found.username,
            scopes=found.scopes,
            expires_at=found.expires_at,
            claims=found.claims,
        )
    except ValueError as error:
        complaints.tell("The authority's answer can't be used: %s.", error)
        raise errors.AuthorityUnavailableError(retry_after_seconds=1, about=about) from error


def _unknown(about: str) -> errors.CredentialError:
    return errors.UnknownKeyError() if about == "key" else errors.InvalidTokenError()


def _scheme() -> KeyScheme:
    return _scheme_of(settings.PREFIX, settings.CREDENTIAL_SOURCES)


@lru_cache(maxsize=4)
def _scheme_of(prefix: str, sources: tuple[str, ...]) -> KeyScheme:
    # Not the project's SCHEMES: the authority can be asked about texts alone.
    return KeyScheme(prefix=prefix, sources=sources)
