"""Device codes: how one is made, kept, asked for and spent (RFC 8628)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

from . import rows
from .codes import digest

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
#: No vowels and no digits: nothing that reads as a word, or as another letter (RFC 8628 section 6.1).
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LETTERS = 8
#: Seconds that a device which asks too early has to wait longer from then on (RFC 8628 section 3.5).
SLOWER_BY_SECONDS = 5
#: It never has to wait longer than this.
SLOWEST_SECONDS = 60
_TRIES = 10
#: What one new code takes away of what is older.
_MOST_PURGED = 100
_KEPT_AFTER_END = timedelta(days=1)


def new_user_code() -> str:
    """
    Return 8 letters of ``ALPHABET`` that no device shows at this time: 34 bits, shown as ``XXXX-XXXX``.

    Raises:
        TemporarilyUnavailableError: If every try met a code that is in use.
    """
    for _try in range(_TRIES):
        code = "".join(secrets.choice(ALPHABET) for _letter in range(LETTERS))
        if not rows.device_grants().filter(user_code=code).exists():
            return code
    raise errors.TemporarilyUnavailableError


def shown(user_code: str) -> str:
    """Return the plain *user_code* as people read it: ``BCDF-GHJK``."""
    half = LETTERS // 2
    return f"{user_code[:half]}-{user_code[half:]}"


def keep(
    *,
    client_id: str,
    device_code: str,
    user_code: str,
    scopes: list[str],
    interval: int,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Keep a new grant that waits for a person, and take away some that ended. Of the code, its digest is kept."""
    grants = rows.device_grants()
    old = grants.filter(expires__lt=now - _KEPT_AFTER_END).order_by("expires").values_list("pk", flat=True)
    if pks := list(old[:_MOST_PURGED]):
        grants.filter(pk__in=pks).delete()
    grant = grants.create(
        client_id=client_id,
        device_code=digest(device_code),
        user_code=user_code,
        scope=" ".join(scopes),
        interval=interval,
        expires=expires_at,
    )
    # The column is set to the time of each save(). A device may ask for the first time at once.
    grants.filter(pk=grant.pk).update(last_checked=now - timedelta(seconds=interval))


def poll(device_code: str, *, client_id: str, now: datetime) -> tuple[str | None, Any]:
    """
    Return the status of a device code as oauthlib names it, and the grant where a person approved it.

    The status is None for a code that is unknown or another client's. Asking too early makes the device wait longer
    (RFC 8628 section 3.5).
    """
    grant = rows.device_grants().filter(device_code=digest(device_code)).select_related("user").first()
    if grant is None or grant.client_id != client_id:
        return None, None
    if grant.status == grant.EXPIRED or now >= grant.expires:
        return DeviceCodeGrant.DEVICE_CODE_EXPIRED, None
    if grant.status == grant.DENIED:
        return DeviceCodeGrant.DEVICE_CODE_DENIED, None
    if grant.status == grant.AUTHORIZED:
        is_ready = grant.user is not None and grant.user.is_active
        return (DeviceCodeGrant.DEVICE_CODE_AUTHORIZED, grant) if is_ready else (None, None)
    pending = rows.device_grants().filter(pk=grant.pk, status=grant.AUTHORIZATION_PENDING)
    if now - grant.last_checked >= timedelta(seconds=grant.interval):
        pending.update(last_checked=now)
        return DeviceCodeGrant.DEVICE_CODE_PENDING, None
    faster = pending.filter(interval__lt=SLOWEST_SECONDS)
    if not faster.update(last_checked=now, interval=F("interval") + SLOWER_BY_SECONDS):
        pending.update(last_checked=now)
    return DeviceCodeGrant.DEVICE_CODE_SLOW_DOWN, None


def spend(grant: Any, *, now: datetime) -> bool:
    """Delete the approved *grant*, in the caller's transaction, and return whether it was still there to be spent."""
    still = rows.device_grants().filter(pk=grant.pk, status=grant.AUTHORIZED, user_id=grant.user_id, expires__gt=now)
    deleted, _by_model = still.delete()
    return bool(deleted)
