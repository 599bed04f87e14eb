from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import keys, status
from ...core.errors import AlreadyRevokedError
from ...models import APIKey, RevocationReason
from .. import columns, selection
from ..key_command import FAILED, SOME_FAILED, WRONG_USE, KeyCommand, RefusedError
from ..output import Column, Table

#: The last one is set by the app alone.
REASONS = [reason.value for reason in RevocationReason if reason is not RevocationReason.UNDELIVERED]


class Command(KeyCommand):
    """Stops keys for good."""

    help = (
        "Revoke keys by their ids: requests with them fail from now on, and this cannot be undone. "
        "Running it twice changes nothing more."
    )
    #: A fault elsewhere in the project must not keep a leaked key alive.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "key_ids", nargs="+", metavar="KEY_ID", help="The 12 characters that list_keys shows. Never the key itself."
        )
        parser.add_argument("--reason", required=True, choices=REASONS, help="Why it is revoked.")
        parser.add_argument("--note", default="", help="More about the reason; required with --reason other.")
        parser.add_argument("--no-input", action="store_true", help="Do not ask on a terminal.")

    def handle(self, *args: Any, **options: Any) -> None:
        key_ids = selection.require_key_ids(options["key_ids"])
        if options["reason"] == RevocationReason.OTHER and not options["note"].strip():
            raise RefusedError(_("Say why in --note."), code="note_missing", returncode=WRONG_USE)
        found, unknown = selection.keys_with_ids(key_ids)
        now = timezone.now()
        open_keys = [key for key in found if not key.is_revoked()]
        if options["dry_run"]:
            self._preview(open_keys, found, unknown, now=now)
            return
        if open_keys and self.can_ask and not (options["no_input"] or options["as_json"]):
            self._ask(open_keys, now=now)
        self._revoke(found, unknown, options=options, now=now)

    def _preview(self, open_keys: list[APIKey], found: list[APIKey], unknown: list[str], *, now: datetime) -> None:
        listing = self.listing(_columns(now=now), command="revoke_key", dry_run=True)
        for key in open_keys:
            listing.add(key)
        revoked = len(found) - len(open_keys)
        listing.close({"revoked": 0, "due": len(open_keys), "already_revoked": revoked, "failed": len(unknown)})
        self.remark(_("Nothing was changed. Run without --dry-run to revoke."))
        self._end(unknown, done=len(found))

    def _ask(self, open_keys: list[APIKey], *, now: datetime) -> None:
        table = Table(_columns(now=now), self.stdout, style=self.table_style)
        for key in open_keys:
            table.add(key)
        table.close({})
        self.stdout.flush()
        self.remark(status.revoked_message(_("Requests with them fail from now on, and this cannot be undone.")))
        count = len(open_keys)
        self.confirm(ngettext("Revoke %(count)d key?", "Revoke %(count)d keys?", count) % {"count": count})

    def _revoke(self, found: list[APIKey], unknown: list[str], *, options: dict[str, Any], now: datetime) -> None:
        listing = None
        if options["as_json"] or not self.to_terminal:
            listing = self.listing(_columns(now=now), command="revoke_key")
        counts = {"revoked": 0, "already_revoked": 0, "failed": len(unknown)}
        failed: list[str] = []
        for key in found:
            try:
                stopped = keys.revoke(key, reason=options["reason"], note=options["note"], source="command")
            except AlreadyRevokedError as error:
                counts["already_revoked"] += 1
                self.remark(f"{key.key_id}: {error}")
                continue
            except DatabaseError as error:
                # The others leaked too.
                failed.append(key.key_id)
                counts["failed"] += 1
                self.remark(f"{key.key_id}: {error}")
                continue
            for each in stopped:
                counts["revoked"] += 1
                text = _("“%(name)s” (%(key_id)s) is revoked. Requests with it now get 401.")
                self.remark(status.revoked_message(text % {"name": each.name, "key_id": each.key_id}))
                if listing is not None:
                    listing.add(selection.all_keys().get(pk=each.pk))
        if listing is not None:
            listing.close(counts, **self._failures(unknown, failed))
        self._end(unknown, done=len(found) - len(failed), failed=failed)

    def _end(self, unknown: list[str], *, done: int, failed: Sequence[str] = ()) -> None:
        for key_id in unknown:
            self.remark(_("No key has the id %(key_id)s.") % {"key_id": key_id})
        if unknown or failed:
            sys.exit(SOME_FAILED if done else FAILED)

    def _failures(self, unknown: list[str], failed: Sequence[str] = ()) -> dict[str, Any]:
        if failed:
            detail = _("Not revoked: %(key_ids)s.") % {"key_ids": ", ".join([*failed, *unknown])}
            return {"error": {"code": "keys_failed", "detail": detail}}
        if not unknown:
            return {}
        detail = _("No key has the id %(key_id)s.") % {"key_id": ", ".join(unknown)}
        return {"error": {"code": "key_unknown", "detail": detail}}


def _columns(*, now: datetime) -> list[Column[APIKey]]:
    return [
        *columns.identity(columns.itself),
        Column(
            member="status",
            heading=_("STATUS"),
            value=lambda key: status.status_of(key, now=now).code,
            text=lambda key: "{0.symbol} {0.label}".format(status.status_of(key, now=now)),
            rank=10,
        ),
        columns.last_used(columns.itself, now=now, rank=60),
    ]
