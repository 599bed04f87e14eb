"""Authorization codes at rest, and what becomes of one that comes twice."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db import router, transaction
from oauth2_provider.models import get_refresh_token_model, refresh_token_expire_timedelta, revoke_access_token

from . import rows
from .models import SpentCode
from .refused import record_replay

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


def end_what_it_gave(code_digest: str, *, application: Any, now: datetime) -> bool:
    """
    Revoke what the code gave, where it is a spent one of *application* (RFC 6749 section 4.1.2).

    Return whether that left an event, which it does once in an hour where a token still worked.
    """
    database = router.db_for_write(SpentCode)
    with transaction.atomic(using=database):
        spent = SpentCode.objects.using(database).filter(checksum=code_digest, application=application).first()
        if spent is None:
            return False
        access_token = (
            rows.access_tokens()
            .filter(token_checksum=spent.access_token_checksum, application=application)
            .select_related("user")
            .first()
        )
        live = rows.refresh_tokens().filter(token_family=spent.token_family, revoked=None)
        refresh_token = None if spent.token_family is None else live.select_related("user").first()
        alive = refresh_token or access_token
        if refresh_token is not None:
            get_refresh_token_model().revoke_family(spent.token_family)
        if access_token is not None:
            revoke_access_token(access_token)
        return alive is not None and record_replay(application=application, user=alive.user, what="code", now=now)
