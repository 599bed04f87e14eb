"""Writes what a request left, after its response: when a key was last used, new hashes, events of refusals."""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError

from . import events, keys, pending, signals
from .core.errors import HashingFailedError, TooManyHashesError
from .core.memory import BoundedMemory
from .logging import refusals
from .models import EventKind

logger = logging.getLogger("apikeys.auth")

#: What a refusal leaves on record against its key, at most once an hour and family.
_ALARMS = {
    "key_revoked": EventKind.USED_AFTER_END,
    "key_rotated": EventKind.USED_AFTER_END,
    "key_in_query": EventKind.SENT_IN_QUERY,
    "https_required": EventKind.SENT_IN_CLEAR,
}
_FAMILIES = 10_000
#: Alarms that this process has written, so that a dead key that keeps knocking costs no write.
_raised: BoundedMemory[str, bool] = BoundedMemory()


def write(**kwargs: object) -> None:
    """Write what this request left. A database that fails costs these notes, never the response."""
    for item in pending.take():
        try:
            _write(item)
        except (DatabaseError, InterfaceError, HashingFailedError, TooManyHashesError):
            logger.warning("could not write after the response", exc_info=True, extra={"left": type(item).__name__})


def _write(item: pending.Item) -> None:
    match item:
        case pending.Use():
            keys.record_use(item.key_pk, at=item.at)
        case pending.Rehash():
            keys.rehash(item.key_id, old_verifier=item.old_verifier, secret=item.secret)
        case pending.Refusal():
            _write_refusal(item)
        case pending.Task():
            _do(item)


def _do(task: pending.Task) -> None:
    try:
        task.write()
    except (DatabaseError, InterfaceError):
        raise
    except Exception:
        # What an app above raises is not known, and must cost neither the other notes nor what Django does next when a
        # request is over: close the connection.
        logger.exception("could not write after the response", extra={"left": type(task).__name__})


def _write_refusal(refusal: pending.Refusal) -> None:
    address = "" if refusal.address is None else str(refusal.address)
    refusals.tell(reason=refusal.code, key_id=refusal.key_id, family=refusal.family, address=address)
    if refusal.code == "https_required":
        refusals.explain_https()
    kind = _ALARMS.get(refusal.code)
    if kind is not None and refusal.key_id:
        hour = f"{refusal.at:%Y%m%d%H}"
        seen = f"{refusal.family or refusal.key_id}:{kind.value}:{hour}"
        if _raised.get(seen) is None:
            events.record_once(kind, key_id=refusal.key_id, at=refusal.at, address=address)
            _raised.put(seen, value=True, most=_FAMILIES)
    signals.credential_refused.send_robust(sender=None, code=refusal.code, key_id=refusal.key_id, address=address)
