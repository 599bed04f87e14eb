"""What a living key may lose or be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import events, policy, signals
from ..core import errors
from ..core.scopes import as_names
from ..models import APIKey, EventKind
from . import rows


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
    with transaction.atomic(using=rows.database()):
        locked = rows.locked(key)
        if missing := sorted(wanted - set(locked.scopes)):
            message = _("This key does not hold: %(scopes)s.") % {"scopes": ", ".join(missing)}
            raise errors.ScopeNotHeldError(message, names=missing)
        if not wanted:
            raise errors.NoScopesError(_("Choose at least one permission. A key with none can do nothing."))
        for narrowed in (locked, *rows.unseen_successors(key, current=locked)):
            _drop_scopes(narrowed, wanted=wanted, by=by, source=source)
    key.scopes = locked.scopes


def edit(key: APIKey, *, name: str, note: str, by: Any = None, source: str = "python") -> None:
    """Give *key* another *name* and *note*; raises as ``issue`` does for these."""
    policy.require(permitted=policy.may_edit(by))
    name, note = policy.clean_name(name), policy.clean_note(note)
    with transaction.atomic(using=rows.database()):
        # The key first, as everywhere: its event needs the client's row, and whoever holds that would wait for the key.
        locked = rows.locked(key)
        client = rows.locked_client(rows.client_of(locked))
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


def _drop_scopes(key: APIKey, *, wanted: set[str], by: Any, source: str) -> None:
    removed = [name for name in key.scopes if name not in wanted]
    if not removed:
        return
    key.scopes = [name for name in key.scopes if name in wanted]
    key.save(update_fields=["scopes"])
    events.record(
        EventKind.NARROWED,
        client=rows.client_of(key),
        key=key,
        by=by,
        source=source,
        details={"removed": removed},
        signal=signals.key_narrowed,
    )
