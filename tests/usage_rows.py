"""Counts as processes write them, without the requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from apikeys.core import buckets
from apikeys.models import APIKey, Grain, Level, UsageCount


def requests_with(key: APIKey, **fields: Any) -> UsageCount:
    """Write what ``request_row`` makes."""
    row = request_row(key, **fields)
    row.save()
    return row


def refusals_of(key: APIKey | None, **fields: Any) -> UsageCount:
    """Write what ``refusal_row`` makes."""
    row = refusal_row(key, **fields)
    row.save()
    return row


def request_row(key: APIKey, *, at: datetime, count: int = 1, **fields: Any) -> UsageCount:
    """Return the row that says that *key* was used *count* times at *at*."""
    said = {"route": "todo:list", "method": "GET", "outcome": "ok", "scopes": "todo:read", "network": "192.0.2.0/24"}
    return UsageCount(
        level=Level.REQUEST,
        grain=Grain.RAW,
        bucket=buckets.hour_start(at, zone=timezone.get_default_timezone()),
        family=key.family,
        key_id=key.key_id,
        client_id=key.client.client_id,
        count=count,
        last_at=at,
        **{**said, **fields},
    )


def refusal_row(key: APIKey | None, *, at: datetime, count: int = 1, **fields: Any) -> UsageCount:
    """Return the row that says that *key*, or something that was no key, was refused *count* times at *at*."""
    said = {"outcome": "key_invalid" if key is None else "key_expired", "network": "192.0.2.0/24"}
    if key is not None:
        said |= {"family": key.family, "key_id": key.key_id, "client_id": key.client.client_id}
    return UsageCount(
        level=Level.REFUSAL,
        grain=Grain.RAW,
        bucket=at.replace(second=0, microsecond=0),
        count=count,
        last_at=at,
        **{**said, **fields},
    )


def counted(**which: Any) -> int:
    """Return the sum of all counts that processes wrote, whatever became of their rows."""
    rows = UsageCount.objects.filter(level__in=(Level.REQUEST, Level.REFUSAL), **which)
    return rows.aggregate(sum=Sum("count"))["sum"] or 0


def summed(level: Level, **which: Any) -> int:
    """Return the sum of the sums of *level*."""
    return UsageCount.objects.filter(level=level, **which).aggregate(sum=Sum("count"))["sum"] or 0
