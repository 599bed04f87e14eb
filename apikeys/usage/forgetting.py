"""What is known of keys besides counts, and is forgotten with the days that it is of: it says where people were."""

from __future__ import annotations

from datetime import datetime

from django.db import router
from django.db.models import Exists, OuterRef

from ..core.batches import batches
from ..models import APIKey, KeyNetwork, LastUse

_BATCH = 500


def forget(*, before: datetime, now: datetime) -> int:
    """
    Delete last uses before *before*, and return how many rows that and what follows were.

    Of families without a working key, so are the networks that were seen first before it. A working key's are kept, or
    it would be told to come from a new network where it always came from.
    """
    uses, _ = LastUse.objects.using(router.db_for_write(LastUse)).filter(at__lt=before).delete()
    return uses + _forget_networks(before=before, now=now)


def _forget_networks(*, before: datetime, now: datetime) -> int:
    alias, keys_alias = router.db_for_write(KeyNetwork), router.db_for_write(APIKey)
    working = APIKey.objects.using(keys_alias).working(now=now)
    old = KeyNetwork.objects.using(alias).filter(first_seen_at__lt=before)
    if alias == keys_alias:
        old = old.exclude(Exists(working.filter(family=OuterRef("family"))))
    deleted = 0
    for batch in batches(list(old.order_by().values_list("family", flat=True).distinct()), size=_BATCH):
        # Once more, where a router keeps the two apart.
        alive = set(working.filter(family__in=batch).values_list("family", flat=True))
        rows = KeyNetwork.objects.using(alias).filter(first_seen_at__lt=before, family__in=set(batch) - alive)
        deleted += rows.delete()[0]
    return deleted
