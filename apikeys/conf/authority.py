"""What the authority signs, and what it says of clients and keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, cast

from .reading import read
from .shared import SharedSettings

#: What signing keys can be made for.
SIGNING_ALGORITHMS = ("ES256", "EdDSA", "RS256")


class AuthoritySettings(SharedSettings):
    """The settings of ``apikeys.authority``."""

    @cached_property
    def CLAIMS(self) -> Mapping[str, Any]:
        """What may be said of clients and keys, by name: a type, or a dict as ``core.claims`` reads it."""
        return cast("Mapping[str, Any]", read("CLAIMS"))

    @cached_property
    def SIGNING_KEYS(self) -> tuple[Any, ...]:
        """Private keys, PEM or JWK: the first signs, all are published. Empty takes those in the database."""
        return tuple(read("SIGNING_KEYS"))

    @cached_property
    def SIGNING_KEY_SECRETS(self) -> tuple[str, ...]:
        """What private keys in the database are encrypted by: Fernet keys, of which the first encrypts."""
        return tuple(read("SIGNING_KEY_SECRETS"))

    @cached_property
    def SIGNING_ALGORITHM(self) -> str:
        """What new signing keys are made for, one of ``SIGNING_ALGORITHMS``."""
        return str(read("SIGNING_ALGORITHM"))

    @cached_property
    def SIGNING_KEY_LIFETIME(self) -> timedelta:
        """How long a signing key in the database signs before ``rotate_signing_key`` makes another."""
        return cast("timedelta", read("SIGNING_KEY_LIFETIME"))

    @cached_property
    def SIGNING_KEY_PUBLISHED_AHEAD(self) -> timedelta:
        """How long a new signing key is published before it signs."""
        return cast("timedelta", read("SIGNING_KEY_PUBLISHED_AHEAD"))

    @cached_property
    def SIGNED_TOKEN_LIFETIME(self) -> timedelta:
        """How long a signed token lives at most; never longer than its key."""
        return cast("timedelta", read("SIGNED_TOKEN_LIFETIME"))

    @cached_property
    def REVOCATIONS_OVERLAP(self) -> timedelta:
        """How long entries of the revocation list are told again: longer than any transaction takes."""
        return cast("timedelta", read("REVOCATIONS_OVERLAP"))
