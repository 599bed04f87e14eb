"""
A signed token's text to what it says: its signature is checked once, and remembered.

Remembered is what a genuine text says, by a hash under a key of the process. Whether that counts now, the time of day,
the published keys, the caller's address and the revocation list, is asked on every use.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..core.forks import after_fork
from ..core.memory import BoundedMemory
from ..signed.jws import Unverified
from ..signed.keys import KeySet
from ..signed.tokens import SignedToken, UnknownSigningKeyError, kid_of, require_current, verify
from . import key_sets


class _Verified(NamedTuple):
    token: SignedToken
    #: The keys that were published when its signature was checked.
    keys: KeySet


_process_key = secrets.token_bytes(32)
_verified: BoundedMemory[bytes, _Verified] = BoundedMemory()


@sensitive_variables("text")
def recall(text: str, *, now: datetime) -> SignedToken | None:
    """
    Return the token in *text*, if it is remembered and the same keys are published as then; else None.

    Raises:
        CredentialError: If it is remembered and does not count now.
        AuthorityUnavailableError: If nobody can tell which keys are published.
    """
    if not settings.REMEMBERED_TOKENS:
        return None
    found = _verified.get(_fingerprint(text))
    if found is None or found.keys is not key_sets.published(now=now):
        return None
    require_current(found.token, now=now, leeway=settings.CLOCK_LEEWAY)
    return found.token


@sensitive_variables("text")
def verified(text: str | Unverified, *, now: datetime) -> SignedToken:
    """
    Return the token in *text*, its signature checked.

    Raises:
        ExpiredTokenError: If it was good once.
        InvalidTokenError: If it is no token of the authority for this server that counts now.
        AuthorityUnavailableError: If nobody can tell which keys are published.
        ImproperlyConfigured: If the settings don't say who the authority is, or who this server is.
    """
    if not (settings.ISSUER and settings.AUDIENCE):
        raise ImproperlyConfigured("Signed tokens need APIKEYS['ISSUER'] and APIKEYS['AUDIENCE'].")
    unverified = Unverified(text) if isinstance(text, str) else text
    keys = key_sets.published(now=now)
    try:
        token = _checked(unverified, keys, now=now)
    except UnknownSigningKeyError:
        keys = key_sets.published_since(kid_of(unverified.text) or "", now=now)
        token = _checked(unverified, keys, now=now)
    if settings.REMEMBERED_TOKENS:
        _verified.put(_fingerprint(unverified.text), _Verified(token, keys), most=settings.REMEMBERED_TOKENS)
    return token


def forget_all() -> None:
    """Forget every token, as a new process would have."""
    _verified.clear()


def _checked(unverified: Unverified, keys: KeySet, *, now: datetime) -> SignedToken:
    return verify(
        unverified,
        keys=keys,
        issuer=settings.ISSUER,
        audience=settings.AUDIENCE,
        now=now,
        leeway=settings.CLOCK_LEEWAY,
    )


def _fingerprint(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=32, key=_process_key, person=b"apikeys-token").digest()


def _forget(*, setting: str, **kwargs: object) -> None:
    # Whose tokens count, and for whom, may be another from now on.
    if setting == "APIKEYS":
        forget_all()


def _start_anew() -> None:
    global _verified  # noqa: PLW0603  # of the process; after a fork another thread may have held its lock
    _verified = BoundedMemory()


after_fork(_start_anew)
setting_changed.connect(_forget, dispatch_uid="apikeys.resource_server.verifying")
