"""
``RequestParts`` to ``Principal``: who is calling.

One indexed SELECT, nothing written, Argon2 only where nobody has proven the key yet. State (revoked, expired, rotated
out, client or owner disabled, scopes, networks) is read on every request, or as seldom as ``MAX_STALENESS`` allows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.views.decorators.debug import sensitive_variables

from . import counting, guard, lookup, owners, pending, proofs, remembered, signals, snapshots, tag_secrets
from .conf import settings
from .core import claims, errors, keyformat
from .core.credentials import Credential, RequestParts, SecretProof
from .core.networks import allows
from .core.principals import Principal
from .core.rates import strictest_quotas, strictest_rates
from .core.scopes import INTROSPECT
from .lookup import Found
from .models import LAST_USED_ACCURACY
from .policy import service_keys_available
from .registry import declared_claims, effective
from .remembered import Recognised
from .snapshots import Snapshot

logger = logging.getLogger("apikeys.auth")

#: Refusals that say nothing of any key. A flood of them costs as little as can be.
_UNRECORDED = frozenset({"key_invalid", "key_malformed", "wrong_mode", "invalid_request", "token_invalid"})


def authenticate(
    parts: RequestParts, *, now: datetime, leave_use: Callable[[pending.Item], object] = pending.leave
) -> Principal | None:
    """
    Return who is calling, or None where *parts* hold no credential of ours. *leave_use* takes the note of the use.

    Raises:
        CredentialError: If there is one and it is refused. A query in the address, a second credential, plain HTTP,
            a wrong length or tag are refused without a query and without a slow hash.
    """
    try:
        presented = remembered.recognise(parts) or _admitted_credential(parts)
        return None if presented is None else _verified(presented, parts, now=now, leave_use=leave_use)
    except errors.CredentialError as error:
        leave_refusal(error, parts, now=now)
        raise


@sensitive_variables("text")
def authenticate_text(text: str, parts: RequestParts, *, now: datetime) -> Principal:
    """
    Return who calls with the key *text*, which stood where no scheme reads, such as in a form.

    Of *parts*, the request that it came with, the headers and the query are not asked.

    Raises:
        CredentialError: If it is refused, as ``authenticate`` does.
    """
    # Or the headers would be remembered as what holds the key.
    parts = replace(parts, headers={}, query_string="")
    try:
        credential = _admitted(_credential_of(text), parts)
        return _verified(credential, parts, now=now, leave_use=pending.leave)
    except errors.CredentialError as error:
        leave_refusal(error, parts, now=now)
        raise


def presents(parts: RequestParts) -> bool:
    """Whether *parts* hold a credential of a scheme of ours, good or bad."""
    try:
        return any(scheme.read(parts) is not None for scheme in settings.schemes)
    except errors.CredentialError:
        return True


def prove(parts: RequestParts, *, now: datetime) -> None:
    """
    Have ``authenticate`` run no slow hash for *parts* when it is asked in a moment. It decides nothing.

    Raises:
        CredentialError: As ``authenticate`` will.
    """
    credential = _admitted_credential(parts)
    if credential is None or proofs.is_ready(credential):
        return
    found = lookup.find(credential.key_id, alias=lookup.database())
    if found is not None and credential.key_text is not None:
        # A dead key buys no slow hash.
        try:
            _require_working(found, owners.user_of(found, is_fresh=True), now=now)
        except (errors.RevokedKeyError, errors.ExpiredKeyError, errors.RotatedKeyError):
            # For good: that it keeps knocking costs one look-up, that of ``authenticate``.
            proofs.note_ready(credential)
            raise
    proofs.make_ready(credential, verifier=None if found is None else found.verifier)


@sensitive_variables("text")
def find_genuine(text: str, *, alias: str) -> Found | None:
    """
    Return the key whose whole text is *text*, as the database *alias* has it, dead or alive; None for any other text.

    For those who were handed a text, and do not know from where it was used. Whatever it is, behind a right tag it
    costs one look-up and one slow hash, which is remembered: nobody can tell a dead key from one that never was. Only
    of a key that was used here lately another process may have shared the proof, which costs no hash at all; and to
    make a right tag up takes the tag secret.

    Raises:
        TooManyHashesError: If that needs a slow hash, and there were too many.
    """
    try:
        credential = _credential_of(text)
    except errors.MalformedKeyError:
        return None
    key_text = credential.key_text
    if key_text is None or not tag_secrets.admits(key_text):
        return None
    found = lookup.find(credential.key_id, alias=alias)
    is_genuine = proofs.holds(credential, verifier=None if found is None else found.verifier)
    # A key of the other mode only now, after the same work.
    return found if is_genuine and key_text.mode == settings.MODE else None


def principal_of(found: Found, *, alias: str, now: datetime) -> Principal:
    """
    Return who calls with *found*, a key of the database *alias* that is proven, wherever from.

    Raises:
        CredentialError: If its state, or that of its client or person, refuses it.
    """
    user = owners.user_of(found, is_fresh=True, alias=alias)
    _require_working(found, user, now=now)
    return _principal(found, user, scopes=_effective_scopes(found, user))


def note_use(found: Found, *, now: datetime, leave_use: Callable[[pending.Item], object] = pending.leave) -> bool:
    """Have the use of *found* written after the response, at most once a minute. Return whether it will be."""
    if found.last_used_at is not None and now - found.last_used_at < LAST_USED_ACCURACY:
        return False
    leave_use(pending.Use(key_pk=found.key_pk, at=now))
    return True


def leave_refusal(error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
    """Count the refusal of what *parts* hold, and leave it to be logged and told after the response."""
    key_text = getattr(error, "key_text", None)
    # A key in an address or in the clear is told apart from noise by its tag, which costs no query.
    key_id = key_text.key_id if key_text is not None and tag_secrets.admits(key_text) else error.key_id
    counting.count_refusal(
        error.code, address=parts.address, now=now, key_id=key_id, family=error.family, client_id=error.client_id
    )
    if error.code in _UNRECORDED and not (signals.credential_refused.receivers or logger.isEnabledFor(logging.INFO)):
        return
    pending.leave(
        pending.Refusal(
            code=error.code,
            at=now,
            key_id=key_id,
            family=error.family,
            address=parts.address,
        )
    )


def _verified(
    presented: Recognised | Credential,
    parts: RequestParts,
    *,
    now: datetime,
    leave_use: Callable[[pending.Item], object],
) -> Principal:
    alias, changes = lookup.database(), snapshots.changes.count
    snapshot = snapshots.recall(presented.key_id, alias=alias) if settings.MAX_STALENESS else None
    read_at = snapshot.read_at if snapshot else time.monotonic()
    found = snapshot.found if snapshot else lookup.find(presented.key_id, alias=alias)
    user = owners.user_of(found, is_fresh=snapshot is None) if found else None
    # A right tag means that this very text was issued here, so its holder may know the state, before any slow hash. A
    # credential without a tag proves itself first: a guess must not learn that a key is revoked.
    is_tagged = isinstance(presented, Recognised) or presented.key_text is not None
    if found is not None and is_tagged:
        _require_working(found, user, now=now)
    if found is None or isinstance(presented, Credential) or presented.verifier != found.verifier:
        _require_proof(presented if isinstance(presented, Credential) else _admitted_credential(parts), found, parts)
    if found is None:
        raise errors.UnknownKeyError
    if not is_tagged:
        _require_working(found, user, now=now)
    if found.allowed_networks is not None or found.client_networks is not None:
        _require_address(found, parts)
    scopes = snapshot.scopes if snapshot else _effective_scopes(found, user)
    is_use_due = note_use(found, now=now, leave_use=leave_use)
    if is_use_due:
        # In the snapshot at once, or each request until the next reading would note it again.
        found = found._replace(last_used_at=now)
    if settings.MAX_STALENESS and (is_use_due or not snapshot):
        snapshots.keep(Snapshot(found=found, scopes=scopes, alias=alias, read_at=read_at), since=changes)
    return _principal(found, user, scopes=scopes)


def _require_proof(credential: Credential | None, found: Found | None, parts: RequestParts) -> None:
    if credential is None:
        raise errors.UnknownKeyError
    with guard.patience(0) if parts.has_waited else nullcontext():
        is_proven = proofs.holds(credential, verifier=None if found is None else found.verifier)
    if not is_proven:
        raise errors.UnknownKeyError
    key_text = credential.key_text
    # Only where holding a text is all of the proof, and headers hold it; a signature proves one request.
    if found is not None and key_text is not None and isinstance(credential.proof, SecretProof) and parts.headers:
        remembered.note_headers(parts, key_id=found.key_id, mode=key_text.mode, verifier=found.verifier)


def _admitted_credential(parts: RequestParts) -> Credential | None:
    """Return the credential of *parts*, once what costs nothing to refuse is refused: plain HTTP, the mode, the tag."""
    credential = None
    for scheme in settings.schemes:
        found = scheme.read(parts)
        if credential is not None and found is not None:
            raise errors.AmbiguousCredentialError
        credential = credential or found
    return None if credential is None else _admitted(credential, parts)


def _admitted(credential: Credential, parts: RequestParts) -> Credential:
    key_text = credential.key_text
    if not parts.is_secure and settings.REQUIRE_HTTPS:
        raise errors.HTTPSRequiredError(key_text=key_text)
    if key_text is not None:
        if key_text.mode != settings.MODE:
            raise errors.WrongModeError(presented=key_text.mode, expected=settings.MODE)
        if not tag_secrets.admits(key_text):
            raise errors.UnknownKeyError
    return credential


@sensitive_variables("text", "key_text")
def _credential_of(text: str) -> Credential:
    key_text = keyformat.parse(text, prefix=settings.PREFIX)
    return Credential(key_id=key_text.key_id, proof=key_text, key_text=key_text)


def _require_working(found: Found, user: Any, *, now: datetime) -> None:
    if found.revoked_at is not None:
        raise errors.RevokedKeyError(key_id=found.key_id, family=found.family, at=found.revoked_at)
    if found.expires_at is not None and found.expires_at <= now:
        raise errors.ExpiredKeyError(key_id=found.key_id, family=found.family, at=found.expires_at)
    if found.overlap_ends_at is not None and found.overlap_ends_at <= now:
        raise errors.RotatedKeyError(key_id=found.key_id, family=found.family, at=found.overlap_ends_at)
    if found.acts_for_user:
        if found.owner_is_active is not True and not owners.is_active(found, user):
            raise errors.OwnerDisabledError(key_id=found.key_id, family=found.family)
    elif not service_keys_available():
        raise errors.UnknownKeyError
    if not found.client_is_active:
        raise errors.ClientDisabledError(key_id=found.key_id, family=found.family)


def _require_address(found: Found, parts: RequestParts) -> None:
    # Both must allow it: a client's networks bind all of its keys.
    if not (allows(found.allowed_networks, parts.address) and allows(found.client_networks, parts.address)):
        raise errors.AddressRefusedError(key_id=found.key_id, family=found.family)


def _principal(found: Found, user: Any, *, scopes: frozenset[str]) -> Principal:
    ends_at, overlap_ends_at = found.expires_at, found.overlap_ends_at
    if overlap_ends_at is not None:
        ends_at = overlap_ends_at if ends_at is None else min(ends_at, overlap_ends_at)
    # An API server asks for all of its callers: what the project allows each key would shut out all of them at once.
    asks_for_others = INTROSPECT in scopes
    return Principal(
        kind="api_key",
        client_id=found.client_id,
        client_name=found.client_name,
        key_id=found.key_id,
        key_name=found.name,
        family=found.family,
        scopes=scopes,
        user=user,
        user_pk=found.owner_pk,
        acts_for_user=found.acts_for_user,
        expires_at=ends_at,
        is_replaced=overlap_ends_at is not None,
        claims=claims.counting(declared_claims(), found.client_claims, found.claims),
        rates=strictest_rates(() if asks_for_others else settings.RATES, found.client_rates, found.rates),
        quotas=strictest_quotas(() if asks_for_others else settings.QUOTAS, found.client_quotas, found.quotas),
    )


def _effective_scopes(found: Found, user: Any) -> frozenset[str]:
    names, by_right = effective(found.scopes, found.client_scopes)
    if not by_right:
        return names
    return names.union(scope.name for scope in by_right if not found.acts_for_user or owners.has_rights(user, scope))
