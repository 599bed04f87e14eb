"""Who may do what to a key, and what a key may be. Questions and refusals; nothing here changes a row."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connections, models, router
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .conf import settings
from .core import errors, keyformat
from .core.networks import normalise_networks
from .core.scopes import as_names
from .models import APIKey, APIKeyQuerySet, Client, user_name_of
from .registry import scope_registry

#: Letters and symbols that show nothing.
_BLANKS = set("\u115f\u1160\u2800\u3164\uffa0")
#: They join letters of Persian words and parts of emoji. Other invisible characters let one name pass for another.
_JOINERS = set("\u200c\u200d")
#: In characters; the columns of names and notes are as wide.
MAX_NAME = 80
MAX_NOTE = 200
MAX_NETWORKS = 100
MAX_DESCRIPTION = 2000


class Choice(Enum):
    """Left to today's setting, or to the key that is replaced."""

    DEFAULT = "default"


DEFAULT: Literal[Choice.DEFAULT] = Choice.DEFAULT
Lifetime = timedelta | None | Literal[Choice.DEFAULT]


def clean_text(text: str, *, most: int, what: str, lines: bool = False) -> str:
    """
    Return *text* without surrounding space; *lines* allows several.

    Raises:
        NameRefusedError: If it is longer than *most*, holds control characters or looks like a key.
    """
    text = text.strip()
    if any(is_unprintable(letter) for letter in text if not (lines and letter in "\r\n")):
        raise errors.NameRefusedError(_("%(what)s must not contain control characters.") % {"what": what})
    # One writing for what looks the same: a name is typed again to confirm, and compared with others.
    text = unicodedata.normalize("NFC", text if lines else " ".join(text.split()))
    if len(text) > most:
        message = _("%(what)s may have at most %(most)d characters.")
        raise errors.NameRefusedError(message % {"what": what, "most": most})
    if keyformat.key_pattern(settings.PREFIX).search(text):
        raise errors.NameRefusedError(_("%(what)s must not contain a key. Never paste it here.") % {"what": what})
    return text


def clean_name(name: str) -> str:
    """
    Return *name* as it is stored.

    Raises:
        NameRefusedError: If it is empty, or for the reasons of ``clean_text``.
    """
    cleaned = clean_text(name, most=MAX_NAME, what=_("The name"))
    if not any(unicodedata.category(letter)[0] in "LNPS" and letter not in _BLANKS for letter in cleaned):
        raise errors.NameRefusedError(_("Give the key a name."))
    return cleaned


def clean_note(note: str) -> str:
    """Return *note* as it is stored; raises as ``clean_text``."""
    return clean_text(note, most=MAX_NOTE, what=_("The note"))


def clean_description(description: str) -> str:
    """Return *description*, of several lines, as it is stored; raises as ``clean_text``."""
    return clean_text(description, most=MAX_DESCRIPTION, what=_("The description"), lines=True)


def clean_networks(lines: Sequence[str]) -> list[str]:
    """
    Return *lines* as networks are stored.

    Raises:
        NetworkSyntaxError: If a line is no address and no network.
        TooManyNetworksError: If there are more than ``MAX_NETWORKS``: each request compares them all.
    """
    if len(lines) > MAX_NETWORKS:
        raise errors.TooManyNetworksError(_("At most %(most)d networks can be listed.") % {"most": MAX_NETWORKS})
    return normalise_networks(lines)


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


def longest_lifetime(client: Client) -> timedelta:
    """Return how long a key of *client* may live."""
    longest = settings.MAX_LIFETIME
    return longest if client.max_key_lifetime is None else min(longest, client.max_key_lifetime)


def expiry(lifetime: Lifetime, *, client: Client, now: datetime) -> datetime | None:
    """
    Return when a key that is issued *now* ends; None for never.

    Raises:
        LifetimeRefusedError: If it is not positive, too long, or endless where that is not allowed.
    """
    longest = longest_lifetime(client)
    if lifetime is DEFAULT:
        lifetime = min(settings.DEFAULT_LIFETIME, longest)
    if lifetime is None:
        if not settings.ALLOW_NO_EXPIRY or client.max_key_lifetime is not None:
            raise errors.LifetimeRefusedError(_("This site does not allow keys without expiry."), reason="endless")
        return None
    if lifetime <= timedelta(0):
        raise errors.LifetimeRefusedError(_("Choose a date in the future."), reason="past")
    if lifetime > longest:
        message = ngettext(
            "Keys of this client may live at most %(days)d day (until %(date)s).",
            "Keys of this client may live at most %(days)d days (until %(date)s).",
            longest.days,
        )
        raise errors.LifetimeRefusedError(
            message % {"days": longest.days, "date": long_date(now + longest)}, reason="too_long"
        )
    return now + lifetime


def same_expiry(key: APIKey, *, client: Client, now: datetime) -> datetime | None:
    """Return when a replacement of *key* ends that lives as long as it did, or as long as today's rules let it."""
    if key.expires_at is None:
        if settings.ALLOW_NO_EXPIRY and client.max_key_lifetime is None:
            return None
        return now + longest_lifetime(client)
    return now + min(key.expires_at - key.created_at, longest_lifetime(client))


def require_overlap(overlap: timedelta | Literal[Choice.DEFAULT]) -> timedelta:
    """
    Return *overlap*.

    Raises:
        OverlapRefusedError: If it is negative or above ``MAX_OVERLAP``.
    """
    if overlap is DEFAULT:
        return min(settings.DEFAULT_OVERLAP, settings.MAX_OVERLAP)
    if overlap < timedelta(0):
        raise errors.OverlapRefusedError(_("An overlap can't be negative."))
    if overlap > settings.MAX_OVERLAP:
        message = ngettext(
            "An overlap may last at most %(days)d day.",
            "An overlap may last at most %(days)d days.",
            settings.MAX_OVERLAP.days,
        )
        raise errors.OverlapRefusedError(message % {"days": settings.MAX_OVERLAP.days})
    return overlap


def overlap_end(key: APIKey, *, overlap: timedelta, now: datetime) -> datetime:
    """Return when *key* stops that is rotated *now*: after *overlap*, but never later than it would have."""
    return now + overlap if key.expires_at is None else min(key.expires_at, now + overlap)


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


def may_issue(by: Any, *, owner: Any) -> bool:
    """Whether *by* may issue a key that acts for *owner*; None is trusted code, such as a command."""
    if by is None:
        return True
    if owner is None:
        return bool(by.has_perm("apikeys.issue_service_apikey"))
    if owner.pk == by.pk:
        return bool(by.has_perm("apikeys.issue_apikey"))
    return bool(by.has_perm("apikeys.issue_apikey_for_others")) and holds_rights_of(by, owner)


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


def may_edit(by: Any) -> bool:
    """Whether *by* may rename and narrow keys."""
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


def is_unprintable(letter: str) -> bool:
    """Whether *letter* ends a line, moves a cursor, turns the direction of what follows or can't be seen."""
    return letter not in _JOINERS and unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def long_date(instant: datetime) -> str:
    """Return *instant* as people write a date, in the active time zone and language."""
    return formats.date_format(timezone.localtime(instant), "j F Y")


def _is_superuser(person: Any) -> bool:
    # A user model may have none.
    return bool(getattr(person, "is_superuser", False) and person.is_active)


def _keys() -> APIKeyQuerySet:
    return APIKey.objects.using(router.db_for_write(APIKey))
