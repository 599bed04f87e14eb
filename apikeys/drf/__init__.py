"""The REST framework edge. Names load on first use, so that importing one needs no models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .authentication import APIKeyAuthentication as APIKeyAuthentication
    from .claims import HasClaim as HasClaim
    from .decorators import requires_scopes as requires_scopes
    from .permissions import HasAPIKey as HasAPIKey
    from .permissions import HasOwner as HasOwner
    from .permissions import HasScopes as HasScopes
    from .permissions import IsSessionUser as IsSessionUser
    from .refusals import missing_scope_response as missing_scope_response
    from .refusals import refusal_response as refusal_response
    from .throttling import KeyRateThrottle as KeyRateThrottle
    from .throttling import counts_as as counts_as

_HOMES = {
    "APIKeyAuthentication": "authentication",
    "requires_scopes": "decorators",
    "HasAPIKey": "permissions",
    "HasClaim": "claims",
    "HasOwner": "permissions",
    "HasScopes": "permissions",
    "IsSessionUser": "permissions",
    "KeyRateThrottle": "throttling",
    "counts_as": "throttling",
    "missing_scope_response": "refusals",
    "refusal_response": "refusals",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
