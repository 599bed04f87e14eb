from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import status
from ...models import APIKey, APIKeyQuerySet
from .. import columns, selection
from ..durations import duration
from ..key_command import KeyCommand, limit_argument
from ..output import Column, iso

_COLOURS = {
    "revoked": "ERROR",
    "expired": "ERROR",
    "suspended": "WARNING",
    "rotating": "WARNING",
    "expiring": "WARNING",
    "active": "SUCCESS",
}


class Command(KeyCommand):
    """Prints keys, newest first."""

    help = "List API keys, newest first: a table on a terminal, tab-separated lines in a pipe. Never a secret."
    changes = False
    #: The list is for emergencies too: a fault elsewhere in the project must not be in its way.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--client", metavar="CLIENT", help="Only keys of this client: its client id or exact name.")
        parser.add_argument("--owner", metavar="USERNAME", help="Only keys that act for this person.")
        parser.add_argument("--status", choices=status.CODES, help="Only keys with this status.")
        parser.add_argument(
            "--expiring-within",
            type=duration,
            metavar="TIME",
            help="Only working keys that expire within this time, such as 14d.",
        )
        limit_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        rows = _selected(options, now=now)
        listing = self.listing(_columns(now=now), command="list_keys", limit=options["limit"])
        count = 0
        for key in selection.newest_first(rows, limit=options["limit"]):
            listing.add(key)
            count += 1
        listing.close({"listed": count})
        if not count:
            self.remark(_("No keys match.") if selection.all_keys().exists() else _("No API keys yet."))


def _selected(options: dict[str, Any], *, now: datetime) -> APIKeyQuerySet:
    rows = selection.all_keys()
    if options["client"] is not None:
        rows = rows.filter(client=selection.client_called(options["client"]))
    if options["owner"] is not None:
        rows = rows.filter(owner=selection.person_called(options["owner"]))
    if options["status"] is not None:
        rows = rows.filter(status.rows_with(options["status"], now=now))
    if options["expiring_within"] is not None:
        rows = rows.working(now=now).filter(expires_at__lte=now + options["expiring_within"])
    return rows


def _columns(*, now: datetime) -> list[Column[APIKey]]:
    key_id, name, client, owner = columns.identity(columns.itself)
    return [
        key_id,
        name,
        Column(
            member="status",
            heading=_("STATUS"),
            value=lambda key: status.status_of(key, now=now).code,
            text=lambda key: "{0.symbol} {0.label}".format(status.status_of(key, now=now)),
            colour=lambda key: _COLOURS.get(status.status_of(key, now=now).code, ""),
        ),
        client,
        owner,
        columns.expires(columns.itself, now=now, rank=30),
        columns.last_used(columns.itself, now=now, rank=20),
        Column(
            member="scopes",
            heading=_("PERMISSIONS"),
            value=lambda key: list(key.scopes),
            text=lambda key: status.permission_summary(key.scopes),
            is_long=True,
            rank=10,
        ),
        Column(member="mode", value=lambda key: key.mode),
        Column(member="created_at", value=lambda key: iso(key.created_at)),
        Column(member="client_id", value=lambda key: key.client.client_id),
    ]
