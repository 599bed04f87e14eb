from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import clients, keys, usage
from ...conf import settings
from ...core.errors import APIKeysError
from ...usage import CeilingNeeds, KeyNeeds
from ...usage.unused import DAYS
from .. import narrowing, selection
from ..durations import positive_number
from ..interruption import Interruption
from ..key_command import FAILED, INTERRUPTED, SOME_FAILED, WRONG_USE, KeyCommand, RefusedError, limit_argument
from ..narrowing import NARROW, REVOKE, WAIT, Finding
from ..output import Listing


class Command(KeyCommand):
    """Finds permissions that are granted and not needed, and takes them away if it is told to."""

    help = (
        "List working keys with permissions that no request of theirs needed in --days, with the evidence. Nothing is "
        "changed without --narrow. Left alone are keys about which the counts can't tell: younger than --days, used "
        "without being counted, or counted for less time. A key that was not used at all, or needs none of its "
        "permissions, is never narrowed: revoke it rather."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--days", type=positive_number, default=DAYS, metavar="N", help="Look back N days: 90.")
        parser.add_argument(
            "--key", action="append", metavar="KEY_ID", help="This key; repeatable. Never the key itself."
        )
        parser.add_argument("--client", metavar="CLIENT", help="Keys of this client: its client id or exact name.")
        parser.add_argument("--ceilings", action="store_true", help="Also what clients may hold and no key needs.")
        parser.add_argument("--narrow", action="store_true", help="Take away what is not needed. There is no way back.")
        parser.add_argument("--no-input", action="store_true", help="Do not ask.")
        limit_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        is_preview = not options["narrow"] or options["dry_run"]
        if not (is_preview or options["no_input"] or self.can_ask):
            message = _("This is no terminal to ask on. Add --no-input to narrow without a question.")
            raise RefusedError(message, code="no_terminal", returncode=WRONG_USE)
        if options["days"] > settings.USAGE_DAYS_KEPT.days:
            message = _("Usage is kept for %(days)s days. Ask for no more.") % {"days": settings.USAGE_DAYS_KEPT.days}
            raise RefusedError(message, code="days_refused", returncode=WRONG_USE)
        run = _Run(self, options, is_preview=is_preview)
        if is_preview:
            run.preview()
        else:
            run.narrow()


class _Run:
    """One run: what it is about, and what it found and did."""

    def __init__(self, command: Command, options: dict[str, Any], *, is_preview: bool) -> None:
        self._command = command
        self._options = options
        self._is_preview = is_preview
        self._now = timezone.now()
        self.counts = {"keys": 0, "to_narrow": 0, "to_revoke": 0, "can_not_tell": 0, "narrowed": 0, "failed": 0}

    def preview(self) -> None:
        """List what was found."""
        listing = self._listing()
        for found in self._findings():
            listing.add(found)
        listing.close(self.counts)
        self._say()
        if self.counts["to_narrow"]:
            self._command.remark(_("Nothing was changed. Run with --narrow to take them away."))

    def narrow(self) -> None:
        """Take away what is not needed, key by key, and then from the ceilings."""
        if not self._options["no_input"]:
            listing = self._listing()
            for found in self._findings():
                listing.add(found)
            listing.close({})
            self._command.stdout.flush()
            self._ask()
        is_listed = self._options["as_json"] or not self._command.to_terminal
        self.counts = dict.fromkeys(self.counts, 0)
        listing = self._listing() if is_listed else _Nowhere()
        with Interruption() as interruption:
            for found in self._findings():
                listing.add(self._narrowed(found))
                if interruption.is_requested:
                    break
        failure = {}
        if self.counts["failed"]:
            failure = {"error": {"code": "keys_failed", "detail": _("Failed: %(n)s.") % {"n": self.counts["failed"]}}}
        listing.close(self.counts, **failure)
        self._say()
        if interruption.is_requested:
            self._command.remark(_("Interrupted. Run the same command again to go on."))
            sys.exit(INTERRUPTED)
        if self.counts["failed"]:
            sys.exit(SOME_FAILED if self.counts["narrowed"] else FAILED)

    def _ask(self) -> None:
        count = self.counts["to_narrow"]
        if not count:
            return
        question = ngettext(
            "Take these permissions away from %(count)s key or client?",
            "Take these permissions away from %(count)s keys and clients?",
            count,
        )
        self._command.confirm(question % {"count": f"{count:,}"})

    def _narrowed(self, found: Finding) -> Finding:
        if found.advice != NARROW:
            return found
        try:
            if isinstance(found.needs, KeyNeeds):
                keys.narrow(found.needs.key, scopes=found.needs.kept, source="command")
            else:
                found = _lowered(found.needs)
        except (APIKeysError, DatabaseError) as error:
            self.counts["failed"] += 1
            name = found.client.name if found.key is None else found.key.key_id
            self._command.remark(f"{name}: {error}")
            return Finding(needs=found.needs, error=getattr(error, "code", "database_error"))
        self.counts["narrowed"] += found.advice == NARROW
        return found

    def _findings(self) -> Iterator[Finding]:
        # Ceilings last: they keep what working keys are granted, which is less by then.
        yield from self._noted(usage.unused_scopes(self._keys(), days=self._options["days"], now=self._now))
        if self._options["ceilings"]:
            yield from self._noted(usage.unused_ceilings(self._clients(), days=self._options["days"], now=self._now))

    def _noted(self, all_needs: Iterator[KeyNeeds] | Iterator[CeilingNeeds]) -> Iterator[Finding]:
        for needs in all_needs:
            found = Finding(needs=needs)
            self.counts["keys"] += found.key is not None
            self.counts["to_narrow"] += found.advice == NARROW
            self.counts["to_revoke"] += found.advice == REVOKE
            self.counts["can_not_tell"] += found.advice == WAIT
            # Who names a key wants to hear of it.
            if found.advice in {NARROW, REVOKE} or (found.key is not None and self._options["key"]):
                yield found

    def _keys(self) -> Any:
        options = self._options
        rows = selection.all_keys().working(now=self._now).filter(mode=settings.MODE)
        if options["key"]:
            found, unknown = selection.keys_with_ids(selection.require_key_ids(options["key"]))
            if unknown:
                message = _("No key has the id %(key_id)s.") % {"key_id": ", ".join(unknown)}
                raise RefusedError(message, code="key_unknown", returncode=WRONG_USE)
            rows = rows.filter(pk__in=[key.pk for key in found])
        if options["client"] is not None:
            rows = rows.filter(client=selection.client_called(options["client"]))
        return selection.oldest_first(rows, limit=options["limit"])

    def _clients(self) -> Any:
        if self._options["client"] is not None:
            return [selection.client_called(self._options["client"])]
        return [] if self._options["key"] else selection.all_clients()

    def _say(self) -> None:
        counts, command = self.counts, self._command
        sentence = ngettext(
            "Of %(keys)s working key: %(to_narrow)s to narrow, %(to_revoke)s to revoke, %(can_not_tell)s unclear.",
            "Of %(keys)s working keys: %(to_narrow)s to narrow, %(to_revoke)s to revoke, %(can_not_tell)s unclear.",
            counts["keys"],
        )
        command.remark(sentence % {name: f"{count:,}" for name, count in counts.items()})
        if not self._is_preview:
            done = counts["narrowed"]
            sentence = ngettext("Narrowed %(count)s key or client.", "Narrowed %(count)s keys and clients.", done)
            command.remark(sentence % {"count": f"{done:,}"})

    def _listing(self) -> Listing[Finding]:
        return self._command.listing(
            narrowing.columns(now=self._now),
            command="unused_scopes",
            dry_run=self._is_preview,
            limit=self._options["limit"],
        )


def _lowered(needs: CeilingNeeds) -> Finding:
    """Lower the ceiling, and return what was still to be taken away: others may have changed it since it was judged."""
    removed = clients.narrow_ceiling(needs.client, without=needs.unused, source="command")
    left = needs.client.allowed_scopes
    known = tuple(need for need in needs.needs if need.name in removed or need.name in left)
    # What is left in spite of its being unneeded is what a key was given meanwhile.
    return Finding(needs=replace(needs, needs=known, granted=needs.granted.union(left)))


class _Nowhere:
    """Takes rows that somebody has seen already."""

    def add(self, row: Finding, **more: Any) -> None:
        """Drop *row*."""

    def close(self, counts: Any, **more: Any) -> None:
        """Do nothing."""
