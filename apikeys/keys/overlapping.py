"""Overlaps that start when the replacement is first used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from .. import events, signals
from ..core.batches import batches
from ..models import APIKey, APIKeyQuerySet, EventKind
from . import rows

#: So many key ids are looked for at once; databases limit the parameters of a query.
_BATCH = 500


def start_overlaps(first_uses: Mapping[str, datetime], *, source: str = "request") -> int:
    """
    Start the overlaps that waited for one of *first_uses*, instants by key id, and return how many there were.

    Any later key of the chain ends the wait: whoever uses it has left the old one. One query where nothing waits.
    An overlap that can't start keeps no other from it: what it raised is raised when all have had their turn.
    """
    waiting = _waiting()
    if not first_uses or not waiting.exists():
        return 0
    started, failure = 0, None
    # Earliest first: a chain may have a key in two batches.
    for batch in batches(sorted(first_uses, key=first_uses.__getitem__), size=_BATCH):
        later = _later_keys(batch, of=waiting)
        for old_pk, family in waiting.filter(family__in=set(later)).order_by("pk").values_list("pk", "family"):
            instants = [first_uses[key_id] for pk, key_id in later.get(family, ()) if pk > old_pk]
            if not instants:
                continue
            try:
                started += start_overlap(old_pk, first_used_at=min(instants), source=source)
            except (InterfaceError, OperationalError):
                # The database, which would fail for all of them.
                raise
            except Exception as error:  # noqa: BLE001  # what a receiver of the project's raises is not known
                failure = error
    if failure is not None:
        raise failure
    return started


def awaited(key_ids: Iterable[str]) -> set[str]:
    """Return those of *key_ids* whose first use an overlap still waits for. One query for each 500."""
    waiting = _waiting()
    found = (_later_keys(batch, of=waiting) for batch in batches(key_ids, size=_BATCH))
    return {key_id for later in found for replacements in later.values() for _pk, key_id in replacements}


def start_overlap(old_pk: int, *, first_used_at: datetime, source: str = "request") -> bool:
    """
    Have the old key stop so long after *first_used_at* as its rotation said; return whether this call did that.

    Only where it waits for the first use of its replacement, and never later than it would have stopped.
    """
    with transaction.atomic(using=rows.database()):
        old: Any = APIKey.objects.using(rows.database()).select_for_update().filter(pk=old_pk).first()
        if old is None or old.overlap_from_use is None or rows.is_revoked(old):
            return False
        if old.is_rotated_out(now=timezone.now()):
            # It waited in vain, and stopped at the latest instant.
            return False
        old.overlap_ends_at = min(old.overlap_ends_at, first_used_at + old.overlap_from_use)
        old.overlap_from_use = None
        old.save(update_fields=["overlap_ends_at", "overlap_from_use"])
        events.record(
            EventKind.OVERLAP_STARTED,
            client=rows.client_of(old),
            key=old,
            source=source,
            details={"first_used_at": first_used_at.isoformat(), "stops_at": old.overlap_ends_at.isoformat()},
            signal=signals.overlap_started,
        )
    return True


def _waiting() -> APIKeyQuerySet:
    keys = APIKey.objects.using(rows.database())
    return keys.filter(overlap_from_use__isnull=False, overlap_ends_at__gt=timezone.now(), revocation=None)


def _later_keys(key_ids: Collection[str], *, of: APIKeyQuerySet) -> dict[str, list[tuple[int, str]]]:
    """Return the replacements with *key_ids* in the chains *of* some keys: primary key and key id, by family."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    replacements = APIKey.objects.using(rows.database()).filter(
        key_id__in=key_ids, replaces__isnull=False, family__in=of.values("family")
    )
    wanted = set(key_ids)
    for pk, key_id, family in replacements.values_list("pk", "key_id", "family"):
        # Compared once more: a collation that folds case finds keys that differ only in it.
        if key_id in wanted:
            found[family].append((pk, key_id))
    return found
