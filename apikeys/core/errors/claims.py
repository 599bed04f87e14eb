"""What is wrong with claims that a project declares."""

from __future__ import annotations

from .root import APIKeysError


class ClaimSyntaxError(APIKeysError):
    """A name that no claim can have, or a declaration of the wrong shape."""

    code = "claim_syntax"
