"""What requests leave on a key: when it was used, and a stored text of today's cost."""

from __future__ import annotations

from datetime import datetime

from django.db import connections, transaction
from django.db.models import Q
from django.views.decorators.debug import sensitive_variables

from .. import guard
from ..conf import settings
from ..models import LAST_USED_ACCURACY, APIKey
from . import rows


def record_use(key_pk: int, *, at: datetime) -> None:
    """Note that the key was used *at*, at most once a minute and never backwards."""
    using = rows.database()
    stale = Q(last_used_at=None) | Q(last_used_at__lte=at - LAST_USED_ACCURACY)
    due = APIKey.objects.using(using).filter(stale, pk=key_pk)
    features = connections[using].features
    if not features.has_select_for_update_skip_locked:
        due.update(last_used_at=at)
        return
    # Whoever has the row notes the same minute or stops the key. To wait for it would hold a server's thread for as
    # long as that lasts; the next request tries again.
    with transaction.atomic(using=using):
        free = due.select_for_update(skip_locked=True, no_key=features.has_select_for_no_key_update)
        if list(free.values_list("pk")):
            due.update(last_used_at=at)


@sensitive_variables()
def rehash(key_id: str, *, old_verifier: str, secret: str) -> None:
    """Store *secret*, which was proven against *old_verifier*, with today's hasher, unless somebody else did."""
    with guard.turn():
        verifier = settings.hasher.hash(secret)
    APIKey.objects.using(rows.database()).filter(key_id=key_id, verifier=old_verifier).update(verifier=verifier)
