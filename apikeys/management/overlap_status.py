"""``rotate_keys --status``: which old keys still work beside their replacement, and whether anybody uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import status, usage
from ..core.batches import batches
from ..models import APIKey, APIKeyQuerySet, Grain, LastUse, Level, UsageCount
from ..usage import recent
from . import columns, selection
from .key_command import WRONG_USE, KeyCommand, RefusedError
from .output import Column, iso

#: How long an old key is listed after its end: whoever still sends it is refused, and may not have noticed.
_LATELY = timedelta(days=7)
_WITHIN = timedelta(hours=24)
_BATCH = 500
#: Refused because it is dead. Whatever else it was refused for says nothing of who still has to take the new one.
_DEAD = ("key_expired", "key_revoked", "key_rotated")
#: What narrows the list; all other options are about rotating.
_OPTIONS_OF_ROTATING = (
    "older_than",
    "expiring_within",
    "leaked",
    "overlap",
    "output",
    "show_secrets",
    "check",
)


@dataclass(frozen=True, kw_only=True)
class OldKey:
    """A key that was rotated, and what became of it."""

    key: APIKey
    replacement: APIKey
    #: ``waits``: its overlap begins with the first use of the replacement; ``runs``; ``ended``.
    overlap: str
    last_use: LastUse | None
    #: In the last 24 hours: let in, and refused because it is dead.
    requests: int
    refused: int
    #: From where and when it was last refused.
    refused_from: str
    refused_at: datetime | None

    @property
    def is_used(self) -> bool:
        """Whether somebody sent it in the last 24 hours."""
        return bool(self.requests or self.refused)

    @property
    def used_at(self) -> datetime | None:
        """When it was last let in."""
        return self.key.last_used_at if self.last_use is None else self.last_use.at

    @property
    def used_from(self) -> str:
        """Where it was last seen: an address, or a network where it was refused. Empty if that is not known."""
        if self.refused_at is not None and (self.last_use is None or self.refused_at > self.last_use.at):
            return self.refused_from
        return str(self.last_use.address or "") if self.last_use is not None else ""


def show(command: KeyCommand, options: Mapping[str, Any]) -> None:
    """
    List the rotated keys of *options* that work on, or did lately. Nothing is changed.

    Raises:
        RefusedError: If *options* ask to rotate as well, or name what does not exist.
    """
    if any(options[name] for name in _OPTIONS_OF_ROTATING):
        message = _("--status changes nothing. It goes with --key, --client, --owner, --limit and --json.")
        raise RefusedError(message, code="wrong_use", returncode=WRONG_USE)
    now = timezone.now()
    listing = command.listing(_columns(now=now), command="rotate_keys", limit=options["limit"])
    counts = {"listed": 0, "still_used": 0}
    for old in _with_use(selection.newest_first(_rows(options, now=now), limit=options["limit"]), now=now):
        listing.add(old)
        counts["listed"] += 1
        counts["still_used"] += old.is_used
    listing.close(counts)
    if not counts["listed"]:
        command.remark(_("No rotated key works on, or did in the last 7 days."))
        return
    sentence = ngettext(
        "%(used)s of %(listed)s old key was used in the last 24 hours.",
        "%(used)s of %(listed)s old keys were used in the last 24 hours.",
        counts["listed"],
    )
    command.remark(sentence % {"used": f"{counts['still_used']:,}", "listed": f"{counts['listed']:,}"})
    if not usage.is_recorded():
        command.remark(_("Usage is not recorded: apikeys.middleware.UsageMiddleware is missing, or nothing came yet."))


def _rows(options: Mapping[str, Any], *, now: datetime) -> APIKeyQuerySet:
    rows = selection.all_keys().filter(
        replacement__isnull=False, overlap_ends_at__gt=now - _LATELY, revocation__isnull=True
    )
    rows = rows.select_related("client", "owner", "revocation", "replacement")
    if options["key"]:
        rows = rows.filter(key_id__in=selection.require_key_ids(options["key"]))
    if options["client"] is not None:
        rows = rows.filter(client=selection.client_called(options["client"]))
    if options["owner"] is not None:
        rows = rows.filter(owner=selection.person_called(options["owner"]))
    return rows


def _with_use(keys: Iterable[APIKey], *, now: datetime) -> Iterator[OldKey]:
    for batch in batches(keys, size=_BATCH):
        last_uses = usage.last_uses(key.key_id for key in batch)
        requests = recent.requests_of(batch, now=now, within=_WITHIN)
        refusals = _refusals_of(batch, now=now)
        for key in batch:
            refused, refused_from, refused_at = refusals.get(key.key_id, (0, "", None))
            yield OldKey(
                key=key,
                replacement=key.replacement,
                overlap=_overlap_of(key, now=now),
                last_use=last_uses.get(key.key_id),
                requests=requests.get(key.key_id, 0),
                refused=refused,
                refused_from=refused_from,
                refused_at=refused_at,
            )


def _refusals_of(keys: list[APIKey], *, now: datetime) -> dict[str, tuple[int, str, datetime]]:
    """Return by key id how often it was refused because it is dead, and from where and when last."""
    rows = UsageCount.objects.filter(
        Q(family__in={key.family for key in keys}, key_id__in=[key.key_id for key in keys]),
        level=Level.REFUSAL,
        outcome__in=_DEAD,
        grain__in=(Grain.RAW, Grain.HOUR),
        bucket__gt=now - _WITHIN,
    )
    found: dict[str, tuple[int, str, datetime]] = {}
    by_network = rows.order_by().values_list("key_id", "network").annotate(refused=Sum("count"), at=Max("last_at"))
    for key_id, network, refused, at in sorted(by_network, key=lambda row: row[3]):
        found[key_id] = (found[key_id][0] if key_id in found else 0) + refused, network, at
    return found


def _overlap_of(key: APIKey, *, now: datetime) -> str:
    if not key.is_working(now=now):
        return "ended"
    return "runs" if key.overlap_from_use is None else "waits"


def _columns(*, now: datetime) -> list[Column[OldKey]]:
    _key_id, *others = columns.identity(_key)
    return [
        Column(
            member="key_id", heading=_("OLD KEY"), value=lambda row: row.key.key_id, text=lambda row: row.key.masked
        ),
        *others,
        Column(
            member="replacement",
            heading=_("NEW KEY"),
            value=lambda row: row.replacement.key_id,
            text=lambda row: row.replacement.masked,
            rank=30,
        ),
        Column(
            member="old_key_stops_at",
            heading=_("OLD KEY STOPS"),
            value=lambda row: iso(_stops_at(row.key)),
            text=lambda row: _stops(row, now=now),
            rank=80,
        ),
        Column(member="overlap", value=lambda row: row.overlap),
        Column(
            member="last_used_at",
            heading=_("LAST USED"),
            value=lambda row: iso(row.used_at),
            text=lambda row: _("never used") if row.used_at is None else status.relative(row.used_at, now=now),
            rank=60,
        ),
        Column(
            member="used_from",
            heading=_("FROM"),
            value=lambda row: row.used_from or None,
            text=lambda row: row.used_from or "–",
            rank=70,
        ),
        Column(
            member="requests_24h",
            heading=_("REQUESTS/24H"),
            value=lambda row: row.requests,
            text=lambda row: f"{row.requests:,}",
            rank=65,
        ),
        Column(
            member="refused_24h",
            heading=_("REFUSED/24H"),
            value=lambda row: row.refused,
            text=lambda row: f"{row.refused:,}",
            rank=20,
        ),
    ]


def _key(row: OldKey) -> APIKey:
    return row.key


def _stops_at(key: APIKey) -> datetime:
    return min(end for end in (key.expires_at, key.overlap_ends_at) if end is not None)


def _stops(row: OldKey, *, now: datetime) -> str:
    text = columns.short_instant(_stops_at(row.key))
    if row.overlap == "waits":
        return _("%(time)s, waits for the first use of the new one") % {"time": text}
    return _("%(time)s (over)") % {"time": text} if row.overlap == "ended" else text
