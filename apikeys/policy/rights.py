"""Who may do what to a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from ..core import errors
from ..models import APIKey
from ..registry import scope_registry


def may_issue(by: Any, *, owner: Any) -> bool:
    """Whether *by* may issue a key that acts for *owner*; None is trusted code, such as a command."""
    if by is None:
        return True
    if owner is None:
        return bool(by.has_perm("apikeys.issue_service_apikey"))
    if owner.pk == by.pk:
        return bool(by.has_perm("apikeys.issue_apikey"))
    return bool(by.has_perm("apikeys.issue_apikey_for_others")) and holds_rights_of(by, owner)


def may_issue_any(by: Any) -> bool:
    """Whether *by* may issue some key, for whomever it acts."""
    rights = ("issue_apikey", "issue_apikey_for_others", "issue_service_apikey")
    return by is None or any(by.has_perm(f"apikeys.{right}") for right in rights)


def may_rotate(by: Any, key: APIKey) -> bool:
    """Whether *by* may learn the secret of a replacement of *key*."""
    if by is None:
        return True
    if not by.has_perm("apikeys.rotate_apikey"):
        return False
    if key.owner is not None and key.owner.pk != by.pk and not holds_rights_of(by, key.owner):
        return False
    return not not_grantable(key.scopes, by=by)


def may_revoke(by: Any) -> bool:
    """Whether *by* may stop keys."""
    return by is None or bool(by.has_perm("apikeys.revoke_apikey"))


def may_view(by: Any) -> bool:
    """Whether *by* may see keys."""
    return by is None or bool(by.has_perm("apikeys.view_apikey")) or may_edit(by)


def may_edit(by: Any) -> bool:
    """Whether *by* may rename, narrow and limit keys."""
    return by is None or bool(by.has_perm("apikeys.change_apikey"))


def holds_rights_of(by: Any, owner: Any) -> bool:
    """Whether *by* holds every Django permission that *owner* holds; only superusers equal superusers."""
    if _is_superuser(by):
        return True
    # Django tells of no permission of a disabled person, who may be enabled again with all of them. And a user model
    # that keeps no list of them leaves nothing to compare.
    if getattr(owner, "is_superuser", False) or not owner.is_active or not hasattr(owner, "get_all_permissions"):
        return False
    return set(owner.get_all_permissions()) <= set(by.get_all_permissions())


def not_grantable(names: Sequence[str], *, by: Any) -> list[str]:
    """Return those of *names* that *by* may not give to a key."""
    if by is None or _is_superuser(by):
        return []
    registry = scope_registry()
    # What is not declared today may be tomorrow, with rights that nobody looked at.
    return [
        name
        for name in names
        if name not in registry
        or registry[name].is_reserved
        or not all(by.has_perm(permission) for permission in registry[name].permissions)
    ]


def require_grantable(names: Sequence[str], *, by: Any) -> None:
    """
    Pass where *by* may give all of *names*.

    Raises:
        ScopeNotGrantableError: If not; the message names them.
    """
    if refused := not_grantable(names, by=by):
        message = _("You may not grant: %(scopes)s.") % {"scopes": ", ".join(refused)}
        raise errors.ScopeNotGrantableError(message, names=refused)


def require(*, permitted: bool) -> None:
    """
    Pass where *permitted*.

    Raises:
        NotPermittedError: If not.
    """
    if not permitted:
        raise errors.NotPermittedError(_("You may not do this."))


def _is_superuser(person: Any) -> bool:
    # A user model may have none.
    return bool(getattr(person, "is_superuser", False) and person.is_active)
