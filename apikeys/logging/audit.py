"""The lines about changes: one for each ``KeyEvent``, after its commit."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Protocol

from django.db import transaction

from .masking import mask_keys

logger = logging.getLogger("apikeys.audit")


class Event(Protocol):
    """What is told of a ``KeyEvent``, which is a model and so above this module."""

    kind: Any
    at: Any
    client: Any
    key: Any
    actor_name: Any
    source: Any
    address: Any
    details: Any


def tell_after_commit(events: Iterable[Event], *, using: str) -> None:
    """Log *events* at INFO when the transaction on *using* commits, and not at all when it is rolled back."""
    if logger.isEnabledFor(logging.INFO):
        written = list(events)
        # Robust: what was done stays done, whatever a handler of the project raises. No partial: Django 5.2 asks what
        # failed for its name.
        transaction.on_commit(lambda: _tell(written), using=using, robust=True)


def _tell(events: list[Event]) -> None:
    for event in events:
        fields = _fields(event)
        logger.info(
            "%s key=%s client=%s by=%r from=%s",
            *(fields[name] for name in ("event", "key_id", "client_id", "actor", "source")),
            extra=fields,
        )


def _fields(event: Event) -> dict[str, Any]:
    return {
        "event": str(event.kind),
        "at": event.at.isoformat(),
        "key_id": event.key.key_id if event.key else "",
        "family": event.key.family if event.key else "",
        "client_id": event.client.client_id if event.client else "",
        "actor": event.actor_name,
        "source": event.source,
        "address": str(event.address or ""),
        # Nothing in there is secret. Whoever forgets that some day leaks into the table, and not into the log as well.
        "details": mask_keys(dict(event.details)),
    }
