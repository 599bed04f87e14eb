"""Middleware of the request path. Names load on first use: counting requests needs no models, proving keys does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .proofs import ProofMiddleware as ProofMiddleware
    from .usage import UsageMiddleware as UsageMiddleware

_HOMES = {"ProofMiddleware": "proofs", "UsageMiddleware": "usage"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
