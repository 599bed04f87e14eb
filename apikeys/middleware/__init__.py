"""Middleware of the request path. Names load on first use: counting requests needs no models, proving keys does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.lazy_names import lazy_names

if TYPE_CHECKING:
    from .proofs import ProofMiddleware as ProofMiddleware
    from .usage import UsageMiddleware as UsageMiddleware

__getattr__, __dir__ = lazy_names(__name__, {"ProofMiddleware": "proofs", "UsageMiddleware": "usage"})
