"""What happened, written down in the transaction in which it happens, and told after the commit."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.db import router, transaction
from django.dispatch import Signal

from .models import APIKey, Client, EventKind, KeyEvent, user_name_of


def record(
    kind: EventKind,
    *,
    client: Client,
    key: APIKey | None = None,
    by: Any = None,
    source: str,
    details: dict[str, Any] | None = None,
    signal: Signal | None = None,
    **told: Any,
) -> KeyEvent:
    """
    Return the new event of *key* or *client*; *signal* is sent with *told* and it after the commit.

    *details* holds what changed, JSON, never a secret.
    """
    event = KeyEvent.objects.create(
        kind=kind,
        client=client,
        key=key,
        actor=by,
        actor_name=user_name_of(by),
        source=source,
        details=details or {},
    )
    if signal is not None:
        subject = {"key": key} if key is not None else {"client": client}
        send = partial(signal.send_robust, sender=type(key or client), event=event, **subject, **told)
        # Robust twice: a receiver's fault must not lose the one response that holds the secret.
        transaction.on_commit(send, using=event._state.db, robust=True)
    return event


def record_once(kind: EventKind, *, key_id: str, at: datetime, address: str) -> None:
    """Record an alarm about the key with *key_id*, unless its family has one of this kind in the hour of *at*."""
    database = router.db_for_write(KeyEvent)
    key = APIKey.objects.using(database).select_related("client").filter(key_id=key_id).first()
    if key is None or key.key_id != key_id:
        return
    event = KeyEvent(
        kind=kind,
        at=at,
        client=key.client,
        key=key,
        source="request",
        address=address or None,
        once=f"{key.family}:{kind.value}:{at:%Y%m%d%H}",
    )
    # Two processes may be here at once; the second one's row is dropped by the constraint.
    KeyEvent.objects.using(database).bulk_create([event], ignore_conflicts=True)
