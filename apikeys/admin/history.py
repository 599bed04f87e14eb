"""What happened, as sentences, and the read-only list of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..forms.claims import in_words
from ..models import EventKind, KeyEvent, RevocationReason
from ..status import absolute
from .guarded_search import GuardedSearchAdmin


def who(event: KeyEvent) -> str:
    """Return who did it: a person by the user name of that time, or the door that it came through."""
    return event.actor_name or {
        "command": _("a command"),
        "request": _("a request"),
        "python": _("the system"),
    }.get(event.source, event.source)


def sentence(event: KeyEvent) -> str:
    """Return what changed; empty where the kind of the event says it all."""
    tell = _SENTENCES.get(event.kind)
    return "" if tell is None else tell(event.details)


def _scopes(details: dict[str, Any]) -> str:
    return ", ".join(details.get("scopes") or details.get("allowed_scopes") or [])


def _rotated(details: dict[str, Any]) -> str:
    if details.get("from_first_use"):
        text = _("Replaced by %(key)s; this key stops after that one is first used, at the latest on %(instant)s.")
    else:
        text = _("Replaced by %(key)s; this key stops on %(instant)s.")
    return text % {"key": details.get("replacement", ""), "instant": _instant(details, "stops_at")}


def _overlap_started(details: dict[str, Any]) -> str:
    text = _("The new key was first used on %(first)s; this key stops on %(instant)s.")
    return text % {"first": _instant(details, "first_used_at"), "instant": _instant(details, "stops_at")}


def _limits(details: dict[str, Any]) -> str:
    old, new = (
        ", ".join([*details.get(f"{which}rates", []), *details.get(f"{which}quotas", [])]) or _("none")
        for which in ("old_", "")
    )
    return _("From %(old)s to %(new)s.") % {"old": old, "new": new}


def _identified(details: dict[str, Any]) -> str:
    return _("No key of this site was found.") if "unknown" in details else ""


def _new_network(details: dict[str, Any]) -> str:
    # Of the first use of all there is nothing to compare with.
    text = _("First use, from %(network)s.") if details.get("is_first") else _("From %(network)s.")
    return text % {"network": details.get("network", "")}


def _guessing(details: dict[str, Any]) -> str:
    count = details.get("count", 0)
    text = ngettext(
        "%(count)d wrong key in a minute from %(network)s.", "%(count)d wrong keys in a minute from %(network)s.", count
    )
    return text % {"count": count, "network": details.get("network", "")}


def _instant(details: dict[str, Any], name: str) -> str:
    instant = parse_datetime(details.get(name, ""))
    return absolute(instant) if instant else ""


def _revoked(details: dict[str, Any]) -> str:
    reason = dict(RevocationReason.choices).get(details.get("reason", ""), "")
    return ": ".join(filter(None, (str(reason), details.get("note", ""))))


def _undelivered(details: dict[str, Any]) -> str:
    return _("Its replacement %(key)s could not be shown.") % {"key": details.get("replacement", "")}


def _edited(details: dict[str, Any]) -> str:
    parts = []
    if "name" in details.get("changed", []):
        parts.append(_("Renamed from “%(old)s” to “%(new)s”.") % {"old": details["old_name"], "new": details["name"]})
    if "note" in details.get("changed", []):
        parts.append(_("Changed the note."))
    return " ".join(parts)


def _scope_changes(details: dict[str, Any]) -> str:
    parts = []
    if details.get("added"):
        parts.append(_("Added: %(scopes)s.") % {"scopes": ", ".join(details["added"])})
    if details.get("removed"):
        parts.append(_("Removed: %(scopes)s.") % {"scopes": ", ".join(details["removed"])})
    return " ".join(parts)


def _claims(details: dict[str, Any]) -> str:
    old, new = details.get("old", {}), details.get("new", {})
    return "; ".join(
        _("%(claim)s: from %(old)s to %(new)s")
        % {"claim": name, "old": _claim_in(old, name), "new": _claim_in(new, name)}
        for name in details.get("changed", [])
    )


def _claim_in(said: dict[str, Any], name: str) -> str:
    return in_words(said[name]) if name in said else _("none")


def _ended(details: dict[str, Any]) -> str:
    return _("Its overlap ended.") if details.get("ended") == "overlap" else ""


def _sign_in_changed(details: dict[str, Any]) -> str:
    changed, ended = ", ".join(details.get("changed", [])), details.get("ended", 0)
    if not ended:
        return changed
    text = ngettext(
        "%(changed)s; %(count)d token or code ended.", "%(changed)s; %(count)d tokens or codes ended.", ended
    )
    return text % {"changed": changed, "count": ended}


def _withdrawn(details: dict[str, Any]) -> str:
    text = _("Of %(person)s: %(scopes)s.")
    return text % {"person": details.get("person", ""), "scopes": ", ".join(details.get("scopes", []))}


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    EventKind.ISSUED: _scopes,
    EventKind.ROTATED: _rotated,
    EventKind.REVOKED: _revoked,
    EventKind.UNDELIVERED: _undelivered,
    EventKind.NARROWED: _scope_changes,
    EventKind.EDITED: _edited,
    EventKind.EXPIRED: _ended,
    EventKind.LIMITS_CHANGED: _limits,
    EventKind.OVERLAP_STARTED: _overlap_started,
    EventKind.IDENTIFIED: _identified,
    EventKind.NEW_NETWORK: _new_network,
    EventKind.GUESSING: _guessing,
    EventKind.CLIENT_CREATED: _scopes,
    EventKind.CLIENT_EDITED: lambda details: ", ".join(details.get("changed", [])),
    EventKind.CEILING_SET: _scope_changes,
    EventKind.SIGN_IN_CHANGED: _sign_in_changed,
    EventKind.CONSENT_GIVEN: _scopes,
    EventKind.CONSENT_WITHDRAWN: _withdrawn,
    EventKind.OAUTH_REFUSED: lambda details: str(details.get("error", "")),
    EventKind.CLAIMS_SET: _claims,
    EventKind.TOKEN_REPLAYED: lambda details: str(details.get("what", "")),
}


class KeyEventAdmin(GuardedSearchAdmin):
    """Events: to read, never to write."""

    list_display = ("at", "shown_who", "kind", "key", "client", "address", "shown_details")
    list_display_links = None
    list_filter = ("kind", "at")
    list_select_related = ("key", "client")
    search_fields = ("key__key_id__startswith", "actor_name__startswith")
    search_help_text = gettext_lazy("Start of a key id or of a user name.")
    list_per_page = 50
    show_full_result_count = False
    actions = None
    ordering: ClassVar = ["-at", "-pk"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: KeyEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: KeyEvent | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # "All events" of a key's page.
        return lookup == "key__id__exact" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(description=gettext_lazy("who"))
    def shown_who(self, event: KeyEvent) -> str:
        return who(event)

    @admin.display(description=gettext_lazy("details"))
    def shown_details(self, event: KeyEvent) -> str:
        return sentence(event)
