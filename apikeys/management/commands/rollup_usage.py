from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import usage
from ...usage.rollup import due, steps
from .. import selection
from ..interruption import Interruption
from ..key_command import FAILED, INTERRUPTED, KeyCommand
from ..output import SCHEMA
from ..progress import Progress


class Command(KeyCommand):
    """Sums up what was counted."""

    help = (
        "Sum up what was counted: raw rows into hours and hours into days, and delete the days that are no longer "
        "kept. Each hour and day is done at once and stays done. For cron, every hour: --verbosity 0. Several runs at "
        "once do nothing twice."
    )
    #: It runs unattended: a fault elsewhere in the project must not let the raw rows pile up.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            hours, days = due(now=timezone.now())
            self._say(usage.RolledUp(hours=hours, days=days), options, sentence=_("Would sum %(hours)s and %(days)s."))
            self.remark(_("Nothing was changed. Run without --dry-run to sum them up."))
            return
        progress = Progress(self.stderr, sentence=_("summed %(done)s hours and days"))
        done, failure, is_through = usage.RolledUp(), {}, True
        with Interruption() as interruption:
            try:
                for done in steps():
                    selection.forget_queries()
                    progress.report(done.hours + done.days)
                    if interruption.is_requested:
                        is_through = False
                        break
            except DatabaseError as error:
                failure = {"error": {"code": "database_error", "detail": str(error)}}
            finally:
                progress.clear()
        self._say(done, options, sentence=_("Summed %(hours)s and %(days)s."), **failure)
        if failure:
            self.remark(failure["error"]["detail"])
            self.remark(_("Stopped by the database. Run the same command again to go on."))
            sys.exit(FAILED)
        if not is_through:
            self.remark(_("Interrupted. Run the same command again to go on."))
            sys.exit(INTERRUPTED)

    def _say(self, done: usage.RolledUp, options: dict[str, Any], *, sentence: str, **failure: Any) -> None:
        if options["as_json"]:
            lead = {"schema": SCHEMA, "command": "rollup_usage", "dry_run": options["dry_run"]}
            self.stdout.write(json.dumps({**lead, "counts": asdict(done), **failure}))
        hours = ngettext("%(count)s hour", "%(count)s hours", done.hours) % {"count": f"{done.hours:,}"}
        days = ngettext("%(count)s day", "%(count)s days", done.days) % {"count": f"{done.days:,}"}
        if done.hours or done.days:
            self.remark(sentence % {"hours": hours, "days": days})
        elif not failure:
            self.remark(_("Nothing was due."))
