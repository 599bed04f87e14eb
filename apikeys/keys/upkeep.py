"""What requests leave on a key: when it was used, and a stored text of today's cost."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q
from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..models import LAST_USED_ACCURACY, APIKey
from . import rows


def record_use(key_pk: int, *, at: datetime) -> None:
    """Note that the key was used *at*, at most once a minute and never backwards."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=at - LAST_USED_ACCURACY)
    APIKey.objects.using(rows.database()).filter(stale, pk=key_pk).update(last_used_at=at)


@sensitive_variables()
def rehash(key_id: str, *, old_verifier: str, secret: str) -> None:
    """Store *secret*, which was proven against *old_verifier*, with today's hasher, unless somebody else did."""
    verifier = settings.hasher.hash(secret)
    APIKey.objects.using(rows.database()).filter(key_id=key_id, verifier=old_verifier).update(verifier=verifier)
