"""
How a proof is checked against stored text.

The stored text names its algorithm, as in ``argon2id$v=19$m=19456,t=2,p=1$…``, and so picks the verifier; the
request never does. The first ``Hasher`` of the setting ``VERIFIERS`` stores new secrets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import argon2
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import error_to_str

from .credentials import Proof, SecretProof
from .errors import HashingFailedError

#: Argon2's faults of the machine, not of the text: no memory (-22), no thread (-33). It has one class for all.
_NOT_NOW = frozenset({error_to_str(-22), error_to_str(-33)})


class Verifier(ABC):
    """Checks one kind of proof against stored text."""

    #: The word before the first ``$`` of the stored text.
    algorithm: str
    #: The only kind of proof that is accepted.
    proof_type: type[Proof]
    #: Whether checking costs milliseconds, so that the result is remembered and the runs are counted.
    is_slow = True

    def __init__(self, options: Mapping[str, int]) -> None:
        self.options = options

    @abstractmethod
    def matches(self, proof: Proof, verifier: str) -> bool:
        """
        Whether *proof* is the one that *verifier* was made from. False for text that can't be read.

        Raises:
            HashingFailedError: If that could not be found out now, as without enough memory.
        """


class Hasher(Verifier):
    """A verifier that can also make the stored text of a new secret."""

    proof_type = SecretProof

    @abstractmethod
    def hash(self, secret: str) -> str:
        """
        Return the verifier of *secret*, starting with the algorithm and ``$``.

        Raises:
            HashingFailedError: If there was not enough memory, or the options can't be used.
        """

    @abstractmethod
    def needs_rehash(self, verifier: str) -> bool:
        """Whether *verifier* was made with other options than today's."""


class Argon2idHasher(Hasher):
    """
    Argon2id (RFC 9106).

    Options are ``memory_kib``, ``time`` and ``parallelism``; the defaults are OWASP's 19 MiB, 2, 1.
    """

    algorithm = "argon2id"

    def __init__(self, options: Mapping[str, int]) -> None:
        super().__init__(options)
        self._hasher = argon2.PasswordHasher(
            time_cost=options.get("time", 2),
            memory_cost=options.get("memory_kib", 19456),
            parallelism=options.get("parallelism", 1),
            type=argon2.Type.ID,
        )

    def hash(self, secret: str) -> str:
        try:
            return self._hasher.hash(secret).removeprefix("$")
        except HashingError as error:
            raise HashingFailedError("The secret could not be hashed; is there enough memory?") from error

    def matches(self, proof: Proof, verifier: str) -> bool:
        if not isinstance(proof, SecretProof):
            return False
        try:
            return self._hasher.verify(f"${verifier}", proof.text)
        except (VerifyMismatchError, InvalidHashError):
            return False
        except VerificationError as error:
            if str(error) in _NOT_NOW:
                raise HashingFailedError("The secret could not be checked; is there enough memory?") from error
            return False

    def needs_rehash(self, verifier: str) -> bool:
        return self._hasher.check_needs_rehash(f"${verifier}")


def find_verifier(verifiers: Sequence[Verifier], stored: str) -> Verifier | None:
    """Return the one of *verifiers* that *stored* names, or None."""
    algorithm, separator, _ = stored.partition("$")
    if not separator:
        return None
    return next((verifier for verifier in verifiers if verifier.algorithm == algorithm), None)


def preferred_hasher(verifiers: Sequence[Verifier]) -> Hasher | None:
    """Return the first hasher of *verifiers*, which stores new secrets, or None."""
    return next((verifier for verifier in verifiers if isinstance(verifier, Hasher)), None)
