"""The REST framework edge. Names load on first use, so that importing one needs no models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.lazy_names import lazy_names

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
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
    },
)
