"""API keys and scopes for Django: hashed at rest, checked on every request, revoked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asking import averify as averify
    from .asking import verify as verify

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Models load only when apps are ready, and this package is imported before that.
    if name not in {"averify", "verify"}:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from . import asking  # noqa: PLC0415  # see above

    return getattr(asking, name)
