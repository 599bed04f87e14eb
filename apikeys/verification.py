"""
``RequestParts`` to ``Principal``: who is calling.

One indexed SELECT, nothing written, Argon2 only where nobody has proven the key yet. State (revoked, expired, rotated
out, client or owner disabled, scopes, networks) is read on every request, or as seldom as ``MAX_STALENESS`` allows.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any

from . import lookup, owners, pending, proofs, remembered, signals, snapshots, tag_secrets
from .conf import settings
from .core import errors
from .core.credentials import Credential, RequestParts, SecretProof
from .core.networks import allows
from .core.principals import Principal
from .core.scopes import Scope
from .lookup import Found
from .models import LAST_USED_ACCURACY
from .policy import service_keys_available
from .registry import effective
from .remembered import Recognised
from .snapshots import Snapshot

logger = logging.getLogger("apikeys.auth")

#: Refusals that say nothing of any key. A flood of them costs as little as can be.
_UNRECORDED = frozenset({"key_invalid", "key_malformed", "wrong_mode", "invalid_request"})


def authenticate(parts: RequestParts, *, now: datetime) -> Principal | None:
    """
    Return who is calling, or None where *parts* hold no credential of ours.

    Raises:
        CredentialError: If there is one and it is refused. A query in the address, a second credential, plain HTTP,
            a wrong length or tag are refused without a query and without a slow hash.
    """
    try:
        presented = remembered.recognise(parts) or _admitted_credential(parts)
        return None if presented is None else _verified(presented, parts, now=now)
    except errors.CredentialError as error:
        _leave_refusal(error, parts, now=now)
        raise


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


def _verified(presented: Recognised | Credential, parts: RequestParts, *, now: datetime) -> Principal:
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
    is_use_due = found.last_used_at is None or now - found.last_used_at >= LAST_USED_ACCURACY
    if is_use_due:
        pending.leave(pending.Use(key_pk=found.key_pk, at=now))
        # In the snapshot at once, or each request until the next reading would note it again.
        found = found._replace(last_used_at=now)
    if settings.MAX_STALENESS and (is_use_due or not snapshot):
        snapshots.keep(Snapshot(found=found, scopes=scopes, alias=alias, read_at=read_at), since=changes)
    return _principal(found, user, scopes=scopes)


def _require_proof(credential: Credential | None, found: Found | None, parts: RequestParts) -> None:
    if credential is None or not proofs.holds(credential, verifier=None if found is None else found.verifier):
        raise errors.UnknownKeyError
    key_text = credential.key_text
    # Only where holding a text is all of the proof; a signature proves one request.
    if found is not None and key_text is not None and isinstance(credential.proof, SecretProof):
        remembered.note_headers(parts, key_id=found.key_id, mode=key_text.mode, verifier=found.verifier)


def _admitted_credential(parts: RequestParts) -> Credential | None:
    """Return the credential of *parts*, once what costs nothing to refuse is refused: plain HTTP, the mode, the tag."""
    credential = None
    for scheme in settings.schemes:
        found = scheme.read(parts)
        if credential is not None and found is not None:
            raise errors.AmbiguousCredentialError
        credential = credential or found
    if credential is None:
        return None
    key_text = credential.key_text
    if not parts.is_secure and settings.REQUIRE_HTTPS:
        raise errors.HTTPSRequiredError(key_text=key_text)
    if key_text is not None:
        if key_text.mode != settings.MODE:
            raise errors.WrongModeError(presented=key_text.mode, expected=settings.MODE)
        if not tag_secrets.admits(key_text):
            raise errors.UnknownKeyError
    return credential


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
    return Principal(
        kind="api_key",
        client_id=found.client_id,
        client_name=found.client_name,
        key_id=found.key_id,
        key_name=found.name,
        family=found.family,
        scopes=scopes,
        user=user,
        acts_for_user=found.acts_for_user,
        expires_at=ends_at,
        is_replaced=overlap_ends_at is not None,
    )


def _effective_scopes(found: Found, user: Any) -> frozenset[str]:
    names, by_right = effective(found.scopes, found.client_scopes)
    if not by_right:
        return names
    return names.union(scope.name for scope in by_right if not found.acts_for_user or _has_rights(user, scope))


def _has_rights(user: Any, scope: Scope) -> bool:
    # A user model may know nothing of permissions: then nobody has any.
    return hasattr(user, "has_perms") and bool(user.has_perms(scope.permissions))


def _leave_refusal(error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
    if error.code in _UNRECORDED and not (signals.credential_refused.receivers or logger.isEnabledFor(logging.INFO)):
        return
    key_text = getattr(error, "key_text", None)
    # A key in an address or in the clear is told apart from noise by its tag, which costs no query.
    key_id = key_text.key_id if key_text is not None and tag_secrets.admits(key_text) else error.key_id
    pending.leave(
        pending.Refusal(
            code=error.code,
            at=now,
            key_id=key_id,
            family=error.family,
            address=parts.address,
        )
    )
