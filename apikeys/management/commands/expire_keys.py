from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import keys, status
from ...models import APIKey
from .. import columns
from ..interruption import Interruption
from ..key_command import DUE, INTERRUPTED, KeyCommand, limit_argument
from ..output import Column, iso
from ..progress import Progress

_BATCH = 500


class Command(KeyCommand):
    """Records what ran out."""

    help = (
        "Record the keys that ran out: each gets its event and its signal, once, however often and at however many "
        "places this runs. A key is dead from its end on, recorded or not. For cron: --verbosity 0."
    )
    #: It runs unattended: a fault elsewhere in the project must not stop the record.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--check", action="store_true", help="Change nothing, and exit with 4 if keys are due.")
        limit_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        counts = {"due": 0, "expired": 0, "by_another_run": 0}
        is_preview = options["dry_run"] or options["check"]
        listing = self.listing(_columns(now=now), command="expire_keys", dry_run=is_preview, limit=options["limit"])
        progress = Progress(self.stderr, sentence=_("recorded %(done)s"))
        with Interruption() as interruption:
            for key in _due(limit=options["limit"]):
                counts["due"] += 1
                if is_preview:
                    listing.add(key)
                elif keys.expire(key, source="command"):
                    counts["expired"] += 1
                    listing.add(key)
                else:
                    counts["by_another_run"] += 1
                progress.report(counts["due"])
                if interruption.is_requested:
                    break
        progress.clear()
        listing.close(counts)
        self._say(counts, is_preview=is_preview)
        if interruption.is_requested:
            self.remark(_("Interrupted. Run the same command again to go on."))
            sys.exit(INTERRUPTED)
        if options["check"] and counts["due"]:
            sys.exit(DUE)

    def _say(self, counts: dict[str, int], *, is_preview: bool) -> None:
        if not counts["due"]:
            self.remark(_("Nothing was due."))
        elif is_preview:
            self.remark(_("Nothing was changed. Run without --dry-run and --check to record it."))
        else:
            done = counts["expired"]
            self.remark(
                ngettext("Recorded that %(count)s key ran out.", "Recorded that %(count)s keys ran out.", done)
                % {"count": f"{done:,}"}
            )


def _due(*, limit: int | None) -> Iterator[APIKey]:
    # By primary key, so that a key that another run records meanwhile is not waited for.
    after = 0
    while batch := keys.due_to_expire(batch_size=_BATCH if limit is None else min(_BATCH, limit), after_pk=after):
        yield from batch
        after = batch[-1].pk
        if limit is not None and (limit := limit - len(batch)) <= 0:
            return


def _ended_at(key: APIKey) -> datetime:
    return min(end for end in (key.expires_at, key.overlap_ends_at) if end is not None)


def _columns(*, now: datetime) -> list[Column[APIKey]]:
    return [
        *columns.identity(columns.itself),
        Column(
            member="ended_at",
            heading=_("ENDED"),
            value=lambda key: iso(_ended_at(key)),
            text=lambda key: status.relative(_ended_at(key), now=now),
            rank=60,
        ),
        columns.last_used(columns.itself, now=now, rank=20),
    ]
