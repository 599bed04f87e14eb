"""What happened, written down in the transaction in which it happens, and told after the commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.db import IntegrityError, connections, router, transaction
from django.dispatch import Signal

from . import snapshots
from .logging import audit
from .models import APIKey, Client, EventKind, KeyEvent, user_name_of

#: What touches no key. Who is signed in may allow and withdraw as often as they like, and must not empty a memory of
#: keys by that. Whatever is not listed does.
_OF_NO_KEY = frozenset(
    {EventKind.CONSENT_GIVEN, EventKind.CONSENT_WITHDRAWN, EventKind.SIGN_IN_CHANGED, EventKind.SECRET_REPLACED}
)


def record(
    kind: EventKind,
    *,
    client: Client | None,
    key: APIKey | None = None,
    by: Any = None,
    source: str,
    address: str | None = None,
    details: dict[str, Any] | None = None,
    signal: Signal | None = None,
    **told: Any,
) -> KeyEvent:
    """
    Return the new event of *key* or *client*, or of neither; *signal* is sent with *told* and it after the commit.

    *details* holds what changed, JSON, never a secret.
    """
    event = KeyEvent.objects.create(
        kind=kind,
        client=client,
        key=key,
        actor=by,
        actor_name=user_name_of(by),
        source=source,
        address=address,
        details=details or {},
    )
    audit.tell_after_commit([event], using=cast("str", event._state.db))
    if (key is not None or client is not None) and kind not in _OF_NO_KEY:
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
    signal: Signal | None = None,
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
    audit.tell_after_commit(events, using=database)
    _forget(details, using=database)
    if signal is not None:
        transaction.on_commit(partial(_tell, signal, events), using=database, robust=True)
    return events


def record_once(kind: EventKind, *, key_id: str, at: datetime, address: str) -> None:
    """Record an alarm about the key with *key_id*, unless its family has one of this kind in the hour of *at*."""
    database = router.db_for_write(KeyEvent)
    key = APIKey.objects.using(database).select_related("client").filter(key_id=key_id).first()
    if key is None or key.key_id != key_id:
        return
    once = f"{key.family}:{kind.value}:{at:%Y%m%d%H}"
    record_first(kind, once=once, at=at, key=key, address=address or None)


def record_first(
    kind: EventKind,
    *,
    once: str,
    at: datetime,
    key: APIKey | None = None,
    client: Client | None = None,
    by: Any = None,
    address: str | None = None,
    details: dict[str, Any] | None = None,
    signal: Signal | None = None,
    **told: Any,
) -> KeyEvent | None:
    """
    Return the new event of what a request left, or None where there is one with the text *once* already.

    It is about *key* and its client, or about *client*. *signal* is sent with *told* and it after the commit: of all
    processes that come here, by one.
    """
    database = router.db_for_write(KeyEvent)
    event = KeyEvent(
        kind=kind,
        at=at,
        client=client if key is None else key.client,
        key=key,
        actor=by,
        actor_name=user_name_of(by),
        source="request",
        address=address,
        details=details or {},
        once=once,
    )
    earlier = KeyEvent.objects.using(database).filter(once=once)
    if earlier.exists():
        return None
    try:
        with transaction.atomic(using=database):
            event.save(using=database, force_insert=True)
    except IntegrityError:
        if not earlier.exists():
            raise
        return None
    audit.tell_after_commit([event], using=database)
    if signal is not None:
        sender = KeyEvent if key is None else APIKey
        send = partial(signal.send_robust, sender=sender, event=event, key=key, **told)
        transaction.on_commit(send, using=database, robust=True)
    return event


def of_claims(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of an event that says which claims changed from *old* to *new*."""
    changed = sorted(name for name in {*old, *new} if name not in old or name not in new or old[name] != new[name])
    return {
        "changed": changed,
        "old": {name: old[name] for name in changed if name in old},
        "new": {name: new[name] for name in changed if name in new},
    }


def _forget(keys: Iterable[APIKey] | None, *, using: str) -> None:
    """Have this process read *keys* again, all where it is None: in this transaction, and after it."""
    forget = snapshots.forget_all if keys is None else partial(snapshots.forget, [key.key_id for key in keys])
    forget()
    # Once more: until the commit, other threads read what was true before it.
    transaction.on_commit(forget, using=using)


def _tell(signal: Signal, events: Sequence[KeyEvent]) -> None:
    for event in events:
        signal.send_robust(sender=APIKey, event=event, key=event.key)
