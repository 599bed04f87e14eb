"""Whether a proof holds: remembered by this process, shared by another, or checked once by a slow hash."""

from __future__ import annotations

from functools import lru_cache

from django.views.decorators.debug import sensitive_variables

from . import guard, pending, remembered, shared_proofs
from .conf import settings
from .core import keyformat
from .core.credentials import Credential, Proof, SecretProof
from .core.errors import HashingFailedError, TooManyHashesError
from .core.verifiers import Hasher, Verifier, find_verifier


@sensitive_variables()
def holds(credential: Credential, *, verifier: str | None) -> bool:
    """
    Whether *credential* proves itself against *verifier*, the stored text of its key; None where there is no such key.

    Raises:
        TooManyHashesError: If that needs a slow hash, and there were too many.
    """
    # The secret is no variable of its own anywhere here: error trackers and debug pages show these.
    proof = credential.proof
    if not isinstance(proof, SecretProof):
        return verifier is not None and _check(proof, verifier, key_id=credential.key_id)
    # An unknown id is checked against a decoy, so that it takes as long as a wrong secret.
    stored = _decoy(settings.hasher) if verifier is None else verifier
    pair = remembered.fingerprint(proof.text, verifier=stored)
    matches = remembered.recall(pair)
    if matches is None:
        matches = _find_out(proof, stored, pair=pair, key_id=credential.key_id)
    return matches and verifier is not None


def is_ready(credential: Credential) -> bool:
    """Whether ``make_ready`` need not be called for *credential*."""
    proof = credential.proof
    # Of other kinds nothing is remembered.
    return not isinstance(proof, SecretProof) or remembered.is_ready(proof.text)


def note_ready(credential: Credential) -> None:
    """Note that ``make_ready`` has nothing to do for *credential*, whose key is dead: ``holds`` is never asked."""
    if isinstance(credential.proof, SecretProof):
        remembered.note_ready(credential.proof.text)


@sensitive_variables()
def make_ready(credential: Credential, *, verifier: str | None) -> None:
    """
    Have ``holds`` run no slow hash for *credential* when it is asked in a moment.

    Raises:
        TooManyHashesError: As ``holds``.
    """
    if not isinstance(credential.proof, SecretProof):
        return
    holds(credential, verifier=verifier)
    # What is about to be re-hashed has another verifier on its next use, and is checked once more.
    if verifier is None or not _is_outdated(verifier):
        note_ready(credential)


@sensitive_variables()
def _find_out(proof: SecretProof, stored: str, *, pair: bytes, key_id: str) -> bool:
    entry = shared_proofs.entry_for(proof.text, verifier=stored)
    # Outside of the lock, so that a cache that hangs holds up no one else.
    if _is_slow(_verifier_for(proof, stored)) and shared_proofs.has(entry):
        remembered.remember(pair, matches=True)
        _leave_rehash(key_id, proof, verifier=stored)
        return True
    with guard.one_at_a_time(key_id):
        matches = remembered.recall(pair)
        if matches is not None:
            return matches
        matches = _check(proof, stored, key_id=key_id)
        remembered.remember(pair, matches=matches)
    if matches:
        _leave_rehash(key_id, proof, verifier=stored)
        shared_proofs.add(entry)
    return matches


def _check(proof: Proof, stored: str, *, key_id: str) -> bool:
    verifier = _verifier_for(proof, stored)
    if verifier is None:
        return False
    if not verifier.is_slow:
        return verifier.matches(proof, stored)
    with guard.hashing(key_id) as check:
        try:
            check.is_right = verifier.matches(proof, stored)
        except HashingFailedError as error:
            # Nothing was found out, so that nothing may be remembered.
            raise TooManyHashesError(retry_after_seconds=1) from error
    return check.is_right


def _verifier_for(proof: Proof, stored: str) -> Verifier | None:
    # The stored text picks the verifier, and a verifier takes one kind of proof: no request chooses its algorithm. Nor
    # does the cache: what was proven by an algorithm that the project has given up since proves nothing.
    verifier = find_verifier(settings.verifiers, stored)
    return verifier if verifier is not None and isinstance(proof, verifier.proof_type) else None


def _is_slow(verifier: Verifier | None) -> bool:
    return verifier is not None and verifier.is_slow


def _is_outdated(verifier: str) -> bool:
    hasher = settings.hasher
    return verifier.partition("$")[0] != hasher.algorithm or hasher.needs_rehash(verifier)


def _leave_rehash(key_id: str, proof: SecretProof, *, verifier: str) -> None:
    if _is_outdated(verifier):
        pending.leave(pending.Rehash(key_id=key_id, old_verifier=verifier, secret=proof.text))


@lru_cache(maxsize=4)
def _decoy(hasher: Hasher) -> str:
    with guard.turn():
        try:
            return hasher.hash(keyformat.generate(prefix="decoy", mode="test").body)
        except HashingFailedError as error:
            raise TooManyHashesError(retry_after_seconds=1) from error
