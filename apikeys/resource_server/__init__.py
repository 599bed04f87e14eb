"""
For the other API servers: verify by asking the authority, or by its signatures. No models, no database.

Names load on first use, so that importing one needs no settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from .introspecting import IntrospectionAuthentication as IntrospectionAuthentication
    from .signed_tokens import SignedTokenAuthentication as SignedTokenAuthentication

_HOMES = {
    "IntrospectionAuthentication": "introspecting",
    "SignedTokenAuthentication": "signed_tokens",
}

#: What the extra brings, to check signatures with.
_EXTRA = frozenset({"cryptography", "joserfc"})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        message = f'{name} needs {missing}: python -m pip install "path/to/apikeys[jwt]"'
        raise ImproperlyConfigured(message) from error


def __dir__() -> list[str]:
    return sorted(_HOMES)
