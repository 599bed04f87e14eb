"""
For the other API servers: verify by asking the authority, or by its signatures. No models, no database.

Names load on first use, so that importing one needs no settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

from ..core.lazy_names import lazy_names

if TYPE_CHECKING:
    from .introspecting import IntrospectionAuthentication as IntrospectionAuthentication
    from .signed_tokens import SignedTokenAuthentication as SignedTokenAuthentication

_load, __dir__ = lazy_names(
    __name__,
    {
        "IntrospectionAuthentication": "introspecting",
        "SignedTokenAuthentication": "signed_tokens",
    },
)

#: What the extra brings, to check signatures with.
_EXTRA = frozenset({"cryptography", "joserfc"})


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        message = f'{name} needs {missing}: python -m pip install "path/to/apikeys[jwt]"'
        raise ImproperlyConfigured(message) from error
