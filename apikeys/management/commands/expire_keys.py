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
from ...models import APIKey
from .. import columns, selection
from ..interruption import Interruption
from ..key_command import DUE, FAILED, INTERRUPTED, KeyCommand, limit_argument
from ..output import Column, Listing, iso
from ..progress import Progress

#: Recorded in one transaction, which takes a tenth of a second: so long waits who changes one of these keys.
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
        is_preview = options["dry_run"] or options["check"]
        listing = self.listing(_columns(now=now), command="expire_keys", dry_run=is_preview, limit=options["limit"])
        with Interruption() as interruption:
            run = _Run(self, listing, interruption, now=now, limit=options["limit"])
            failure: dict[str, Any] = {}
            try:
                is_through = run.preview() if is_preview else run.record()
            except DatabaseError as error:
                # A batch is recorded or it is not, so what is counted is what was done.
                is_through, failure = False, {"error": {"code": "database_error", "detail": str(error)}}
            finally:
                run.progress.clear()
        listing.close(run.counts, **failure)
        self._say(run.counts, is_preview=is_preview)
        if failure:
            self.remark(failure["error"]["detail"])
            self.remark(_("Stopped by the database. Run the same command again to go on."))
            sys.exit(FAILED)
        if not is_through:
            self.remark(_("Interrupted. Run the same command again to go on."))
            sys.exit(INTERRUPTED)
        if options["check"] and run.counts["due"]:
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


class _Run:
    """One run: what was due when it began, how far it is, and where its rows go. Only a batch is ever in memory."""

    def __init__(
        self,
        command: Command,
        listing: Listing[APIKey],
        interruption: Interruption,
        *,
        now: datetime,
        limit: int | None,
    ) -> None:
        self._command = command
        self._listing = listing
        self._interruption = interruption
        self._now = now
        due = keys.count_due_to_expire(at=now)
        self._total = due if limit is None else min(due, limit)
        self._seen = 0
        self.counts = {"due": self._total, "expired": 0, "by_another_run": 0}
        self.progress = self._progress(_("recorded %(done)s of %(total)s, %(left)s s left"))

    def preview(self) -> bool:
        """List what is due, and return whether nobody interrupted."""
        self.progress = self._progress(_("listed %(done)s of %(total)s, %(left)s s left"))
        after = 0
        while batch := self._due(self._total - self._seen, after=after):
            if self._interruption.is_requested:
                return False
            self._show(batch)
            self._seen, after = self._seen + len(batch), batch[-1].pk
            self.progress.report(self._seen)
        return True

    def record(self) -> bool:
        """Record what is due, batch by batch, and return whether nobody interrupted."""
        is_through = self._record_batches()
        if is_through and self.counts["expired"] < self._seen:
            is_through = self._record_what_is_left()
        done = self._total if is_through else self._seen
        self.counts["by_another_run"] = max(0, done - self.counts["expired"])
        return is_through

    def _record_batches(self) -> bool:
        after = 0
        while batch := self._due(self._total - self.counts["expired"], after=after):
            if self._interruption.is_requested:
                return False
            self._count(keys.expire_many(batch, skip_locked=True, source="command"))
            after = batch[-1].pk
            self._seen = min(self._total, self._seen + len(batch))
            self.progress.report(self._seen)
        return True

    def _record_what_is_left(self) -> bool:
        # What somebody, such as another run, was changing when its batch came. One by one: who waits holds nothing
        # that others wait for.
        after = 0
        while batch := self._due(self._total - self.counts["expired"], after=after):
            for key in batch:
                if self._interruption.is_requested:
                    return False
                if keys.expire(key, source="command"):
                    self._count([key])
            after = batch[-1].pk
        return True

    def _count(self, recorded: Sequence[APIKey]) -> None:
        self.counts["expired"] += len(recorded)
        self._show(recorded)

    def _progress(self, sentence: str) -> Progress:
        return Progress(self._command.stderr, sentence=sentence, total=self._total)

    def _due(self, most: int, *, after: int) -> list[APIKey]:
        selection.forget_queries()
        if most <= 0:
            return []
        return keys.due_to_expire(batch_size=min(_BATCH, most), after_pk=after, at=self._now)

    def _show(self, batch: Sequence[APIKey]) -> None:
        if self._command.to_terminal:
            # The progress may be on the same one.
            self.progress.clear()
        for key in batch:
            self._listing.add(key)


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
