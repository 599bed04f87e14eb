"""Which keys ``rotate_keys`` takes, and what it says about each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from .. import policy, status
from ..conf import settings
from ..issuance import IssuedKey
from ..models import APIKey, APIKeyQuerySet, user_name_of
from . import columns, selection
from .key_command import WRONG_USE, RefusedError
from .output import Column, iso

#: How long a replacement is left alone unless it is named.
SETTLING = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class NotTaken:
    """A key that was named and can't be rotated."""

    key_id: str
    reason: str
    #: Whether that is for the operator to settle. A key that has its replacement is none.
    is_failure: bool


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The keys that a run is about."""

    rows: APIKeyQuerySet
    #: In words: "expire within 14 days".
    phrase: str
    not_taken: tuple[NotTaken, ...] = ()

    def count(self, *, limit: int | None) -> int:
        """Return how many keys there are to rotate."""
        count = self.rows.count()
        return count if limit is None else min(count, limit)

    def oldest_first(self, *, limit: int | None) -> Iterator[APIKey]:
        """Yield the keys. Their replacements are none of them: they are too new."""
        return selection.oldest_first(self.rows, limit=limit)


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One key, and what happens or happened to it."""

    key: APIKey
    #: When the old key stops, or would.
    stops_at: datetime
    #: Whether that is only the latest instant, because it stops after the first use of its replacement.
    waits: bool = False
    replacement: APIKey | None = None
    #: The code of what went wrong; None for nothing.
    error: str | None = None

    @classmethod
    def planned(cls, key: APIKey, *, now: datetime, overlap: policy.Overlap) -> Rotation:
        """Return what would happen to *key*."""
        stops_at = policy.overlap_end(key, overlap=overlap, now=now)
        return cls(key=key, stops_at=stops_at, waits=overlap is policy.FROM_FIRST_USE)


def selected(options: Mapping[str, Any], *, now: datetime) -> Selection:
    """
    Return the keys that match all of *options*.

    Raises:
        RefusedError: If none was given, or one names what does not exist.
    """
    rows, phrases = _rotatable(now=now), []
    not_taken: list[NotTaken] = []
    if options["key"]:
        named = _named(options["key"])
        not_taken = _not_taken(named, rows, now=now)
        rows = rows.filter(pk__in=[key.pk for key in named])
        phrases.append(_("named by id"))
    else:
        rows = rows.exclude(_is_settling(now))
    if options["client"] is not None:
        client = selection.client_called(options["client"])
        rows = rows.filter(client=client)
        phrases.append(_("of the client “%(client)s”") % {"client": client.name})
    if options["owner"] is not None:
        rows = rows.filter(owner=selection.person_called(options["owner"]))
        phrases.append(_("act for %(owner)s") % {"owner": options["owner"]})
    if options["older_than"] is not None:
        rows = rows.filter(created_at__lt=now - options["older_than"])
        phrases.append(_("older than %(span)s") % {"span": status.span_of(options["older_than"])})
    if options["expiring_within"] is not None:
        rows = rows.filter(expires_at__lte=now + options["expiring_within"])
        phrases.append(_("expire within %(span)s") % {"span": status.span_of(options["expiring_within"])})
    if not phrases:
        message = _("Say which keys: --key, --client, --owner, --older-than or --expiring-within.")
        raise RefusedError(message, code="selection_missing", returncode=WRONG_USE)
    return Selection(rows=rows, phrase=", ".join(phrases), not_taken=tuple(not_taken))


def working_keys(*, now: datetime) -> int:
    """Return how many keys work now."""
    return selection.all_keys().working(now=now).count()


def rotation_columns(*, now: datetime) -> list[Column[Rotation]]:
    """Return the columns of ``rotate_keys``."""
    _key_id, *others = columns.identity(_key)
    return [
        Column(member="key_id", heading=_("KEY"), value=lambda row: row.key.key_id, text=lambda row: row.key.masked),
        *others,
        columns.expires(_key, now=now, rank=30),
        columns.last_used(_key, now=now, rank=20),
        Column(
            member="old_key_stops_at",
            heading=_("OLD KEY STOPS"),
            value=lambda row: iso(row.stops_at),
            text=_stops,
            rank=60,
        ),
        Column(member="overlap_from", value=lambda row: "first_use" if row.waits else "rotation"),
        Column(member="replacement", value=lambda row: None if row.replacement is None else row.replacement.key_id),
        Column(member="error", value=lambda row: row.error),
    ]


def secret_line(issued: IssuedKey) -> dict[str, Any]:
    """Return the object that a file of secrets holds for *issued*."""
    key = issued.key
    return {
        "key_id": key.key_id,
        "name": key.name,
        "client": key.client.name,
        "client_id": key.client.client_id,
        "owner": user_name_of(key.owner) or None,
        "replaces": None if key.replaces is None else key.replaces.key_id,
        "expires_at": iso(key.expires_at),
        "plaintext": issued.plaintext,
    }


def _rotatable(*, now: datetime) -> APIKeyQuerySet:
    # A key of the other mode does not work here, and its replacement would.
    rows = selection.all_keys().working(now=now).filter(mode=settings.MODE, overlap_ends_at=None)
    return selection.of_active_people(rows.filter(client__is_active=True))


def _is_settling(now: datetime) -> Q:
    return Q(replaces__isnull=False, created_at__gt=now - SETTLING) | Q(replaces__overlap_ends_at__gt=now)


def _named(texts: list[str]) -> list[APIKey]:
    found, unknown = selection.keys_with_ids(selection.require_key_ids(texts))
    if unknown:
        message = _("No key has the id %(key_id)s.") % {"key_id": ", ".join(unknown)}
        raise RefusedError(message, code="key_unknown", returncode=WRONG_USE)
    return found


def _not_taken(named: list[APIKey], rows: APIKeyQuerySet, *, now: datetime) -> list[NotTaken]:
    taken = set(rows.filter(pk__in=[key.pk for key in named]).values_list("pk", flat=True))
    return [_why_not(key, now=now) for key in named if key.pk not in taken]


def _why_not(key: APIKey, *, now: datetime) -> NotTaken:
    replacement = selection.all_keys().filter(replaces=key).first()
    if replacement is not None:
        reason = _("Its replacement is %(key)s.") % {"key": replacement.masked}
    elif key.mode != settings.MODE:
        reason = _("It is a %(mode)s key.") % {"mode": key.mode}
    else:
        reason = _state(key, now=now)
    return NotTaken(key_id=key.key_id, reason=reason, is_failure=replacement is None)


def _state(key: APIKey, *, now: datetime) -> str:
    current = status.status_of(key, now=now)
    if current.code in {"revoked", "expired"}:
        # The detail says it by itself: "revoked 3 days ago".
        return current.detail[:1].upper() + current.detail[1:]
    return f"{current.label}: {current.detail}"


def _key(row: Rotation) -> APIKey:
    return row.key


def _stops(row: Rotation) -> str:
    text = columns.short_instant(row.stops_at)
    if row.stops_at == row.key.expires_at:
        return _("%(time)s (its own expiry)") % {"time": text}
    return _("%(time)s at the latest") % {"time": text} if row.waits else text
