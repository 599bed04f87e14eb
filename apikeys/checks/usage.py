"""Checks of what counts usage. None runs a query."""

from __future__ import annotations

import inspect
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004  # Django's name
from django.utils.module_loading import import_string

from . import TAG

_MIDDLEWARE = "apikeys.middleware.UsageMiddleware"


@register(Tags.security, TAG, deploy=True)
def check_usage_is_counted(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find a project that counts no request (W212)."""
    if any(_counts(path) for path in django_settings.MIDDLEWARE):
        return []
    return [
        Warning(
            "No request is counted: nobody will see what a key is used for, which permissions it needs, or that it "
            "is used from a new network.",
            hint=f"Put {_MIDDLEWARE!r} first in MIDDLEWARE.",
            id="apikeys.W212",
        )
    ]


def _counts(path: str) -> bool:
    if path == _MIDDLEWARE:
        return True
    try:
        middleware = import_string(path)
        counting = import_string(_MIDDLEWARE)
    except ImportError:
        # Django says so when it starts.
        return False
    return inspect.isclass(middleware) and issubclass(middleware, counting)
