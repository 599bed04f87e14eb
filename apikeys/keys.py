"""
Issue, rotate, revoke, narrow, edit, expire: the only writer of keys.

Each change is one transaction with its event; its signal follows the commit. ``by`` is the acting person, whose
rights are checked; None is trusted code. ``source`` is the door: ``admin``, ``command``, ``python``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.db import IntegrityError, router, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from . import events, issuance, policy, signals
from .conf import settings
from .core import errors
from .core.scopes import as_names
from .issuance import IssuedKey as IssuedKey  # noqa: PLC0414  # it is what issue and rotate return
from .models import LAST_USED_ACCURACY, APIKey, Client, EventKind, KeyRevocation, RevocationReason, user_name_of
from .policy import DEFAULT, Choice, Lifetime


@sensitive_variables("secret", "issued")
def issue(
    client: Client,
    *,
    name: str,
    scopes: str | Sequence[str],
    owner: Any = None,
    lifetime: Lifetime = DEFAULT,
    allowed_networks: Sequence[str] | None = None,
    note: str = "",
    by: Any = None,
    source: str = "python",
    form_id: UUID | None = None,
) -> IssuedKey:
    """
    Issue a key of *client* that acts for *owner*, or for nobody: a service key.

    *lifetime* None means without end; *allowed_networks* None means from anywhere, empty from nowhere. A *form_id*
    makes one key however often it is sent.

    Raises:
        APIKeysError: ``ChangeRefusedError`` or ``ScopeError``, whose class names what was refused.
    """
    policy.require(permitted=policy.may_issue(by, owner=owner))
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
        created_by=by,
        form_id=form_id,
    )
    secret = issuance.new_secret()
    with transaction.atomic(using=_database()):
        now = timezone.now()
        key.client = client = _locked_client(client)
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
            details={"name": key.name, "scopes": key.scopes, "owner": user_name_of(owner)},
            signal=signals.key_issued,
        )
    return issued


@sensitive_variables("secret", "issued")
def rotate(
    key: APIKey,
    *,
    overlap: timedelta | Literal[Choice.DEFAULT] = DEFAULT,
    lifetime: Lifetime = DEFAULT,
    by: Any = None,
    source: str = "python",
    form_id: UUID | None = None,
) -> IssuedKey:
    """
    Issue the replacement of *key*, which works on for *overlap* but never longer than it would have.

    The replacement has the name, client, owner, scopes, networks and note of *key*, and by default its length of
    life. Two rotations at once give one replacement.

    Raises:
        AlreadyRotatedError: If it has a replacement, which the error names.
        KeyNotWorkingError: If it is revoked, expired or rotated out.
        ChangeRefusedError: For the other reasons of ``issue``.
    """
    policy.require(permitted=policy.may_rotate(by, key))
    overlap = policy.require_overlap(overlap)
    policy.refuse_repeated_form(form_id)
    secret = issuance.new_secret()
    with transaction.atomic(using=_database()):
        now = timezone.now()
        old = _locked(key)
        _require_rotatable(old, now=now)
        expires_at = (
            policy.same_expiry(old, client=old.client, now=now)
            if lifetime is DEFAULT
            else policy.expiry(lifetime, client=old.client, now=now)
        )
        stops_at = policy.overlap_end(old, overlap=overlap, now=now)
        replacement = APIKey(
            mode=settings.MODE,
            client=old.client,
            name=old.name,
            note=old.note,
            owner=old.owner,
            acts_for_user=old.acts_for_user,
            scopes=old.scopes,
            allowed_networks=old.allowed_networks,
            created_at=now,
            created_by=by,
            expires_at=expires_at,
            replaces=old,
            family=old.family,
            form_id=form_id,
        )
        issued = issuance.insert(replacement, secret)
        APIKey.objects.using(_database()).filter(pk=old.pk, overlap_ends_at=None).update(overlap_ends_at=stops_at)
        key.overlap_ends_at = old.overlap_ends_at = stops_at
        events.record(
            EventKind.ROTATED,
            client=old.client,
            key=old,
            by=by,
            source=source,
            details={"replacement": replacement.key_id, "stops_at": stops_at.isoformat()},
            signal=signals.key_rotated,
            replacement=replacement,
        )
    return issued


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
    with transaction.atomic(using=_database()):
        locked = _locked(key)
        stopped = [_stop(locked, reason=reason, note=note, by=by, source=source)]
        for successor in _unseen_successors(key, locked=locked):
            if not _is_revoked(successor):
                stopped += [_stop(successor, reason=reason, note=note, by=by, source=source)]
    return stopped


def narrow(key: APIKey, *, scopes: str | Sequence[str], by: Any = None, source: str = "python") -> None:
    """
    Leave *key* only *scopes*, some of those that it holds. There is no way back: to add any, issue a new key.

    A replacement that was made after *key* was read loses the same scopes, as in ``revoke``.

    Raises:
        ScopeNotHeldError: If it does not hold one of *scopes*.
        NoScopesError: If *scopes* is empty; revoke the key instead.
    """
    policy.require(permitted=policy.may_edit(by))
    wanted = set(as_names(scopes))
    with transaction.atomic(using=_database()):
        locked = _locked(key)
        if missing := sorted(wanted - set(locked.scopes)):
            message = _("This key does not hold: %(scopes)s.") % {"scopes": ", ".join(missing)}
            raise errors.ScopeNotHeldError(message, names=missing)
        if not wanted:
            raise errors.NoScopesError(_("Choose at least one permission. A key with none can do nothing."))
        for narrowed in (locked, *_unseen_successors(key, locked=locked)):
            _drop_scopes(narrowed, wanted=wanted, by=by, source=source)
    key.scopes = locked.scopes


def edit(key: APIKey, *, name: str, note: str, by: Any = None, source: str = "python") -> None:
    """Give *key* another *name* and *note*; raises as ``issue`` does for these."""
    policy.require(permitted=policy.may_edit(by))
    name, note = policy.clean_name(name), policy.clean_note(note)
    with transaction.atomic(using=_database()):
        # The key first, as everywhere: its event needs the client's row, and whoever holds that would wait for the key.
        locked = _locked(key)
        client = _locked_client(locked.client)
        changed = [field for field, value in (("name", name), ("note", note)) if getattr(locked, field) != value]
        if not changed:
            return
        if "name" in changed:
            policy.refuse_duplicate_name(name, client=client, now=timezone.now(), family=locked.family)
        details: dict[str, Any] = {"changed": changed, "old_name": locked.name, "name": name}
        key.name = locked.name = name
        key.note = locked.note = note
        locked.save(update_fields=changed)
        events.record(
            EventKind.EDITED,
            client=client,
            key=locked,
            by=by,
            source=source,
            details=details,
            signal=signals.key_edited,
        )


def withdraw_undelivered(key: APIKey, *, by: Any = None, source: str = "python") -> None:
    """
    Undo *key*, a new one whose plaintext nobody has seen, and the rotation that made it.

    It is revoked as undelivered and unlinked, and the key that it was to replace works on as before.

    Raises:
        AlreadyUsedError: If it was used or rotated, so that somebody has it.
    """
    with transaction.atomic(using=_database()):
        if key.replaces is not None:
            # The older one first, as ``revoke`` does.
            _locked(key.replaces)
        locked = _locked(key)
        if locked.last_used_at is not None or locked.overlap_ends_at is not None:
            raise errors.AlreadyUsedError(_("This key was used, so somebody has it. Revoke it instead."))
        old = locked.replaces
        _stop(locked, reason=RevocationReason.UNDELIVERED, note="", by=by, source=source)
        if old is None:
            return
        locked.replaces = None
        locked.save(update_fields=["replaces"])
        APIKey.objects.using(_database()).filter(pk=old.pk).update(overlap_ends_at=None, end_recorded_at=None)
        events.record(
            EventKind.UNDELIVERED,
            client=old.client,
            key=old,
            by=by,
            source=source,
            details={"replacement": locked.key_id},
        )


def expire(key: APIKey, *, source: str = "python") -> bool:
    """Record that *key* ran out, once, and return whether this call did it. It was dead from its end on anyway."""
    now = timezone.now()
    with transaction.atomic(using=_database()):
        if _is_revoked(key):
            return False
        # Columns of the row alone: a condition on a joined table is not looked at again after waiting for a lock.
        due = APIKey.objects.using(_database()).filter(_is_due(now), pk=key.pk)
        if not due.update(end_recorded_at=now):
            return False
        ended = "expiry" if key.is_expired(now=now) else "overlap"
        events.record(
            EventKind.EXPIRED,
            client=key.client,
            key=key,
            source=source,
            details={"ended": ended},
            signal=signals.key_expired,
        )
    return True


def due_to_expire(*, batch_size: int = 500, after_pk: int = 0) -> list[APIKey]:
    """
    Return at most *batch_size* keys behind *after_pk* that ran out and are not recorded yet, oldest first.

    Revoked ones ended by their revocation, which is on record.
    """
    due = APIKey.objects.using(_database()).filter(_is_due(timezone.now()), revocation=None, pk__gt=after_pk)
    return list(due.select_related("client", "owner").order_by("pk")[:batch_size])


def record_use(key_pk: int, *, at: datetime) -> None:
    """Note that the key was used *at*, at most once a minute and never backwards."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=at - LAST_USED_ACCURACY)
    APIKey.objects.using(_database()).filter(stale, pk=key_pk).update(last_used_at=at)


@sensitive_variables()
def rehash(key_pk: int, *, old_verifier: str, secret: str) -> None:
    """Store *secret*, which was proven against *old_verifier*, with today's hasher, unless somebody else did."""
    verifier = settings.hasher.hash(secret)
    APIKey.objects.using(_database()).filter(pk=key_pk, verifier=old_verifier).update(verifier=verifier)


def _is_due(now: datetime) -> Q:
    return Q(Q(expires_at__lte=now) | Q(overlap_ends_at__lte=now), end_recorded_at=None)


def _stop(key: APIKey, *, reason: RevocationReason, note: str, by: Any, source: str) -> APIKey:
    try:
        with transaction.atomic(using=_database()):
            revocation = KeyRevocation.objects.using(_database()).create(key=key, reason=reason, note=note, by=by)
    except IntegrityError as error:
        earlier = KeyRevocation.objects.using(_database()).filter(key=key).first()
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


def _drop_scopes(key: APIKey, *, wanted: set[str], by: Any, source: str) -> None:
    removed = [name for name in key.scopes if name not in wanted]
    if not removed:
        return
    key.scopes = [name for name in key.scopes if name in wanted]
    key.save(update_fields=["scopes"])
    events.record(
        EventKind.NARROWED,
        client=key.client,
        key=key,
        by=by,
        source=source,
        details={"removed": removed},
        signal=signals.key_narrowed,
    )


def _unseen_successors(key: APIKey, *, locked: APIKey) -> Iterator[APIKey]:
    """Yield the replacements, locked, of which the caller's *key* did not know when it was read."""
    if key.overlap_ends_at is not None or locked.overlap_ends_at is None:
        return
    successor = APIKey.objects.using(_database()).filter(replaces=locked).first()
    while successor is not None:
        yield _locked(successor)
        successor = APIKey.objects.using(_database()).filter(replaces=successor).first()


def _require_rotatable(key: APIKey, *, now: datetime) -> None:
    policy.refuse_replaced(key)
    policy.require_own_mode(key)
    policy.require_active(key.client)
    if key.owner is not None:
        policy.require_owner(key.owner)
    if _is_revoked(key) or key.is_expired(now=now) or key.is_orphaned:
        raise errors.KeyNotWorkingError(_("This key no longer works, so there is nothing to overlap."))


def _is_revoked(key: APIKey) -> bool:
    return KeyRevocation.objects.using(_database()).filter(key=key).exists()


def _locked(key: APIKey) -> APIKey:
    return APIKey.objects.using(_database()).select_for_update().get(pk=key.pk)


def _locked_client(client: Client) -> Client:
    return Client.objects.using(_database()).select_for_update().get(pk=client.pk)


def _database() -> str:
    return router.db_for_write(APIKey)
