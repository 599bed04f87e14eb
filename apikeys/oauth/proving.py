"""
An access token to a ``Principal``: who is calling.

One indexed SELECT, nothing written. What a token may do is read on every request, however old a reading
``MAX_STALENESS`` allows of keys: a person who withdraws a consent is done with it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

from django.core.signals import setting_changed
from django.views.decorators.debug import sensitive_variables
from oauth2_provider.models import get_access_token_model

from .. import events, owners, pending, verification
from ..conf import settings
from ..core import claims, errors
from ..core.credentials import RequestParts
from ..core.networks import allows
from ..core.principals import Principal
from ..core.rates import strictest_quotas, strictest_rates
from ..core.scopes import RESERVED_BEGINNING, Scope
from ..lookup import Words
from ..models import LAST_USED_ACCURACY, Client, EventKind
from ..policy import service_keys_available
from ..registry import declared_claims, effective
from . import bearer, consents, tokens
from .tokens import FoundToken

#: What a token that left its place leaves on record, by the code that refuses it.
_EXPOSED = {
    errors.TokenInQueryError.code: EventKind.SENT_IN_QUERY,
    errors.HTTPSRequiredError.code: EventKind.SENT_IN_CLEAR,
}


@sensitive_variables("token")
def authenticate(
    parts: RequestParts,
    *,
    uri: Callable[[], str],
    now: datetime,
    leave_use: Callable[[pending.Item], object] = pending.leave,
) -> Principal | None:
    """
    Return who is calling, or None where *parts* hold no access token. *leave_use* takes the note of the use.

    *uri* returns the address that was asked for, without its query: a token may be for some only (RFC 8707).

    Raises:
        CredentialError: If there is one and it is refused. What is malformed, in the address or in the clear is
            refused without a query.
    """
    try:
        token = bearer.read(parts, note=partial(_leave_exposed, parts=parts, now=now))
        return None if token is None else _verified(token, parts, uri=uri, now=now, leave_use=leave_use)
    except errors.CredentialError as error:
        verification.leave_refusal(error, parts, now=now)
        raise


@sensitive_variables("token")
def _verified(
    token: str,
    parts: RequestParts,
    *,
    uri: Callable[[], str],
    now: datetime,
    leave_use: Callable[[pending.Item], object],
) -> Principal:
    found = tokens.find(token, alias=tokens.database())
    if found is None:
        raise errors.InvalidTokenError
    user = owners.user_of(found, is_fresh=True)
    _require_working(found, user, now=now)
    if found.client_networks is not None and not allows(found.client_networks, parts.address):
        raise errors.AddressRefusedError(client_id=found.client_id, about="token")
    if found.resource and not is_for(found, uri()):
        raise errors.InvalidTokenError(client_id=found.client_id)
    note_use(found, now=now, leave_use=leave_use)
    return _principal(found, user)


def principal_of(found: FoundToken, *, alias: str, now: datetime) -> Principal:
    """
    Return who calls with *found*, a token of the database *alias*, wherever from and wherever to.

    Raises:
        CredentialError: If its state, or that of its client, person or consent, refuses it.
    """
    user = owners.user_of(found, is_fresh=True, alias=alias)
    _require_working(found, user, now=now)
    return _principal(found, user)


def is_for(found: FoundToken, uri: str) -> bool:
    """Whether *found* may be used at *uri*: it is for everywhere, or for addresses like this one (RFC 8707)."""
    if not found.resource:
        return True
    path = urlsplit(uri).path
    if "//" in path or not {".", ".."}.isdisjoint(path.split("/")):
        return False  # Django routes it as it is written, and the comparison would resolve it
    # The toolkit's own comparison, which a project may have set to another.
    return bool(get_access_token_model()(resource=found.resource).allows_audience(uri))


def note_use(found: FoundToken, *, now: datetime, leave_use: Callable[[pending.Item], object] = pending.leave) -> None:
    """Have the use of the consent of *found* written after the response, at most once a minute."""
    if found.consent_pk is not None and _is_use_due(found, now=now):
        leave_use(pending.Task(write=partial(consents.record_use, found.consent_pk, at=now)))


def _principal(found: FoundToken, user: Any) -> Principal:
    return Principal(
        kind="oauth_token",
        client_id=found.client_id,
        client_name=found.client_name,
        key_id="",
        key_name="",
        family="",
        scopes=_effective_scopes(found, user),
        user=user,
        user_pk=found.owner_pk,
        acts_for_user=found.owner_pk is not None,
        expires_at=found.expires_at,
        claims=claims.counting(declared_claims(), found.client_claims),
        rates=strictest_rates(settings.RATES, found.client_rates),
        quotas=strictest_quotas(settings.QUOTAS, found.client_quotas),
    )


def _require_working(found: FoundToken, user: Any, *, now: datetime) -> None:
    if found.expires_at <= now:
        raise errors.ExpiredTokenError(client_id=found.client_id, at=found.expires_at)
    if found.owner_pk is not None:
        if found.owner_is_active is not True and not owners.is_active(found, user):
            raise errors.OwnerDisabledError(client_id=found.client_id, about="token")
        if found.consent_expires_at is None or found.consent_expires_at <= now:
            raise errors.InvalidTokenError(client_id=found.client_id)
    elif not service_keys_available():
        raise errors.InvalidTokenError(client_id=found.client_id)
    if not found.client_is_active:
        raise errors.ClientDisabledError(client_id=found.client_id, about="token")


def _is_use_due(found: FoundToken, *, now: datetime) -> bool:
    return found.consent_last_used_at is None or now - found.consent_last_used_at >= LAST_USED_ACCURACY


def _effective_scopes(found: FoundToken, user: Any) -> frozenset[str]:
    consented = None if found.owner_pk is None else found.consent_scopes
    names, by_right = _counting(found.scopes, consented, found.client_scopes)
    if not by_right:
        return names
    return names.union(scope.name for scope in by_right if consented is None or owners.has_rights(user, scope))


@lru_cache(maxsize=4096)
def _counting(held: Words, consented: Words | None, ceiling: Words) -> tuple[frozenset[str], tuple[Scope, ...]]:
    """Return what counts of *held*, as ``registry.effective`` does, within *consented* and without reserved scopes."""
    within = held if consented is None else [name for name in held if name in consented]
    return effective(tuple(name for name in within if not name.startswith(RESERVED_BEGINNING)), ceiling)


@sensitive_variables("token")
def _leave_exposed(token: str, code: str, *, parts: RequestParts, now: datetime) -> None:
    kind = _EXPOSED[code]
    pending.leave(pending.Task(write=partial(_record_exposed, token, kind=kind, parts=parts, now=now)))


@sensitive_variables("token")
def _record_exposed(token: str, *, kind: EventKind, parts: RequestParts, now: datetime) -> None:
    """Record, at most once an hour and client, that *token* left its place. Noise that was never issued is none."""
    found = tokens.find(token, alias=tokens.database()) if bearer.is_token(token) else None
    if found is None:
        return
    client = Client.objects.filter(client_id=found.client_id).first()
    once = f"{found.client_id}:{kind.value}:{now:%Y%m%d%H}"
    address = None if parts.address is None else str(parts.address)
    events.record_first(kind, once=once, at=now, client=client, address=address, details={"credential": "token"})


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "INSTALLED_APPS"}:
        _counting.cache_clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.oauth.proving")
