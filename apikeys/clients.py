"""Create, edit, disable, enable, set the ceiling: the only writer of clients. Each change leaves its event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, router, transaction
from django.utils.translation import gettext as _

from . import events, policy, signals
from .core import errors
from .core.scopes import as_names
from .models import Client, EventKind
from .registry import scope_registry

#: What ``edit`` changes; the ceiling and the switch have functions of their own.
EDITABLE = ("name", "kind", "description", "contact", "owner", "max_key_lifetime", "allowed_networks")


def create(
    *,
    name: str,
    allowed_scopes: str | Sequence[str] = (),
    by: Any = None,
    source: str = "python",
    **fields: Any,
) -> Client:
    """
    Return a new client, whose keys may hold at most *allowed_scopes*. *fields* are those in ``EDITABLE``.

    Raises:
        APIKeysError: For an undeclared scope, one that *by* may not grant, a name that is bad or taken, a bad network.
    """
    policy.require(permitted=by is None or by.has_perm("apikeys.add_client"))
    names = scope_registry().require(as_names(allowed_scopes))
    policy.require_grantable(names, by=by)
    client = Client(name=policy.clean_name(name), allowed_scopes=names)
    _assign(client, fields)
    with _refuse_taken_name(client, name=client.name), transaction.atomic(using=_database()):
        client.save(using=_database(), force_insert=True)
        _record(EventKind.CLIENT_CREATED, client, by=by, source=source, details={"allowed_scopes": names})
    return client


def edit(client: Client, *, by: Any = None, source: str = "python", **fields: Any) -> list[str]:
    """Set *fields*, some of ``EDITABLE``, and return the names of those that changed; raises as ``create``."""
    policy.require(permitted=_may_change(by))
    with _refuse_taken_name(client, name=fields.get("name", client.name)), transaction.atomic(using=_database()):
        locked = _locked(client)
        before = {name: getattr(locked, name) for name in fields}
        _assign(locked, fields)
        changed = [name for name in fields if getattr(locked, name) != before[name]]
        if changed:
            locked.save(update_fields=changed)
            _record(EventKind.CLIENT_EDITED, locked, by=by, source=source, details={"changed": changed})
    for name in changed:
        setattr(client, name, getattr(locked, name))
    return changed


def disable(client: Client, *, by: Any = None, source: str = "python") -> None:
    """Stop every key of *client* from the next request on, until it is enabled again."""
    _switch(client, is_active=False, by=by, source=source)


def enable(client: Client, *, by: Any = None, source: str = "python") -> None:
    """Let the keys of *client* work again."""
    _switch(client, is_active=True, by=by, source=source)


def set_ceiling(client: Client, *, scopes: str | Sequence[str], by: Any = None, source: str = "python") -> None:
    """
    Let keys of *client* hold at most *scopes*, from the next request on.

    Raises:
        UndeclaredScopeError: If a new one is not declared. Those that it has may stay though they no longer are.
        ScopeNotGrantableError: If *by* may not grant one that is new.
    """
    policy.require(permitted=_may_change(by))
    wanted = dict.fromkeys(as_names(scopes))
    with transaction.atomic(using=_database()):
        locked = _locked(client)
        added = scope_registry().require(name for name in wanted if name not in locked.allowed_scopes)
        policy.require_grantable(added, by=by)
        removed = [name for name in locked.allowed_scopes if name not in wanted]
        if not (added or removed):
            return
        locked.allowed_scopes = list(wanted)
        locked.save(update_fields=["allowed_scopes"])
        _record(EventKind.CEILING_SET, locked, by=by, source=source, details={"added": added, "removed": removed})
    client.allowed_scopes = locked.allowed_scopes


def _switch(client: Client, *, is_active: bool, by: Any, source: str) -> None:
    policy.require(permitted=_may_change(by))
    kind = EventKind.CLIENT_ENABLED if is_active else EventKind.CLIENT_DISABLED
    with transaction.atomic(using=_database()):
        changed = Client.objects.using(_database()).filter(pk=client.pk, is_active=not is_active)
        if changed.update(is_active=is_active):
            _record(kind, client, by=by, source=source)
    client.is_active = is_active


@contextmanager
def _refuse_taken_name(client: Client, *, name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        # No look before the leap: the unique column decides, also between two at once.
        if Client.objects.using(_database()).filter(name=name).exclude(pk=client.pk).exists():
            message = _("There is already a client “%(name)s”.") % {"name": name}
            raise errors.ClientNameTakenError(message) from error
        raise


def _assign(client: Client, fields: dict[str, Any]) -> None:
    if unknown := sorted(set(fields) - set(EDITABLE)):
        message = f"A client has no field {', '.join(unknown)} to set."
        raise TypeError(message)
    for name, value in fields.items():
        setattr(client, name, _cleaned(name, value))


def _cleaned(name: str, value: Any) -> Any:
    if name == "name":
        return policy.clean_name(value)
    if name == "description":
        return policy.clean_description(value)
    if name == "max_key_lifetime" and value is not None and value <= timedelta(0):
        raise errors.LifetimeRefusedError(_("Keys must live longer than no time at all."), reason="past")
    if name == "allowed_networks" and value is not None:
        return policy.clean_networks(value)
    return value


def _may_change(by: Any) -> bool:
    return by is None or bool(by.has_perm("apikeys.change_client"))


def _record(kind: EventKind, client: Client, *, by: Any, source: str, details: dict[str, Any] | None = None) -> None:
    events.record(kind, client=client, by=by, source=source, details=details, signal=signals.client_changed)


def _locked(client: Client) -> Client:
    return Client.objects.using(_database()).select_for_update().get(pk=client.pk)


def _database() -> str:
    return router.db_for_write(Client)
