"""
What this process has read of keys lately, for at most ``MAX_STALENESS``. Whoever presents one proves it each time.

Empty where that is zero, as it is by default. A snapshot is what was read, never a row to write back. A change made
in this process drops it at once; one made elsewhere counts when it is too old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from django.core.signals import setting_changed
from django.db import transaction

from .conf import settings
from .core.memory import BoundedMemory
from .lookup import Found


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A key as it was when its row was read, and what it may do."""

    found: Found
    #: What counted then, the person's rights included.
    scopes: frozenset[str]
    #: The database that it was read in.
    alias: str
    #: On the monotonic clock, taken before the row was read.
    read_at: float


class Changes:
    """How many changes this process made. Whoever keeps a reading asks before it recalls or reads anything."""

    count = 0


changes = Changes()
_snapshots: BoundedMemory[str, Snapshot] = BoundedMemory()
_lock = threading.Lock()


def recall(key_id: str, *, alias: str) -> Snapshot | None:
    """Return the snapshot of the key with *key_id*, if ``MAX_STALENESS`` still allows it. It proves nothing."""
    snapshot = _snapshots.get(key_id)
    if snapshot is None or snapshot.alias != alias:
        return None
    return snapshot if time.monotonic() - snapshot.read_at < settings.MAX_STALENESS.total_seconds() else None


def keep(snapshot: Snapshot, *, since: int) -> None:
    """Keep *snapshot* when its transaction commits, unless this process changed something since it counted *since*."""
    # What a rolled-back transaction has seen was never true.
    transaction.on_commit(partial(_put, snapshot, since=since), using=snapshot.alias)


def forget(key_ids: Iterable[str]) -> None:
    """Read the keys with *key_ids* again from now on."""
    with _lock:
        changes.count += 1
        for key_id in key_ids:
            _snapshots.pop(key_id)


def forget_all() -> None:
    """Read every key again from now on."""
    with _lock:
        changes.count += 1
        _snapshots.clear()


def _put(snapshot: Snapshot, *, since: int) -> None:
    # Under the lock: what was read before a change must not come in behind it.
    with _lock:
        if since == changes.count:
            _snapshots.put(snapshot.found.key_id, snapshot, most=settings.REMEMBERED_PROOFS)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "AUTH_USER_MODEL", "INSTALLED_APPS"}:
        forget_all()


setting_changed.connect(_forget, dispatch_uid="apikeys.snapshots")
