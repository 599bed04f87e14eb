"""What must hold of scopes, clients, owners and other keys before a key is made or changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connections, models, router
from django.utils.translation import gettext as _

from ..conf import settings
from ..core import errors
from ..core.scopes import as_names
from ..models import APIKey, APIKeyQuerySet, Client, user_name_of
from ..registry import scope_registry


def require_scopes(scopes: str | Sequence[str], *, client: Client) -> list[str]:
    """
    Return *scopes* in the order of declaration.

    Raises:
        NoScopesError: If there is none.
        UndeclaredScopeError: If one is not declared.
        ScopeAboveCeilingError: If *client* may not hold one.
    """
    names = scope_registry().require(as_names(scopes))
    if not names:
        raise errors.NoScopesError(_("Choose at least one permission. A key with none can do nothing."))
    if above := [name for name in names if name not in client.allowed_scopes]:
        message = _("The client “%(client)s” may not hold: %(scopes)s.")
        raise errors.ScopeAboveCeilingError(message % {"client": client.name, "scopes": ", ".join(above)}, names=above)
    return names


def require_owner(owner: Any) -> None:
    """
    Pass where a key may act for *owner*, or for nobody.

    Raises:
        OwnerNotActiveError: If that person is disabled.
        ServiceKeysUnavailableError: If *owner* is None and people can't be told from clients by primary key.
    """
    if owner is None:
        if not service_keys_available():
            message = _("Keys without a person need a user model whose primary key is not text.")
            raise errors.ServiceKeysUnavailableError(message)
    elif not owner.is_active:
        raise errors.OwnerNotActiveError(_("%(person)s is disabled.") % {"person": owner.get_username()})


def require_active(client: Client) -> None:
    """
    Pass where keys of *client* may be made.

    Raises:
        ClientNotActiveError: If it is switched off.
    """
    if not client.is_active:
        raise errors.ClientNotActiveError(_("The client “%(client)s” is switched off.") % {"client": client.name})


def require_own_mode(key: APIKey) -> None:
    """
    Pass where *key* is of the mode of this deployment.

    Raises:
        KeyNotWorkingError: If not: its replacement would work where it does not.
    """
    if key.mode != settings.MODE:
        message = _("This is a %(presented)s key; this server takes %(expected)s keys.")
        raise errors.KeyNotWorkingError(message % {"presented": key.mode, "expected": settings.MODE})


def service_keys_available() -> bool:
    """Whether ``client:…`` can't be the primary key of a person."""
    key: Any = get_user_model()._meta.pk
    while key.remote_field:
        # A model that inherits from another table has that one's.
        key = key.target_field
    return not isinstance(key, models.CharField | models.TextField)


def refuse_repeated_form(form_id: UUID | None) -> None:
    """
    Pass where no key came of the form yet.

    Raises:
        AlreadyIssuedError: If one did; the error holds it.
    """
    if form_id is None:
        return
    key = _keys().filter(form_id=form_id).first()
    if key is not None:
        raise errors.AlreadyIssuedError(_("“%(name)s” was already issued.") % {"name": key.name}, key=key)


def refuse_replaced(key: APIKey) -> None:
    """
    Pass where *key* has no replacement.

    Raises:
        AlreadyRotatedError: If it has one; the error holds it.
    """
    replacement = _keys().filter(replaces=key).first()
    if replacement is not None:
        message = _("Its replacement is %(key)s. Rotate that one.") % {"key": replacement.masked}
        raise errors.AlreadyRotatedError(message, replacement=replacement)


def refuse_duplicate_name(name: str, *, client: Client, now: datetime, family: str = "") -> None:
    """
    Pass where no working key of *client* outside *family* has *name*. Call it with the client's row locked.

    Raises:
        DuplicateNameError: If one has; the error holds it.
    """
    key = _keys().working(now=now).filter(client=client, name=name).exclude(family=family).first()
    if key is not None:
        message = _("“%(name)s” already has a working key for this client. Rotate it instead, or choose another name.")
        raise errors.DuplicateNameError(message % {"name": name}, key=key)


def refuse_too_many_keys(owner: Any, *, by: Any, now: datetime) -> None:
    """
    Pass where *owner* may hold one more key, a key and its replacements counted once. Locks the owner's row.

    Raises:
        TooManyKeysError: If not.
    """
    # The owner's row too: one person's keys may belong to several clients. Always after the client's row, and with
    # the row of *by*, which the new key refers to, in one order: two people may issue for each other.
    involved = {person.pk for person in (owner, by) if person is not None}
    people = get_user_model()._default_manager.using(_keys().db).filter(pk__in=involved).order_by("pk")
    no_key = connections[people.db].features.has_select_for_no_key_update
    list(people.select_for_update(no_key=no_key).values_list("pk"))
    limit = settings.MAX_KEYS_PER_OWNER
    if _keys().working(now=now).filter(owner=owner).values("family").distinct().count() >= limit:
        message = _("%(person)s already has %(limit)d working keys, the limit. Revoke one first.")
        raise errors.TooManyKeysError(message % {"person": user_name_of(owner), "limit": limit}, limit=limit)


def _keys() -> APIKeyQuerySet:
    return APIKey.objects.using(router.db_for_write(APIKey))
