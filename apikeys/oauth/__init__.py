"""
OAuth 2 on django-oauth-toolkit: the same scopes, clients, permission classes and admin for third-party access.

Names load on first use: settings import ``apikeys.oauth.defaults`` before any model is ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .authentication import OAuthTokenAuthentication as OAuthTokenAuthentication
    from .layered import HasUserConsent as HasUserConsent
    from .layered import LayeredAuthentication as LayeredAuthentication

_HOMES = {
    "OAuthTokenAuthentication": "authentication",
    "HasUserConsent": "layered",
    "LayeredAuthentication": "layered",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
