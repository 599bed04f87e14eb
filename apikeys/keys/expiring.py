"""The record that a key ran out."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from .. import events, signals
from ..models import APIKey, EventKind
from . import rows


def expire(key: APIKey, *, source: str = "python") -> bool:
    """Record that *key* ran out, once, and return whether this call did it. It was dead from its end on anyway."""
    now = timezone.now()
    with transaction.atomic(using=rows.database()):
        if rows.is_revoked(key):
            return False
        # Columns of the row alone: a condition on a joined table is not looked at again after waiting for a lock.
        due = APIKey.objects.using(rows.database()).filter(_is_due(now), pk=key.pk)
        if not due.update(end_recorded_at=now):
            return False
        ended = "expiry" if key.is_expired(now=now) else "overlap"
        events.record(
            EventKind.EXPIRED,
            client=key.client,
            key=key,
            source=source,
            details={"ended": ended},
            signal=signals.key_expired,
        )
    return True


def due_to_expire(*, batch_size: int = 500, after_pk: int = 0) -> list[APIKey]:
    """
    Return at most *batch_size* keys behind *after_pk* that ran out and are not recorded yet, oldest first.

    Revoked ones ended by their revocation, which is on record.
    """
    due = APIKey.objects.using(rows.database()).filter(_is_due(timezone.now()), revocation=None, pk__gt=after_pk)
    return list(due.select_related("client", "owner").order_by("pk")[:batch_size])


def _is_due(now: datetime) -> Q:
    return Q(Q(expires_at__lte=now) | Q(overlap_ends_at__lte=now), end_recorded_at=None)
