"""
What this process has proven, so that Argon2 runs once per key and process.

Remembered is only "this secret matches this verifier" (or that it does not), under a random key of the process. It
needs no invalidation: a rotated or re-hashed key has another verifier. State is always read again.
"""

from __future__ import annotations

import hashlib
import secrets

from .conf import settings
from .core.memory import BoundedMemory

_process_key = secrets.token_bytes(32)
_proofs: BoundedMemory[bytes, bool] = BoundedMemory()
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


def is_ready(secret: str) -> bool:
    """Whether *secret* was noted as ready, and nothing has pushed that out since."""
    return _ready.get(fingerprint(secret, verifier="")) is not None


def note_ready(secret: str) -> None:
    """Note that *secret* was checked against the verifier of its key, whatever came of it."""
    _ready.put(fingerprint(secret, verifier=""), value=True, most=settings.REMEMBERED_PROOFS)


def forget_all() -> None:
    """Forget every proof, as a new process would have."""
    _proofs.clear()
    _ready.clear()
