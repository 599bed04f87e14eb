"""Requests that are counted, and the counts."""

from __future__ import annotations

from typing import Any

from apikeys import usage
from apikeys.models import UsageCount
from apikeys.testing import ApiKeyClient


def counted(*fields: str, **which: Any) -> list[tuple[Any, ...]]:
    """Return *fields* of what was written, in that order, once all is."""
    usage.flush()
    return list(UsageCount.objects.filter(**which).order_by("pk").values_list(*fields))


def get(issued: Any, url: str = "/orders/", **extra: Any) -> Any:
    """Return the answer to a request with a key, also where the view fails."""
    return ApiKeyClient(issued, raise_request_exception=False).get(url, **extra)
