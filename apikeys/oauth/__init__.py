"""
OAuth 2 on django-oauth-toolkit: the same scopes, clients, permission classes and admin for third-party access.

Names load on first use: settings import ``apikeys.oauth.defaults`` before any model is ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.lazy_names import lazy_names

if TYPE_CHECKING:
    from .authentication import OAuthTokenAuthentication as OAuthTokenAuthentication
    from .layered import HasUserConsent as HasUserConsent
    from .layered import LayeredAuthentication as LayeredAuthentication

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "OAuthTokenAuthentication": "authentication",
        "HasUserConsent": "layered",
        "LayeredAuthentication": "layered",
    },
)
