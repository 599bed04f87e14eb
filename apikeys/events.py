"""What happened, written down in the transaction in which it happens, and told after the commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.db import connections, router, transaction
from django.dispatch import Signal

from . import snapshots
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
    _forget(None if key is None else [key], using=cast("str", event._state.db))
    if signal is not None:
        subject = {"key": key} if key is not None else {"client": client}
        send = partial(signal.send_robust, sender=type(key or client), event=event, **subject, **told)
        # Robust twice: a receiver's fault must not lose the one response that holds the secret.
        transaction.on_commit(send, using=event._state.db, robust=True)
    return event


def record_many(
    kind: EventKind,
    *,
    details: Mapping[APIKey, dict[str, Any]],
    by: Any = None,
    source: str,
    signal: Signal,
) -> list[KeyEvent]:
    """Return the new events of the keys in *details*; *signal* is sent for each after the commit."""
    database = router.db_for_write(KeyEvent)
    events = [
        KeyEvent(
            kind=kind,
            client=key.client,
            key=key,
            actor=by,
            actor_name=user_name_of(by),
            source=source,
            details=what,
        )
        for key, what in details.items()
    ]
    if connections[database].features.can_return_rows_from_bulk_insert:
        KeyEvent.objects.using(database).bulk_create(events)
    else:
        # MySQL does not tell their primary keys, and a receiver may need them.
        for event in events:
            event.save(using=database, force_insert=True)
    _forget(details, using=database)
    transaction.on_commit(partial(_tell, signal, events), using=database, robust=True)
    return events


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


def _forget(keys: Iterable[APIKey] | None, *, using: str) -> None:
    """Have this process read *keys* again, all where it is None: in this transaction, and after it."""
    forget = snapshots.forget_all if keys is None else partial(snapshots.forget, [key.key_id for key in keys])
    forget()
    # Once more: until the commit, other threads read what was true before it.
    transaction.on_commit(forget, using=using)


def _tell(signal: Signal, events: Sequence[KeyEvent]) -> None:
    for event in events:
        signal.send_robust(sender=APIKey, event=event, key=event.key)
