"""The record that a key ran out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import Q
from django.utils import timezone

from .. import events, signals
from ..models import APIKey, APIKeyQuerySet, EventKind, KeyRevocation
from . import rows


def expire(key: APIKey, *, source: str = "python") -> bool:
    """Record that *key* ran out, once, and return whether this call did it. It was dead from its end on anyway."""
    return bool(expire_many([key], source=source))


def expire_many(batch: Sequence[APIKey], *, skip_locked: bool = False, source: str = "python") -> list[APIKey]:
    """
    Record in one transaction which of *batch* ran out, each once, and return those that this call recorded.

    With *skip_locked* it passes over keys that somebody is changing at this moment, where the database can, instead
    of waiting for them. Whoever changes a key of *batch* waits until all of it is recorded: keep it short.
    """
    now = timezone.now()
    with transaction.atomic(using=rows.database()):
        due = _locked([key.pk for key in batch], now=now, skip_locked=skip_locked)
        # After the lock: a revocation, which takes the same one, is there to be seen or comes later.
        revoked = KeyRevocation.objects.using(rows.database()).filter(key__in=list(due))
        for pk in revoked.values_list("key_id", flat=True):
            del due[pk]
        recorded = [key for key in batch if key.pk in due]
        if not recorded:
            return []
        APIKey.objects.using(rows.database()).filter(pk__in=list(due)).update(end_recorded_at=now)
        for key in recorded:
            key.end_recorded_at = now
        events.record_many(
            EventKind.EXPIRED,
            details={key: {"ended": due[key.pk]} for key in recorded},
            source=source,
            signal=signals.key_expired,
        )
    return recorded


def due_to_expire(*, batch_size: int = 500, after_pk: int = 0, at: datetime | None = None) -> list[APIKey]:
    """
    Return at most *batch_size* keys behind *after_pk* that ran out and are not recorded yet, oldest first.

    Revoked ones ended by their revocation, which is on record. *at* is by when they ran out: now unless given.
    """
    due = _due(at or timezone.now()).filter(pk__gt=after_pk)
    return list(due.select_related("client", "owner").order_by("pk")[:batch_size])


def count_due_to_expire(*, at: datetime | None = None) -> int:
    """Return how many keys ``due_to_expire`` has."""
    return _due(at or timezone.now()).count()


def _due(at: datetime) -> APIKeyQuerySet:
    return APIKey.objects.using(rows.database()).filter(_is_due(at), revocation=None)


def _is_due(now: datetime) -> Q:
    return Q(Q(expires_at__lte=now) | Q(overlap_ends_at__lte=now), end_recorded_at=None)


def _locked(pks: list[Any], *, now: datetime, skip_locked: bool) -> dict[Any, str]:
    """Return what ended of each key that is due, its expiry or its overlap, and lock these."""
    # Columns of the row alone: a condition on a joined table is not looked at again after waiting for a lock. Oldest
    # first, as everywhere. And with the weaker lock, which lets others write events of these keys meanwhile.
    features = connections[rows.database()].features
    found = APIKey.objects.using(rows.database()).filter(_is_due(now), pk__in=pks).order_by("pk")
    found = found.select_for_update(
        skip_locked=skip_locked and features.has_select_for_update_skip_locked,
        no_key=features.has_select_for_no_key_update,
    )
    return {
        pk: "expiry" if expires_at is not None and expires_at <= now else "overlap"
        for pk, expires_at in found.values_list("pk", "expires_at")
    }
