"""New keys and replacements, and how one that nobody saw is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import events, issuance, policy, signals
from ..conf import settings
from ..core import errors
from ..issuance import IssuedKey, NewSecret
from ..models import APIKey, Client, EventKind, RevocationReason, user_name_of
from ..policy import DEFAULT, FROM_FIRST_USE, Choice, Lifetime, Overlap
from . import rows
from .revoking import stop


@sensitive_variables("secret", "issued")
def issue(
    client: Client,
    *,
    name: str,
    scopes: str | Sequence[str],
    owner: Any = None,
    lifetime: Lifetime = DEFAULT,
    allowed_networks: Sequence[str] | None = None,
    rates: str | Sequence[str] = (),
    quotas: str | Sequence[str] = (),
    claims: Mapping[str, Any] | None = None,
    note: str = "",
    by: Any = None,
    source: str = "python",
    form_id: UUID | None = None,
    secret: NewSecret | None = None,
) -> IssuedKey:
    """
    Issue a key of *client* that acts for *owner*, or for nobody: a service key.

    *lifetime* None means without end; *allowed_networks* None means from anywhere, empty from nowhere. *rates* and
    *quotas* count besides those of the project and the client, and for the replacements together with the key. *claims*
    go before the client's. A *form_id* makes one key however often it is sent. *secret* is one that was hashed before,
    for this key alone.

    Raises:
        APIKeysError: ``ChangeRefusedError`` or ``ScopeError``, whose class names what was refused.
        HashingFailedError: If no *secret* was given, and there was not enough memory to hash one, or no turn in time.
    """
    policy.require(permitted=policy.may_issue(by, owner=owner) and (not claims or policy.may_set_claims(by)))
    policy.require_owner(owner)
    policy.require_grantable(policy.require_scopes(scopes, client=client), by=by)
    policy.refuse_repeated_form(form_id)
    key = APIKey(
        mode=settings.MODE,
        name=policy.clean_name(name),
        note=policy.clean_note(note),
        owner=owner,
        acts_for_user=owner is not None,
        allowed_networks=None if allowed_networks is None else policy.clean_networks(allowed_networks),
        rates=policy.clean_rates(rates),
        quotas=policy.clean_quotas(quotas),
        claims=policy.clean_claims(claims or {}),
        created_by=by,
        form_id=form_id,
    )
    secret = secret or issuance.new_secret()
    with transaction.atomic(using=rows.database()):
        now = timezone.now()
        key.client = client = rows.locked_client(client)
        policy.require_active(client)
        # Once more, with the row that nobody can change now.
        key.scopes = policy.require_scopes(scopes, client=client)
        key.created_at, key.expires_at = now, policy.expiry(lifetime, client=client, now=now)
        policy.refuse_duplicate_name(key.name, client=client, now=now)
        if owner is not None:
            policy.refuse_too_many_keys(owner, by=by, now=now)
        issued = issuance.insert(key, secret)
        events.record(
            EventKind.ISSUED,
            client=client,
            key=key,
            by=by,
            source=source,
            details={
                "name": key.name,
                "scopes": key.scopes,
                "owner": user_name_of(owner),
                "rates": key.rates,
                "quotas": key.quotas,
                "claims": key.claims,
            },
            signal=signals.key_issued,
        )
    return issued


@sensitive_variables("secret", "issued")
def rotate(
    key: APIKey,
    *,
    overlap: Overlap | Literal[Choice.DEFAULT] = DEFAULT,
    lifetime: Lifetime = DEFAULT,
    by: Any = None,
    source: str = "python",
    form_id: UUID | None = None,
    secret: NewSecret | None = None,
) -> IssuedKey:
    """
    Issue the replacement of *key*, which works on for *overlap* but never longer than it would have.

    The replacement has the name, client, owner, scopes, networks, limits, claims and note of *key*, and by default its
    length of life. Two rotations at once give one replacement. With ``FROM_FIRST_USE`` *key* stops
    ``FIRST_USE_OVERLAP`` after the replacement is first used, as ``start_overlaps`` is told, or after ``MAX_OVERLAP``
    if it never is.
    *secret* is one that was hashed before, for this rotation alone.

    Raises:
        AlreadyRotatedError: If it has a replacement, which the error names.
        KeyNotWorkingError: If it is revoked, expired or rotated out.
        ChangeRefusedError: For the other reasons of ``issue``.
        HashingFailedError: As there.
    """
    policy.require(permitted=policy.may_rotate(by, key))
    overlap = policy.require_overlap(overlap)
    policy.refuse_repeated_form(form_id)
    secret = secret or issuance.new_secret()
    with transaction.atomic(using=rows.database()):
        now = timezone.now()
        old = _locked_and_joined(key)
        _require_rotatable(old, now=now)
        expires_at = (
            policy.same_expiry(old, client=old.client, now=now)
            if lifetime is DEFAULT
            else policy.expiry(lifetime, client=old.client, now=now)
        )
        stops_at = policy.overlap_end(old, overlap=overlap, now=now)
        from_use = policy.FIRST_USE_OVERLAP if overlap is FROM_FIRST_USE else None
        replacement = APIKey(
            mode=settings.MODE,
            client=old.client,
            name=old.name,
            note=old.note,
            owner=old.owner,
            acts_for_user=old.acts_for_user,
            scopes=old.scopes,
            allowed_networks=old.allowed_networks,
            # Counted for the family, so that an overlap doubles nothing.
            rates=old.rates,
            quotas=old.quotas,
            claims=old.claims,
            created_at=now,
            created_by=by,
            expires_at=expires_at,
            replaces=old,
            family=old.family,
            form_id=form_id,
        )
        issued = issuance.insert(replacement, secret)
        APIKey.objects.using(rows.database()).filter(pk=old.pk, overlap_ends_at=None).update(
            overlap_ends_at=stops_at, overlap_from_use=from_use
        )
        key.overlap_ends_at = old.overlap_ends_at = stops_at
        key.overlap_from_use = old.overlap_from_use = from_use
        events.record(
            EventKind.ROTATED,
            client=old.client,
            key=old,
            by=by,
            source=source,
            details={
                "replacement": replacement.key_id,
                "stops_at": stops_at.isoformat(),
                "from_first_use": from_use is not None,
            },
            signal=signals.key_rotated,
            replacement=replacement,
        )
    return issued


def withdraw_undelivered(key: APIKey, *, by: Any = None, source: str = "python") -> None:
    """
    Undo *key*, a new one whose plaintext nobody has seen, and the rotation that made it.

    It is revoked as undelivered and unlinked, and the key that it was to replace works on as before. Who made a key may
    take it back, whatever else they may do.

    Raises:
        NotPermittedError: If *by* neither made it nor may revoke keys.
        AlreadyUsedError: If it was used or rotated, so that somebody has it.
    """
    with transaction.atomic(using=rows.database()):
        if key.replaces is not None:
            # The older one first, as ``revoke`` does.
            rows.locked(key.replaces)
        locked = rows.locked(key)
        is_maker = by is not None and locked.created_by_id == by.pk
        policy.require(permitted=is_maker or policy.may_revoke(by))
        if locked.last_used_at is not None or locked.overlap_ends_at is not None:
            raise errors.AlreadyUsedError(_("This key was used, so somebody has it. Revoke it instead."))
        old = locked.replaces
        stop(locked, reason=RevocationReason.UNDELIVERED, note="", by=by, source=source)
        if old is None:
            return
        locked.replaces = None
        locked.save(update_fields=["replaces"])
        APIKey.objects.using(rows.database()).filter(pk=old.pk).update(
            overlap_ends_at=None, overlap_from_use=None, end_recorded_at=None
        )
        events.record(
            EventKind.UNDELIVERED,
            client=old.client,
            key=old,
            by=by,
            source=source,
            details={"replacement": locked.key_id},
        )


def _locked_and_joined(key: APIKey) -> APIKey:
    # Locked first and read then, so that what is joined is of now too. It decides about the rotation, in one query.
    found = APIKey.objects.using(rows.database()).filter(pk=key.pk)
    found.select_for_update().values_list("pk").get()
    return found.select_related("client", "owner", "revocation").get()


def _require_rotatable(key: APIKey, *, now: datetime) -> None:
    if key.overlap_ends_at is not None:
        policy.refuse_replaced(key)
    policy.require_own_mode(key)
    policy.require_active(key.client)
    if key.owner is not None:
        policy.require_owner(key.owner)
    if key.is_revoked() or key.is_expired(now=now) or key.is_orphaned:
        raise errors.KeyNotWorkingError(_("This key no longer works, so there is nothing to overlap."))
