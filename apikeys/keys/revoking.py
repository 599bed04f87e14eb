"""How keys are stopped for good."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import events, policy, signals
from ..core import errors
from ..models import APIKey, Client, EventKind, KeyRevocation, RevocationReason
from . import rows


@dataclass(frozen=True, kw_only=True)
class RevokedKeys:
    """What came of revoking many keys; each has its ``client`` and ``revocation``."""

    #: Those that were stopped, oldest first, with the replacements that the caller could not know of.
    revoked: list[APIKey]
    #: Those that were revoked before, which nothing has changed.
    already_revoked: list[APIKey]


def revoke(
    key: APIKey,
    *,
    reason: str,
    note: str = "",
    by: Any = None,
    source: str = "python",
    address: str | None = None,
) -> list[APIKey]:
    """
    Stop *key* for good, and return all keys that were stopped. *address* is where that was asked from.

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
        # All keys before the first client, as everywhere.
        successors = list(rows.unseen_successors(key, current=locked))
        found = [locked, *(successor for successor in successors if not rows.is_revoked(successor))]
        return [stop(each, reason=reason, note=note, by=by, source=source, address=address) for each in found]


def revoke_many(
    keys: Collection[APIKey],
    *,
    reason: str,
    note: str = "",
    by: Any = None,
    source: str = "python",
) -> RevokedKeys:
    """
    Stop *keys* for good in one transaction, in as many queries for a thousand as for two.

    A replacement that was made after its key was read is stopped too, as ``revoke`` does. Keys that were revoked
    before stay as they are. Whoever changes one of *keys* waits until all are stopped: take a few thousand at most.

    Raises:
        NotPermittedError: If *by* may not revoke.
    """
    policy.require(permitted=policy.may_revoke(by))
    reason = RevocationReason(reason)
    note = policy.clean_note(note)
    if not keys:
        return RevokedKeys(revoked=[], already_revoked=[])
    with transaction.atomic(using=rows.database()):
        locked = _locked_with_unseen_successors(keys)
        earlier = KeyRevocation.objects.using(rows.database()).in_bulk([key.pk for key in locked])
        for key in locked:
            if key.pk in earlier:
                key.revocation = earlier[key.pk]
        open_keys = [key for key in locked if key.pk not in earlier]
        _stop_many(open_keys, reason=reason, note=note, by=by, source=source)
    given = {key.pk for key in keys}
    return RevokedKeys(
        revoked=open_keys, already_revoked=[key for key in locked if key.pk in earlier and key.pk in given]
    )


def stop(
    key: APIKey, *, reason: RevocationReason, note: str, by: Any, source: str, address: str | None = None
) -> APIKey:
    """Insert the revocation of the locked *key* with its event, in the caller's transaction; raises as ``revoke``."""
    key.client = _locked_clients({key.client_id})[key.client_id]
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
        address=address,
        details={"reason": reason.value, "note": note},
        signal=signals.key_revoked,
    )
    return key


def _stop_many(keys: Sequence[APIKey], *, reason: RevocationReason, note: str, by: Any, source: str) -> None:
    if not keys:
        return
    now = timezone.now()
    revocations = [KeyRevocation(key=key, at=now, reason=reason, note=note, by=by) for key in keys]
    KeyRevocation.objects.using(rows.database()).bulk_create(revocations)
    events.record_many(
        EventKind.REVOKED,
        details={key: {"reason": reason.value, "note": note} for key in keys},
        by=by,
        source=source,
        signal=signals.key_revoked,
    )


def _locked_with_unseen_successors(keys: Collection[APIKey]) -> list[APIKey]:
    """Return *keys* as they are now, and the replacements that these objects do not know of; locked, oldest first."""
    given = {key.pk for key in keys}
    unrotated = {key.pk for key in keys if key.overlap_ends_at is None}
    families = {key.family for key in keys}
    held: set[Any] = set()
    while True:
        heads, successors = _relations(families, of=unrotated)
        # Two of these calls that meet in a family meet at its oldest key, so the one that waits there holds nothing
        # newer of it. Otherwise a replacement found in a second round would be locked out of order.
        wanted = heads | given | successors
        if wanted <= held:
            break
        locked = _locked(wanted | held)
        held = wanted | held
    clients = _locked_clients({key.client_id for key in locked})
    for key in locked:
        key.client = clients[key.client_id]
    return [key for key in locked if key.pk in given | successors]


def _relations(families: Collection[str], *, of: Collection[Any]) -> tuple[set[Any], set[Any]]:
    """Return the oldest key of each of *families*, and all that came after the keys *of*; by primary key."""
    heads: dict[str, Any] = {}
    replaced_by: dict[Any, list[Any]] = defaultdict(list)
    related = APIKey.objects.using(rows.database()).filter(family__in=families).order_by("pk")
    for pk, family, replaces in related.values_list("pk", "family", "replaces"):
        heads.setdefault(family, pk)
        replaced_by[replaces].append(pk)
    successors: set[Any] = set()
    following = [pk for key in of for pk in replaced_by[key]]
    while following:
        successors.update(following)
        following = [pk for key in following for pk in replaced_by[key]]
    return set(heads.values()), successors


def _locked(pks: Collection[Any]) -> list[APIKey]:
    # Not against what merely refers to the rows: events of requests with these keys need not wait.
    no_key = connections[rows.database()].features.has_select_for_no_key_update
    found = APIKey.objects.using(rows.database()).filter(pk__in=pks).order_by("pk")
    return list(found.select_for_update(no_key=no_key))


def _locked_clients(pks: Collection[Any]) -> dict[Any, Client]:
    # Before the person, whom MariaDB locks when the revocations are inserted.
    no_key = connections[rows.database()].features.has_select_for_no_key_update
    found = Client.objects.using(rows.database()).filter(pk__in=pks).order_by("pk")
    return {client.pk: client for client in found.select_for_update(no_key=no_key)}
