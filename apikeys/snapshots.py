"""
What this process has read and verified lately, for at most ``MAX_STALENESS``.

Empty where that is zero, as it is by default. A snapshot is what was read, never a row to write back. A change made
in this process drops it at once; one made elsewhere counts when it is too old.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from django.core.signals import setting_changed
from django.views.decorators.debug import sensitive_variables

from . import remembered
from .conf import settings
from .core.credentials import Credential, SecretProof
from .core.memory import BoundedMemory
from .lookup import Found


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A key whose proof held, as it was when its row was read."""

    found: Found
    #: What counted then, the person's rights included.
    scopes: frozenset[str]
    #: Stands for the secret and the verifier that it matched; useless outside this process.
    fingerprint: bytes = field(repr=False)
    #: On the monotonic clock, taken before the row was read.
    read_at: float


class Begun(NamedTuple):
    """When a request began to ask for a key."""

    changes: int
    at: float


class _Changes:
    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()


_snapshots: BoundedMemory[str, Snapshot] = BoundedMemory()
_changes = _Changes()


def recall(credential: Credential, *, max_age: timedelta) -> Snapshot | None:
    """Return the snapshot of the key that *credential* proves, if it is younger than *max_age*."""
    snapshot = _snapshots.get(credential.key_id)
    if snapshot is None or time.monotonic() - snapshot.read_at >= max_age.total_seconds():
        return None
    fingerprint = _fingerprint(credential, verifier=snapshot.found.verifier)
    if fingerprint is None or not hmac.compare_digest(fingerprint, snapshot.fingerprint):
        return None
    return snapshot


def begin() -> Begun:
    """Return what ``keep`` needs to know of the time before anything is recalled or read."""
    return Begun(changes=_changes.count, at=time.monotonic())


def keep(found: Found, credential: Credential, *, scopes: frozenset[str], begun: Begun, read_at: float) -> None:
    """Keep what was read at *read_at*, unless something changed in this process since *begun*."""
    fingerprint = _fingerprint(credential, verifier=found.verifier)
    if fingerprint is None:
        return
    snapshot = Snapshot(found=found, scopes=scopes, fingerprint=fingerprint, read_at=read_at)
    # Under the lock: what was read before a change must not come in behind it.
    with _changes.lock:
        if begun.changes == _changes.count:
            _snapshots.put(found.key_id, snapshot, most=settings.REMEMBERED_PROOFS)


def forget(key_ids: Iterable[str]) -> None:
    """Read the keys with *key_ids* again from now on."""
    with _changes.lock:
        _changes.count += 1
        for key_id in key_ids:
            _snapshots.pop(key_id)


def forget_all() -> None:
    """Read every key again from now on."""
    with _changes.lock:
        _changes.count += 1
        _snapshots.clear()


@sensitive_variables()
def _fingerprint(credential: Credential, *, verifier: str) -> bytes | None:
    # Only where holding a text is all of the proof; a signature proves one request.
    proof = credential.proof
    return remembered.fingerprint(proof.text, verifier=verifier) if isinstance(proof, SecretProof) else None


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "AUTH_USER_MODEL", "INSTALLED_APPS"}:
        forget_all()


setting_changed.connect(_forget, dispatch_uid="apikeys.snapshots")
