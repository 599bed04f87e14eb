"""The root of the error tree, and what belongs to no branch."""

from __future__ import annotations


class APIKeysError(Exception):
    """Base of all errors of this package. Do not raise directly."""

    code = "apikeys_error"


class HashingFailedError(APIKeysError):
    """A secret could not be hashed, so that no key is stored, and none is found wrong."""

    code = "hashing_failed"


class ConsentMissingError(APIKeysError):
    """A person has not let a client do this, or no longer does."""

    code = "consent_missing"
