"""How a key, its times and its permissions are put into words: the one place, for pages, commands and answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils import formats, timezone
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from .conf import settings
from .core.scopes import Scope
from .models import APIKey
from .registry import scope_registry

#: A key with less time left than this "expires soon".
SOON = timedelta(days=7)
#: A key that was not used for this long is "idle".
IDLE_AFTER = timedelta(days=90)
#: More permissions than this are counted instead of named in lists.
_NAMED_IN_LISTS = 2
_HOURS_UP_TO = 48


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a key is doing now. Shown as symbol and word, never by colour alone."""

    #: For machines and style sheets: one of ``CODES``.
    code: str
    symbol: str
    label: str
    #: The second line in lists: what happened last or happens next, and when.
    detail: str
    #: The instant that *detail* tells of; None where it tells of none.
    at: datetime | None = None


#: By code, symbol and word. In this order, and the first match wins.
_KINDS = {
    "revoked": ("✕", gettext_lazy("Revoked")),
    "expired": ("○", gettext_lazy("Expired")),
    "suspended": ("‖", gettext_lazy("Suspended")),
    "rotating": ("↻", gettext_lazy("Rotating out")),
    "expiring": ("◔", gettext_lazy("Expires soon")),
    "unused": ("–", gettext_lazy("Never used")),
    "idle": ("–", gettext_lazy("Idle")),
    "active": ("●", gettext_lazy("Active")),
}
CODES = tuple(_KINDS)


def status_of(key: APIKey, *, now: datetime) -> Status:
    """Return the status of *key*. Free of queries where ``client``, ``owner`` and ``revocation`` were joined."""
    code = _code_of(key, now=now)
    detail, at = _detail_of(key, code=code, now=now)
    symbol, label = _KINDS[code]
    return Status(code=code, symbol=symbol, label=str(label), detail=detail, at=at)


def label_of(code: str) -> str:
    """Return the word for the status *code*."""
    return str(_KINDS[code][1])


def rows_with(code: str, *, now: datetime) -> Q:
    """Return the condition that picks the keys with the status *code*."""
    # The questions of ``_code_of``, asked of rows.
    matches = {
        "revoked": Q(revocation__isnull=False),
        "expired": Q(expires_at__lte=now) | Q(overlap_ends_at__lte=now),
        "suspended": Q(client__is_active=False) | _owner_is_disabled() | Q(acts_for_user=True, owner__isnull=True),
        "rotating": Q(overlap_ends_at__isnull=False),
        "expiring": Q(expires_at__lt=now + SOON),
        "unused": Q(last_used_at__isnull=True),
        "idle": Q(last_used_at__lte=now - IDLE_AFTER),
        "active": Q(),
    }
    condition = matches[code]
    for earlier in CODES[: CODES.index(code)]:
        condition &= ~matches[earlier]
    return condition


def relative(instant: datetime, *, now: datetime) -> str:
    """Return *instant* as seen from *now*, to the nearest unit: "in 4 days", "12 minutes ago", "just now"."""
    seconds = abs((instant - now).total_seconds())
    is_past = instant <= now
    if seconds < timedelta(minutes=1).total_seconds():
        return _("just now") if is_past else _("in less than a minute")
    span = _span(seconds)
    return _("%(span)s ago") % {"span": span} if is_past else _("in %(span)s") % {"span": span}


def absolute(instant: datetime) -> str:
    """Return *instant* with its time zone, in the active one: "20 February 2027, 05:01 CET"."""
    return formats.date_format(timezone.localtime(instant), "j F Y, H:i T")


def span_of(length: timedelta) -> str:
    """Return *length* to the nearest unit: "24 hours", "90 days"."""
    return _span(length.total_seconds())


def is_felt_at_once() -> bool:
    """Whether a change that stops keys counts from the next request on, wherever that is answered."""
    return not (settings.MAX_STALENESS or settings.READ_REPLICA)


def takes_effect() -> str:
    """Return how soon it counts that a key was revoked or its client disabled, as a sentence that is a promise."""
    if is_felt_at_once():
        return _("Takes effect at once.")
    bound = _at_most(settings.MAX_STALENESS)
    if not settings.READ_REPLICA:
        return _("Takes effect within %(bound)s everywhere, and at once in this process.") % {"bound": bound}
    if not settings.MAX_STALENESS:
        return _("Keys are looked up in a replica of the database: takes effect as soon as that has caught up.")
    sentence = _("Keys are looked up in a replica of the database: takes effect within %(bound)s after that caught up.")
    return sentence % {"bound": bound}


def revoked_message(text: str) -> str:
    """Return *text*, that something is revoked, with how soon that counts where it is not at once."""
    return text if is_felt_at_once() else f"{text} {takes_effect()}"


def grouped(number: int) -> str:
    """Return *number* as people write it: "1,204"."""
    return formats.number_format(number, use_l10n=True, force_grouping=True)


def last_used(key: APIKey, *, now: datetime) -> str:
    """Return when *key* was last used, as lists say it: "12 minutes ago", "never used"."""
    return when_used(key.last_used_at, now=now)


def when_used(used_at: datetime | None, *, now: datetime) -> str:
    """Return *used_at* as lists say it of a last use: "12 minutes ago"; None is "never used"."""
    return _("never used") if used_at is None else relative(used_at, now=now)


def permission_summary(scopes: Sequence[str]) -> str:
    """Return *scopes* as lists name them: "to-dos: read and write"; more than two are counted."""
    if not scopes:
        return _("no permissions")
    if len(scopes) > _NAMED_IN_LISTS:
        return ngettext("%(count)d permission", "%(count)d permissions", len(scopes)) % {"count": len(scopes)}
    actions: dict[str, list[str]] = {}
    for name in scopes:
        scope = scope_registry().get(name)
        actions.setdefault(name if scope is None else _lowered(str(scope.resource)), []).append(_action(name, scope))
    # On a line of its own: what stands inside an f-string is not found by makemessages.
    pair = _("%s and %s")
    return ", ".join(
        f"{resource}: {pair % tuple(words) if len(words) > 1 else words[0]}" if words[0] else resource
        for resource, words in actions.items()
    )


def permission_sentence(scopes: Sequence[str], *, could_be: Sequence[str] = ()) -> str:
    """Return what a key with *scopes* can do and, of *could_be*, what it can't, as one or two sentences."""
    registry = scope_registry()
    able = [_phrase(registry[name]) for name in scopes if name in registry]
    unable = [_phrase(registry[name]) for name in could_be if name in registry and name not in scopes]
    sentences = [_("This key will be able to: %(things)s.") % {"things": ", ".join(able) or _("nothing")}]
    if unable:
        sentences.append(_("It will not be able to: %(things)s.") % {"things": ", ".join(unable)})
    return " ".join(sentences)


def _code_of(key: APIKey, *, now: datetime) -> str:
    answers = {
        "revoked": key.is_revoked(),
        "expired": key.is_expired(now=now) or key.is_rotated_out(now=now),
        "suspended": _suspension(key) != "",
        "rotating": key.overlap_ends_at is not None,
        "expiring": key.expires_at is not None and key.expires_at < now + SOON,
        "unused": key.last_used_at is None,
        "idle": key.last_used_at is not None and key.last_used_at <= now - IDLE_AFTER,
    }
    return next((code for code, is_so in answers.items() if is_so), "active")


def _owner_is_disabled() -> Q:
    # A user model may go without the column: then nobody is, and this matches no key.
    fields = {field.name for field in get_user_model()._meta.get_fields()}
    return Q(owner__is_active=False) if "is_active" in fields else Q(pk__in=[])


def _suspension(key: APIKey) -> str:
    if not key.client.is_active:
        return _("client is disabled")
    if key.is_orphaned:
        return _("owner is gone")
    if key.owner is not None and not key.owner.is_active:
        return _("owner is disabled")
    return ""


def _detail_of(key: APIKey, *, code: str, now: datetime) -> tuple[str, datetime | None]:
    at: datetime | None
    if code == "revoked":
        at, words = key.revocation.at, _("revoked %(when)s")
    elif code == "expired" and key.is_rotated_out(now=now):
        at, words = key.overlap_ends_at, _("replaced, stopped %(when)s")
    elif code == "expired":
        at, words = key.expires_at, _("expired %(when)s")
    elif code == "suspended":
        return _suspension(key), None
    elif code == "rotating" and key.overlap_from_use is not None:
        # Nobody knows yet when that is.
        return _("stops %(span)s after the new key is first used") % {"span": span_of(key.overlap_from_use)}, None
    elif code == "rotating":
        at, words = key.overlap_ends_at, _("stops %(when)s")
    elif code == "idle":
        at, words = key.last_used_at, _("last used %(when)s")
    else:
        at, words = key.expires_at, _("expires %(when)s")
    return (_("no expiry"), None) if at is None else (words % {"when": relative(at, now=now)}, at)


def _span(seconds: float) -> str:
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), round(seconds / 86400)
    if minutes < timedelta(hours=1) / timedelta(minutes=1):
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    if hours < _HOURS_UP_TO:
        return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def _at_most(length: timedelta) -> str:
    # Rounded up, because it is promised.
    seconds = math.ceil(length.total_seconds())
    minutes, rest = divmod(seconds, 60)
    if minutes and not rest:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}


def _action(name: str, scope: Scope | None) -> str:
    if scope is None:
        return ""
    action = name.rpartition(":")[2]
    if action == "read":
        return _("read")
    if action == "write":
        return _("write")
    return _lowered(str(scope.label))


def _phrase(scope: Scope) -> str:
    label = str(scope.label)
    if label in {"Read", "Read and write", _("Read"), _("Read and write")}:
        # Too little by itself: every resource may have such a label.
        label = _("%(label)s %(resource)s") % {"label": label, "resource": _lowered(str(scope.resource))}
    return _lowered(label)


def _lowered(text: str) -> str:
    # For the middle of a sentence. Other languages have other rules: German keeps the capital of a noun.
    if (get_language() or "en").startswith("en") and not text[:2].isupper():
        return text[:1].lower() + text[1:]
    return text
