"""Authorization codes at rest, and what is remembered of a spent one."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db import router
from oauth2_provider.models import refresh_token_expire_timedelta

from . import rows
from .models import SpentCode

#: How long a spent code is remembered at least; where refresh tokens live longer, as long as they do.
REMEMBERED_FOR = timedelta(days=90)
#: What one exchange takes away of what is older.
_MOST_PURGED = 100


def digest(secret: str) -> str:
    """Return what is stored of a code or token: SHA-256 in hexadecimal, as the toolkit has it of tokens."""
    return hashlib.sha256(secret.encode()).hexdigest()


def remember_spent(code_digest: str, *, token: dict[str, Any], application: Any, now: datetime) -> None:
    """Remember, in the caller's transaction, that the code was exchanged for *token*, and forget the oldest ones."""
    refresh_token = token.get("refresh_token")
    family = None
    if refresh_token:
        made = rows.refresh_tokens().filter(token_checksum=digest(refresh_token))
        family = made.values_list("token_family", flat=True).first()
    spent = SpentCode.objects.using(router.db_for_write(SpentCode))
    spent.create(
        checksum=code_digest,
        application=application,
        token_family=family,
        access_token_checksum=digest(token["access_token"]),
        spent_at=now,
    )
    lifetime = refresh_token_expire_timedelta()
    if lifetime is None:
        return  # so do they, for ever
    old = spent.filter(spent_at__lt=now - max(lifetime, REMEMBERED_FOR)).order_by("spent_at")
    # MySQL deletes by no subquery with a limit.
    if pks := list(old.values_list("pk", flat=True)[:_MOST_PURGED]):
        spent.filter(pk__in=pks).delete()


def find_spent(code_digest: str, *, application: Any) -> SpentCode | None:
    """Return what is remembered of a code of *application* that was exchanged, None where nothing is."""
    spent = SpentCode.objects.using(router.db_for_write(SpentCode))
    return spent.filter(checksum=code_digest, application=application).first()
