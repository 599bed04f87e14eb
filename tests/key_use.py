"""What keys were used for, told as "so long ago", for tests of the pages that show it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from apikeys import usage
from apikeys.models import APIKey, LastUse
from tests.usage_rows import refusals_of, requests_with


def used(key: APIKey, count: int = 1, *, ago: timedelta = timedelta(0), **more: Any) -> None:
    """Count *count* requests with *key*."""
    fields = {"route": "todo-list", "network": "203.0.113.0/24", **more}
    requests_with(key, at=timezone.now() - ago, count=count, **fields)


def refused(code: str, count: int = 1, *, ago: timedelta = timedelta(0), key: APIKey | None = None) -> None:
    """Count *count* refused credentials, of *key* or of nobody."""
    refusals_of(key, at=timezone.now() - ago, count=count, outcome=code)


def last_used_from(key: APIKey, address: str, *, ago: timedelta = timedelta(0)) -> None:
    """Write down the last use of *key*, as the flush does."""
    at = timezone.now() - ago
    fields = {"at": at, "address": address, "route": "todo-list", "method": "GET", "user_agent": "curl/8.5"}
    LastUse.objects.update_or_create(key_id=key.key_id, defaults=fields)
    APIKey.objects.filter(pk=key.pk).update(last_used_at=at)


def roll_up() -> None:
    """Sum up every hour that is over."""
    usage.rollup()
