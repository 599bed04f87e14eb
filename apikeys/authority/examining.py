"""
What an API server may know of a credential that it was handed (RFC 7662).

Always as it is now: the state is read anew, and where it is written, whatever ``MAX_STALENESS`` and ``READ_REPLICA``
allow elsewhere. What is inactive is so in one way, and behind a right tag costs the same work, so that nobody learns
here which keys there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.views.decorators.debug import sensitive_variables

from .. import counting, lookup, verification
from ..conf import settings
from ..core import claims, errors, outcomes
from ..core.calls import Call
from ..core.credentials import RequestParts
from ..core.principals import Principal
from ..core.scopes import RESERVED_BEGINNING
from ..lookup import Words
from ..registry import declared_claims
from ..signed import tokens
from . import rows, signing
from .issuer import issuer
from .subjects import subject_of
from .texts import claims_to_be_key, claims_to_be_signed

#: Where a credential was shown is not told to the authority, and is not where the API server is.
_NOWHERE = RequestParts(headers={})
_LONGEST_ROUTE = 200


@dataclass(frozen=True, kw_only=True)
class Asker:
    """The API server that asks."""

    #: What tokens and the clients' ``audiences`` call it.
    resource: str
    #: Whether it refuses addresses by itself. Who does not is told nothing of what is bound to networks.
    enforces_networks: bool


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A credential that works, and that the asker may know."""

    kind: str
    principal: Principal
    #: Those that count elsewhere.
    scopes: Words
    #: Lists of networks; whoever presents it must be in each list.
    networks: tuple[Words, ...]
    #: The first second in which it is dead; None for no end.
    ends_at: int | None
    issued_at: int | None
    username: str = ""
    jti: str = ""


@sensitive_variables("text")
def examine(text: str, *, asker: Asker, now: datetime) -> dict[str, Any] | None:
    """
    Return what *asker* is told of the key or token *text* (RFC 7662 section 2.2), None where it is not active.

    What is told counts as a use of the credential, and spends none of its limits. What is refused, and was issued
    here, counts as a refusal, from an unknown address: that of the asker is no guesser's.

    Raises:
        TooManyHashesError: If nobody can tell now.
    """
    try:
        examined = _examined(text, asker=asker, now=now)
    except errors.TooManyHashesError:
        # Not "inactive": the key may well be good.
        raise
    except errors.CredentialError as error:
        if error.key_id or error.client_id:
            verification.leave_refusal(error, _NOWHERE, now=now)
        return None
    if examined is None:
        return None
    _count(examined, asker=asker, now=now)
    return _answer(examined, asker=asker)


@sensitive_variables("text")
def _examined(text: str, *, asker: Asker, now: datetime) -> Examined | None:
    if claims_to_be_key(text):
        return _examined_key(text, asker=asker, now=now)
    if claims_to_be_signed(text):
        return _examined_signed(text, asker=asker, now=now)
    return _examined_oauth(text, asker=asker, now=now) if apps.is_installed("apikeys.oauth") else None


@sensitive_variables("text")
def _examined_key(text: str, *, asker: Asker, now: datetime) -> Examined | None:
    alias = rows.database()
    found = verification.find_genuine(text, alias=alias)
    if found is None:
        return None
    principal = verification.principal_of(found, alias=alias, now=now)
    _require_shown(principal, found.client_audiences, found.networks, asker=asker)
    created_at, username = rows.origin_of(found.key_id)
    verification.note_use(found, now=now)
    return Examined(
        kind="api_key",
        principal=principal,
        scopes=_elsewhere(principal.scopes),
        networks=found.networks,
        ends_at=_seconds(principal.expires_at),
        issued_at=_seconds(created_at),
        username=username,
        jti=found.key_id,
    )


@sensitive_variables("text")
def _examined_signed(text: str, *, asker: Asker, now: datetime) -> Examined:
    token = tokens.verify(
        text,
        keys=signing.published_keys(now=now),
        issuer=issuer(),
        audience=asker.resource,
        now=now,
        leeway=settings.CLOCK_LEEWAY,
    )
    ids: dict[str, Any] = {"key_id": token.key_id, "family": token.family, "client_id": token.client_id}
    # The leeway is for clocks that differ, and the one that wrote the end is this one.
    if token.expires_at <= now.timestamp():
        raise errors.ExpiredTokenError(**ids)
    alias = rows.database()
    found = lookup.find(token.key_id, alias=alias) if token.key_id else None
    if found is None:
        raise errors.InvalidTokenError
    try:
        principal = verification.principal_of(found, alias=alias, now=now)
    except errors.CredentialError as error:
        # As what it is: that a token of a dead key is still about raises no alarm about the key.
        raise errors.InvalidTokenError(**ids) from error
    if (token.client_id, token.subject) != (found.client_id, subject_of(principal)) or rows.is_revoked(token.jti):
        raise errors.InvalidTokenError(**ids)
    networks = tuple(dict.fromkeys([*token.networks, *found.networks]))
    _require_shown(principal, found.client_audiences, networks, asker=asker)
    verification.note_use(found, now=now)
    key_ends_at = _seconds(principal.expires_at)
    return Examined(
        kind="signed_token",
        principal=principal,
        scopes=_elsewhere(principal.scopes.intersection(token.scopes)),
        networks=networks,
        ends_at=token.expires_at if key_ends_at is None else min(token.expires_at, key_ends_at),
        issued_at=token.issued_at,
        username=_username(principal),
        jti=token.jti,
    )


@sensitive_variables("text")
def _examined_oauth(text: str, *, asker: Asker, now: datetime) -> Examined | None:
    from ..oauth import bearer, proving  # noqa: PLC0415  # where it is installed
    from ..oauth import rows as oauth_rows  # noqa: PLC0415  # likewise
    from ..oauth import tokens as oauth_tokens  # noqa: PLC0415  # likewise

    alias = oauth_rows.access_tokens().db
    found = oauth_tokens.find(text, alias=alias) if bearer.is_token(text) else None
    if found is None:
        return None
    principal = proving.principal_of(found, alias=alias, now=now)
    if not proving.is_for(found, asker.resource):
        raise errors.NotForServerError(client_id=found.client_id, about="token")
    networks = () if found.client_networks is None else (found.client_networks,)
    _require_shown(principal, found.client_audiences, networks, asker=asker)
    proving.note_use(found, now=now)
    return Examined(
        kind="oauth_token",
        principal=principal,
        scopes=_elsewhere(principal.scopes),
        networks=networks,
        ends_at=_seconds(principal.expires_at),
        issued_at=_seconds(found.issued_at),
        username=_username(principal),
    )


def _require_shown(principal: Principal, audiences: Words, networks: tuple[Words, ...], *, asker: Asker) -> None:
    ids: dict[str, Any] = {"key_id": principal.key_id, "family": principal.family, "client_id": principal.client_id}
    if asker.resource not in audiences:
        raise errors.NotForServerError(**ids)
    if networks and not asker.enforces_networks:
        raise errors.NetworksNotEnforcedError(**ids)
    if not all(networks):
        # An empty list is no network at all.
        raise errors.AddressRefusedError(**ids)


def _elsewhere(scopes: Iterable[str]) -> Words:
    """Return *scopes* without those of this app's own endpoints, which are nowhere but here."""
    return tuple(sorted(name for name in scopes if not name.startswith(RESERVED_BEGINNING)))


def _username(principal: Principal) -> str:
    return str(principal.user.get_username()) if principal.acts_for_user else ""


def _seconds(instant: datetime | None) -> int | None:
    # Rounded down: an end is never told later than it is.
    return None if instant is None else int(instant.timestamp())


def _count(examined: Examined, *, asker: Asker, now: datetime) -> None:
    call = Call(examined.principal)
    # Which of them the request needs is not told to the authority: none may be called unneeded.
    call.scopes.update(examined.scopes)
    counting.count_call(
        call,
        route=f"introspection {asker.resource}"[:_LONGEST_ROUTE],
        method="",
        outcome=outcomes.OK,
        user_agent="",
        now=now,
    )


def _answer(examined: Examined, *, asker: Asker) -> dict[str, Any]:
    principal = examined.principal
    members: dict[str, Any] = {
        "username": examined.username,
        "exp": examined.ends_at,
        "iat": examined.issued_at,
        "jti": examined.jti,
        "key_id": principal.key_id,
        "family": principal.family,
        "networks": [list(networks) for networks in examined.networks],
    }
    return {
        # First, so that no claim can stand for anything below.
        **claims.visible(principal.claims, declared_claims(), audience=asker.resource),
        **{name: value for name, value in members.items() if value not in (None, "", [])},
        "active": True,
        "scope": " ".join(examined.scopes),
        "client_id": principal.client_id,
        "client_name": principal.client_name,
        "sub": subject_of(principal),
        "aud": asker.resource,
        "iss": issuer(),
        "token_type": "Bearer",
        "kind": examined.kind,
    }
