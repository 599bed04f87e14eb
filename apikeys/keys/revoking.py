"""How a key is stopped for good."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from .. import events, policy, signals
from ..core import errors
from ..models import APIKey, EventKind, KeyRevocation, RevocationReason
from . import rows


def revoke(
    key: APIKey,
    *,
    reason: str,
    note: str = "",
    by: Any = None,
    source: str = "python",
) -> list[APIKey]:
    """
    Stop *key* for good, and return all keys that were stopped.

    They are one, unless *key* was rotated after it was read: then the caller could not know of the replacement and
    meant to leave nothing that works, so that is stopped too.

    Raises:
        AlreadyRevokedError: If it was revoked before. Nothing changes.
        NotPermittedError: If *by* may not revoke.
    """
    policy.require(permitted=policy.may_revoke(by))
    reason = RevocationReason(reason)
    note = policy.clean_note(note)
    with transaction.atomic(using=rows.database()):
        locked = rows.locked(key)
        stopped = [stop(locked, reason=reason, note=note, by=by, source=source)]
        for successor in rows.unseen_successors(key, current=locked):
            if not rows.is_revoked(successor):
                stopped += [stop(successor, reason=reason, note=note, by=by, source=source)]
    return stopped


def stop(key: APIKey, *, reason: RevocationReason, note: str, by: Any, source: str) -> APIKey:
    """Insert the revocation of the locked *key* with its event, in the caller's transaction; raises as ``revoke``."""
    try:
        with transaction.atomic(using=rows.database()):
            revocation = KeyRevocation.objects.using(rows.database()).create(key=key, reason=reason, note=note, by=by)
    except IntegrityError as error:
        earlier = KeyRevocation.objects.using(rows.database()).filter(key=key).first()
        if earlier is None:
            raise
        message = _("Already revoked on %(date)s.") % {"date": policy.long_date(earlier.at)}
        raise errors.AlreadyRevokedError(message, at=earlier.at) from error
    key.revocation = revocation
    events.record(
        EventKind.REVOKED,
        client=key.client,
        key=key,
        by=by,
        source=source,
        details={"reason": reason.value, "note": note},
        signal=signals.key_revoked,
    )
    return key
