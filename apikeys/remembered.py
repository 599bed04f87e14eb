"""
What this process has proven, so that Argon2 runs once per key and process.

Remembered is only "this secret matches this verifier" (or that it does not), under a random key of the process. It
needs no invalidation: a rotated or re-hashed key has another verifier. State is always read again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from django.core.signals import setting_changed

from .conf import settings
from .core.credentials import RequestParts
from .core.memory import BoundedMemory


class Recognised(NamedTuple):
    """What a request's headers turned out to be. A tuple, because nothing is cheaper to make and to ask."""

    key_id: str
    mode: str
    #: What the secret matched. The key's row says whether that still counts.
    verifier: str
    #: Stands for the headers, useless outside this process.
    fingerprint: bytes

    def __repr__(self) -> str:
        return f"<Recognised {self.key_id}>"


#: What stands before the key id of a key, parted by underscores.
_KEY_PIECES = 3
_process_key = secrets.token_bytes(32)
_proofs: BoundedMemory[bytes, bool] = BoundedMemory()
#: By key id, in the form in which the key came last.
_headers: BoundedMemory[str, Recognised] = BoundedMemory()
_ready: BoundedMemory[bytes, bool] = BoundedMemory()


def fingerprint(secret: str, *, verifier: str) -> bytes:
    """Return what stands in memory for the pair; useless outside this process."""
    stored = verifier.encode()
    # The length prefix keeps two pairs with the same joined text apart. Keyed BLAKE2b (RFC 7693) is a MAC and takes
    # half as long as HMAC-SHA-256, on every request.
    message = len(stored).to_bytes(4, "big") + stored + secret.encode()
    return hashlib.blake2b(message, digest_size=32, key=_process_key).digest()


def recall(pair: bytes) -> bool | None:
    """Return whether the pair was found to match; None where it was not checked, or is forgotten."""
    return _proofs.get(pair)


def remember(pair: bytes, *, matches: bool) -> None:
    """Remember what Argon2 said of the pair."""
    _proofs.put(pair, matches, most=settings.REMEMBERED_PROOFS)


def recognise(parts: RequestParts) -> Recognised | None:
    """
    Return what the headers of *parts* proved when they were here before, or None.

    Their text was whole, tagged here and of one secret then. None as well where they may not be taken today, so that
    whoever reads them says why.
    """
    headers = parts.headers
    text = headers.get("authorization") or headers.get("x-api-key") or ""
    # Behind prefix and mode. A forged key ends here, before anything is hashed.
    pieces = text.split("_", 3)
    found = _headers.get(pieces[2]) if len(pieces) > _KEY_PIECES else None
    if found is None or found.mode != settings.MODE or not (parts.is_secure or not settings.REQUIRE_HTTPS):
        return None
    for scheme in settings.schemes if parts.query_string else ():
        if scheme.may_read(parts.query_string):
            return None
    return found if hmac.compare_digest(found.fingerprint, _fingerprint_of(headers)) else None


def note_headers(parts: RequestParts, *, key_id: str, mode: str, verifier: str) -> None:
    """Note that the headers of *parts* hold the whole key *key_id*, whose secret matches *verifier*."""
    found = Recognised(key_id=key_id, mode=mode, verifier=verifier, fingerprint=_fingerprint_of(parts.headers))
    _headers.put(key_id, found, most=settings.REMEMBERED_PROOFS)


def _fingerprint_of(headers: Mapping[str, str]) -> bytes:
    # As Python writes them: no two pairs alike, a missing one unlike an empty one, and nothing that can't be encoded.
    text = repr((headers.get("authorization"), headers.get("x-api-key"))).encode()
    return hashlib.blake2b(text, digest_size=32, key=_process_key, person=b"apikeys-header").digest()


def is_ready(secret: str) -> bool:
    """Whether *secret* was noted as ready, and nothing has pushed that out since."""
    return _ready.get(fingerprint(secret, verifier="")) is not None


def note_ready(secret: str) -> None:
    """Note that *secret* was checked against the verifier of its key, whatever came of it."""
    _ready.put(fingerprint(secret, verifier=""), value=True, most=settings.REMEMBERED_PROOFS)


def forget_all() -> None:
    """Forget every proof, as a new process would have."""
    _proofs.clear()
    _headers.clear()
    _ready.clear()


def _forget(*, setting: str, **kwargs: object) -> None:
    # Where a key may stand, and how it is read, may be another from now on.
    if setting == "APIKEYS":
        _headers.clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.remembered")
