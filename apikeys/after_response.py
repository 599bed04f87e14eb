"""Writes what a request left, after its response: when a key was last used, new hashes, events of refusals."""

from __future__ import annotations

import logging
from functools import lru_cache

from django.db import DatabaseError, InterfaceError

from . import events, keys, pending, signals
from .core.errors import HashingFailedError, TooManyHashesError
from .core.memory import BoundedMemory
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


def _write(item: pending.Use | pending.Rehash | pending.Refusal) -> None:
    match item:
        case pending.Use():
            keys.record_use(item.key_pk, at=item.at)
        case pending.Rehash():
            keys.rehash(item.key_id, old_verifier=item.old_verifier, secret=item.secret)
        case pending.Refusal():
            _write_refusal(item)


@lru_cache(maxsize=1)
def _explain_https() -> None:
    # Once per process: behind a proxy that ends TLS every request looks like this until it is named.
    logger.warning(
        "A key was refused over plain HTTP. Behind a proxy that ends TLS, name it in APIKEYS['TRUSTED_PROXIES'] and "
        "let it send X-Forwarded-Proto, or the header in SECURE_PROXY_SSL_HEADER."
    )


def _write_refusal(refusal: pending.Refusal) -> None:
    address = "" if refusal.address is None else str(refusal.address)
    logger.info("credential refused", extra={"reason": refusal.code, "key_id": refusal.key_id})
    if refusal.code == "https_required":
        _explain_https()
    kind = _ALARMS.get(refusal.code)
    if kind is not None and refusal.key_id:
        hour = f"{refusal.at:%Y%m%d%H}"
        seen = f"{refusal.family or refusal.key_id}:{kind.value}:{hour}"
        if _raised.get(seen) is None:
            events.record_once(kind, key_id=refusal.key_id, at=refusal.at, address=address)
            _raised.put(seen, value=True, most=_FAMILIES)
    signals.credential_refused.send_robust(sender=None, code=refusal.code, key_id=refusal.key_id, address=address)
