"""Signed access tokens: written and read (RFC 9068)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from django.views.decorators.debug import sensitive_variables

from ..core.claim_names import TAKEN, is_claim_name, may_be_declared
from ..core.errors import ExpiredTokenError, InvalidTokenError
from ..core.networks import parse_network
from ..core.scopes import is_scope_name
from .json_text import END_OF_TIME
from .jws import UnknownSigningKeyError as UnknownSigningKeyError  # noqa: PLC0414  # callers know it from here
from .jws import Unverified, header_of, read_signed, write_signed
from .keys import KeySet, PrivateKey

TYPE: Final = "at+jwt"
_TYPES: Final = frozenset({TYPE, f"application/{TYPE}"})
_MOST_TEXT: Final = 255
_REMEMBERED_SCOPES: Final = 256


@dataclass(frozen=True, kw_only=True, init=False)
class SignedToken:
    """What a signed access token says."""

    issuer: str
    #: For whom it is. Of a token that was read: the one that was expected, and found.
    audience: str
    subject: str
    client_id: str
    #: Seconds since 1970, as are the others.
    issued_at: int
    expires_at: int
    jti: str
    scopes: tuple[str, ...]
    #: The API key that it was exchanged for, and its family; empty if for none.
    key_id: str
    family: str
    #: Lists of networks; the caller's address must be in each list.
    networks: tuple[tuple[str, ...], ...]
    #: What is said of client and key.
    claims: Mapping[str, Any] = field(repr=False)
    not_before: int | None = None

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        subject: str,
        client_id: str,
        issued_at: int,
        expires_at: int,
        jti: str,
        scopes: tuple[str, ...],
        key_id: str,
        family: str,
        networks: tuple[tuple[str, ...], ...],
        claims: Mapping[str, Any],
        not_before: int | None = None,
    ) -> None:
        # The one that a frozen dataclass has by itself sets field by field around its own lock, on each request.
        self.__dict__.update(
            issuer=issuer,
            audience=audience,
            subject=subject,
            client_id=client_id,
            issued_at=issued_at,
            expires_at=expires_at,
            jti=jti,
            scopes=scopes,
            key_id=key_id,
            family=family,
            networks=networks,
            claims=claims,
            not_before=not_before,
        )


def sign(token: SignedToken, *, key: PrivateKey) -> str:
    """Return *token* as a text that *key* has signed."""
    payload: dict[str, Any] = {name: value for name, value in token.claims.items() if may_be_declared(name)}
    payload.update(
        iss=token.issuer,
        aud=token.audience,
        sub=token.subject,
        client_id=token.client_id,
        iat=token.issued_at,
        exp=token.expires_at,
        jti=token.jti,
        scope=" ".join(token.scopes),
    )
    if token.not_before is not None:
        payload["nbf"] = token.not_before
    if token.key_id:
        payload["key_id"] = token.key_id
    if token.family:
        payload["family"] = token.family
    if token.networks:
        payload["networks"] = [list(networks) for networks in token.networks]
    return write_signed(payload, typ=TYPE, key=key)


def looks_signed(text: str) -> bool:
    """Whether *text* is three parts of which the first is a JSON object; also one that is too long to be read."""
    return header_of(text) is not None


def issuer_of(text: str | Unverified) -> str | None:
    """Return who says to have issued *text*, unverified; None where that can't be read."""
    payload = _unverified(text).payload
    issuer = None if payload is None else payload.get("iss")
    return issuer if isinstance(issuer, str) else None


def kid_of(text: str) -> str | None:
    """Return the name of the key that is said to have signed *text*, unverified; None where that can't be read."""
    header = header_of(text)
    return None if header is None else header.kid or None


@sensitive_variables("text")
def verify(
    text: str | Unverified, *, keys: KeySet, issuer: str, audience: str, now: datetime, leeway: timedelta
) -> SignedToken:
    """
    Return the access token in *text*, checked as RFC 9068 section 4 says.

    Raises:
        ExpiredTokenError: If it was good, and its end is *leeway* or longer ago.
        UnknownSigningKeyError: If its header is in order and names a key that is not in *keys*.
        InvalidTokenError: If it is anything else but a token of *issuer* for *audience* that counts now.
    """
    payload = read_signed(_unverified(text), types=_TYPES, keys=keys)
    if payload.get("iss") != issuer or not _is_for(audience, payload.get("aud")):
        raise InvalidTokenError
    if "cnf" in payload:
        # Bound to a key of its holder's (RFC 7800), of which nobody here asks a proof.
        raise InvalidTokenError
    token = SignedToken(
        issuer=issuer,
        audience=audience,
        subject=_text(payload, "sub"),
        client_id=_text(payload, "client_id"),
        issued_at=_instant(payload, "iat"),
        expires_at=_instant(payload, "exp"),
        # Rounded against the holder, as is the end.
        not_before=_instant(payload, "nbf", rounded=math.ceil) if "nbf" in payload else None,
        jti=_text(payload, "jti"),
        scopes=_scopes(payload.get("scope", "")),
        key_id=_text(payload, "key_id") if "key_id" in payload else "",
        family=_text(payload, "family") if "family" in payload else "",
        networks=_networks(payload["networks"]) if "networks" in payload else (),
        # The set first, which has nearly all of them: a pattern for each costs more.
        claims={name: value for name, value in payload.items() if name not in TAKEN and is_claim_name(name)},
    )
    require_current(token, now=now, leeway=leeway)
    return token


def require_current(token: SignedToken, *, now: datetime, leeway: timedelta) -> None:
    """
    Refuse a *token* that does not count now; *leeway* is how far the clocks may differ.

    Raises:
        ExpiredTokenError: If its end is *leeway* or longer ago.
        InvalidTokenError: If it counts, or was issued, later than *leeway* from now.
    """
    seconds = now.timestamp()
    tolerated = leeway.total_seconds()
    if seconds + tolerated < max(token.issued_at, token.not_before or 0):
        raise InvalidTokenError(key_id=token.key_id, family=token.family, client_id=token.client_id)
    if token.expires_at <= seconds - tolerated:
        raise ExpiredTokenError(
            key_id=token.key_id,
            family=token.family,
            client_id=token.client_id,
            at=datetime.fromtimestamp(token.expires_at, tz=UTC),
        )


def _unverified(text: str | Unverified) -> Unverified:
    return text if isinstance(text, Unverified) else Unverified(text)


def _is_for(audience: str, told: object) -> bool:
    audiences = told if isinstance(told, list) else [told]
    return audience in audiences and all(isinstance(item, str) for item in audiences)


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_TEXT or not value.isprintable():
        raise InvalidTokenError
    return value


def _instant(payload: Mapping[str, Any], name: str, *, rounded: Callable[[float], int] = math.floor) -> int:
    value = payload.get(name)
    # True is a number to Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < END_OF_TIME:
        raise InvalidTokenError
    return rounded(value)


def _scopes(told: object) -> tuple[str, ...]:
    names = _names(told) if isinstance(told, str) else None
    if names is None:
        raise InvalidTokenError
    return names


@lru_cache(maxsize=_REMEMBERED_SCOPES)
def _names(text: str) -> tuple[str, ...] | None:
    """Return the scopes that *text* names (RFC 6749 section 3.3), or None. Few texts are many tokens'."""
    names = text.split(" ") if text else []
    return tuple(dict.fromkeys(names)) if all(map(is_scope_name, names)) else None


def _networks(told: object) -> tuple[tuple[str, ...], ...]:
    """Return lists of networks; one that can't be read refuses the token, or it would be bound to fewer."""
    if not isinstance(told, list) or not all(isinstance(networks, list) for networks in told):
        raise InvalidTokenError
    if not all(isinstance(text, str) and parse_network(text) for networks in told for text in networks):
        raise InvalidTokenError
    return tuple(tuple(networks) for networks in told)
