"""
Create, edit, disable, enable, set the ceiling and the claims: the only writer of clients.

Each change leaves its event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from . import events, policy, signals
from .core import errors
from .core.scopes import as_names
from .models import APIKey, Client, EventKind
from .registry import scope_registry

#: What ``edit`` changes; the ceiling and the switch have functions of their own.
EDITABLE = (
    "name",
    "kind",
    "description",
    "contact",
    "owner",
    "max_key_lifetime",
    "allowed_networks",
    "rates",
    "quotas",
    "audiences",
    "resource",
)
#: What it was before stands in the event: these decide who is told of a client's keys.
_TOLD_IN_FULL = ("audiences", "resource")


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
        APIKeysError: For an undeclared scope, one that *by* may not grant, a name that is bad or taken, a bad
            network, rate or quota, an API server that is none, an address that another client has.
    """
    policy.require(permitted=by is None or by.has_perm("apikeys.add_client"))
    names = scope_registry().require(as_names(allowed_scopes))
    policy.require_grantable(names, by=by)
    client = Client(**_cleaned({"name": name, **fields}), allowed_scopes=names)
    with _refuse_taken(client, name=client.name, resource=client.resource), transaction.atomic(using=_database()):
        _lock_servers(client.audiences)
        client.save(using=_database(), force_insert=True)
        _record(EventKind.CLIENT_CREATED, client, by=by, source=source, details={"allowed_scopes": names})
    return client


def edit(client: Client, *, by: Any = None, source: str = "python", **fields: Any) -> list[str]:
    """
    Set *fields*, some of ``EDITABLE``, and return the names of those that changed; raises as ``create``.

    Raises:
        ResourceRefusedError: Also where other clients name the address that it has among their API servers.
    """
    policy.require(permitted=_may_change(by))
    cleaned = _cleaned(fields)
    taken = _refuse_taken(client, name=cleaned.get("name", client.name), resource=cleaned.get("resource"))
    with taken, transaction.atomic(using=_database()):
        locked = _locked(client, servers=cleaned.get("audiences", ()))
        before = {name: getattr(locked, name) for name in fields}
        for name, value in cleaned.items():
            setattr(locked, name, value)
        changed = [name for name in cleaned if cleaned[name] != before[name]]
        if "resource" in changed and before["resource"]:
            policy.refuse_named_resource(locked, resource=before["resource"])
        if changed:
            locked.save(update_fields=changed)
            told = {name: getattr(locked, name) for name in _TOLD_IN_FULL if name in changed}
            if told:
                # As it is now: it may name itself by an address that it just took or gave up.
                policy.require_servers(locked.audiences)
            old = {f"old_{name}": before[name] for name in told}
            details = {"changed": changed, **told, **old}
            _record(EventKind.CLIENT_EDITED, locked, by=by, source=source, details=details)
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


def narrow_ceiling(
    client: Client, *, without: str | Sequence[str], by: Any = None, source: str = "python"
) -> list[str]:
    """
    Take those of *without* from the ceiling of *client* that no working key holds now, and return which they were.

    Of what was granted since somebody decided, nothing is lost: a new permission is not in *without*, and what a new
    key was given stays.
    """
    policy.require(permitted=_may_change(by))
    unwanted = set(as_names(without))
    with transaction.atomic(using=_database()):
        # Whoever issues a key locks this row as well: no key comes in between.
        locked = _locked(client)
        held = _held_by_keys(locked)
        removed = [name for name in locked.allowed_scopes if name in unwanted and name not in held]
        if removed:
            locked.allowed_scopes = [name for name in locked.allowed_scopes if name not in removed]
            locked.save(update_fields=["allowed_scopes"])
            _record(EventKind.CEILING_SET, locked, by=by, source=source, details={"added": [], "removed": removed})
    client.allowed_scopes = locked.allowed_scopes
    return removed


def set_claims(client: Client, *, claims: Mapping[str, Any], by: Any = None, source: str = "python") -> None:
    """
    Have *client* say *claims* and nothing else, from the next request on. What a key of it says goes before them.

    Raises:
        ClaimRefusedError: If one is not declared, or not as its declaration wants it.
        NotPermittedError: If *by* may not set claims.
    """
    policy.require(permitted=policy.may_set_claims(by))
    cleaned = policy.clean_claims(claims)
    with transaction.atomic(using=_database()):
        locked = _locked(client)
        old = locked.claims
        if old != cleaned:
            locked.claims = cleaned
            locked.save(update_fields=["claims"])
            _record(EventKind.CLAIMS_SET, locked, by=by, source=source, details=events.of_claims(old, cleaned))
    client.claims = cleaned


def _switch(client: Client, *, is_active: bool, by: Any, source: str) -> None:
    policy.require(permitted=_may_change(by))
    kind = EventKind.CLIENT_ENABLED if is_active else EventKind.CLIENT_DISABLED
    with transaction.atomic(using=_database()):
        changed = Client.objects.using(_database()).filter(pk=client.pk, is_active=not is_active)
        if changed.update(is_active=is_active):
            _record(kind, client, by=by, source=source)
    client.is_active = is_active


@contextmanager
def _refuse_taken(client: Client, *, name: str, resource: str | None) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        # No look before the leap: the unique columns decide, also between two at once.
        others = Client.objects.using(_database()).exclude(pk=client.pk)
        if others.filter(name=name).exists():
            message = _("There is already a client “%(name)s”.") % {"name": name}
            raise errors.ClientNameTakenError(message) from error
        if resource is not None and (other := others.filter(resource=resource).first()) is not None:
            message = _("The client “%(name)s” is the API server “%(resource)s” already.")
            raise errors.ResourceTakenError(message % {"name": other.name, "resource": resource}) from error
        raise


def _cleaned(fields: dict[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(fields) - set(EDITABLE)):
        message = f"A client has no field {', '.join(unknown)} to set."
        raise TypeError(message)
    lifetime = fields.get("max_key_lifetime")
    if lifetime is not None and lifetime <= timedelta(0):
        raise errors.LifetimeRefusedError(_("Keys must live longer than no time at all."), reason="past")
    return {name: _CLEANED_BY.get(name, _as_given)(value) for name, value in fields.items()}


def _as_given(value: Any) -> Any:
    return value


def _clean_networks(lines: Sequence[str] | None) -> list[str] | None:
    return None if lines is None else policy.clean_networks(lines)


_CLEANED_BY: dict[str, Callable[[Any], Any]] = {
    "name": policy.clean_name,
    "description": policy.clean_description,
    "allowed_networks": _clean_networks,
    "rates": policy.clean_rates,
    "quotas": policy.clean_quotas,
    "audiences": policy.clean_audiences,
    "resource": policy.clean_resource,
}


def _may_change(by: Any) -> bool:
    return by is None or bool(by.has_perm("apikeys.change_client"))


def _record(kind: EventKind, client: Client, *, by: Any, source: str, details: dict[str, Any] | None = None) -> None:
    events.record(kind, client=client, by=by, source=source, details=details, signal=signals.client_changed)


def _held_by_keys(client: Client) -> set[str]:
    """Return what the working keys of *client* hold, also beyond its ceiling."""
    working = APIKey.objects.using(_database()).filter(client=client).working()
    return {name for names in working.order_by().values_list("scopes", flat=True).iterator() for name in names}


def _locked(client: Client, *, servers: Sequence[str] = ()) -> Client:
    """Return *client* as it is now, locked; with it, in one order for all, the clients that are *servers*."""
    wanted = Q(pk=client.pk) | Q(resource__in=servers) if servers else Q(pk=client.pk)
    for found in _for_update().filter(wanted).order_by("pk"):
        if found.pk == client.pk:
            return found
    raise Client.DoesNotExist


def _lock_servers(audiences: Sequence[str]) -> None:
    """Have the clients that are *audiences* stay so until the transaction ends."""
    if audiences:
        list(_for_update().filter(resource__in=audiences).order_by("pk").values_list("pk"))
        policy.require_servers(audiences)


def _for_update() -> QuerySet[Client]:
    # What refers to the client, such as the event of somebody who holds a token's row, need not wait for it.
    no_key = connections[_database()].features.has_select_for_no_key_update
    return Client.objects.using(_database()).select_for_update(no_key=no_key)


def _database() -> str:
    return router.db_for_write(Client)
