"""
Logs without secrets: a filter for handlers, a reporter for Django's error reports, and what the app itself logs.

The app's loggers are ``apikeys.auth`` (refusals), ``apikeys.audit`` (changes), ``apikeys.admin`` and ``apikeys.usage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .masking import mask_keys as mask_keys
from .records import RedactKeys as RedactKeys

if TYPE_CHECKING:
    from .reports import ExceptionReporter as ExceptionReporter


def __getattr__(name: str) -> Any:
    # A settings file may import the filter, and Django's reporter brings templates along.
    if name != "ExceptionReporter":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from .reports import ExceptionReporter  # noqa: PLC0415  # see above

    return ExceptionReporter
