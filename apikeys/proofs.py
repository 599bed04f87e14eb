"""Whether a proof holds: remembered, or checked once by a slow hash."""

from __future__ import annotations

from functools import lru_cache

from django.views.decorators.debug import sensitive_variables

from . import guard, pending, remembered
from .conf import settings
from .core import keyformat
from .core.credentials import Credential, Proof, SecretProof
from .core.verifiers import Hasher, find_verifier


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
        with guard.one_at_a_time(credential.key_id):
            matches = remembered.recall(pair)
            if matches is None:
                matches = _check(proof, stored, key_id=credential.key_id)
                remembered.remember(pair, matches=matches)
                if matches and verifier is not None:
                    _leave_rehash(credential.key_id, proof, verifier=verifier)
    return matches and verifier is not None


def _check(proof: Proof, stored: str, *, key_id: str) -> bool:
    # The stored text picks the verifier, and a verifier takes one kind of proof: no request chooses its algorithm.
    verifier = find_verifier(settings.verifiers, stored)
    if verifier is None or not isinstance(proof, verifier.proof_type):
        return False
    if not verifier.is_slow:
        return verifier.matches(proof, stored)
    with guard.hashing(key_id):
        return verifier.matches(proof, stored)


def _leave_rehash(key_id: str, proof: SecretProof, *, verifier: str) -> None:
    hasher = settings.hasher
    if verifier.partition("$")[0] != hasher.algorithm or hasher.needs_rehash(verifier):
        pending.leave(pending.Rehash(key_id=key_id, old_verifier=verifier, secret=proof.text))


@lru_cache(maxsize=4)
def _decoy(hasher: Hasher) -> str:
    return hasher.hash(keyformat.generate(prefix="decoy", mode="test").body)
