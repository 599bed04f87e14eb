"""What is wrong with scopes."""

from __future__ import annotations

from collections.abc import Sequence

from .root import APIKeysError


class ScopeError(APIKeysError):
    """Base of all faults in scopes. Do not raise directly."""

    code = "scope_error"

    def __init__(self, message: str, *, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


class ScopeSyntaxError(ScopeError):
    """A name outside the scope-token alphabet (RFC 6749 section 3.3), or a declaration of the wrong shape."""

    code = "scope_syntax"


class UndeclaredScopeError(ScopeError):
    """A scope that the project does not declare."""

    code = "scope_undeclared"


class ScopeAboveCeilingError(ScopeError):
    """A scope that the client may not hold."""

    code = "scope_above_ceiling"


class ScopeNotGrantableError(ScopeError):
    """A scope that this person may not give."""

    code = "scope_not_grantable"


class ScopeNotHeldError(ScopeError):
    """A scope that the key does not hold, so it can't be kept while narrowing."""

    code = "scope_not_held"


class NoScopesError(ScopeError):
    """A key without any scope, which could do nothing."""

    code = "scopes_empty"
