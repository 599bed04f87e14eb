from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from ... import keys, policy
from ...core.errors import AlreadyRotatedError, APIKeysError, KeyNotWorkingError
from ...issuance import IssuedKey
from ...models import APIKey
from .. import delivery, overlap_status
from ..ahead import SecretsAhead
from ..delivery import Destination
from ..durations import duration
from ..durations import overlap as overlap_argument
from ..interruption import Interruption
from ..key_command import DUE, FAILED, INTERRUPTED, SOME_FAILED, WRONG_USE, KeyCommand, RefusedError, limit_argument
from ..output import Listing, Table
from ..progress import Progress
from ..rotation import Rotation, Selection, rotation_columns, secret_line, selected, working_keys

#: The question comes with so many rows at most; --dry-run shows all.
_ROWS_BEFORE_QUESTION = 50


class Command(KeyCommand):
    """Rotates keys: those that are named, or all that a selection finds."""

    help = (
        "Give keys a replacement with the same settings. The old key works on for the overlap, never longer than its "
        "own expiry. Several options narrow the selection. Left alone are keys that do not work, keys of disabled "
        "clients and people, keys that have a replacement and, unless named by --key, the replacements of the last 24 "
        "hours and those whose old key still works: so the same command resumes a run that was stopped, and two runs "
        "at once share the work. --output holds one JSON object a line, with key_id, name, client, client_id, owner, "
        "replaces, expires_at and plaintext; each line is on disk before the next key is touched."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--key", action="append", metavar="KEY_ID", help="This key; repeatable. Never the key itself."
        )
        parser.add_argument("--client", metavar="CLIENT", help="Keys of this client: its client id or exact name.")
        parser.add_argument("--owner", metavar="USERNAME", help="Keys that act for this person.")
        parser.add_argument("--older-than", type=duration, metavar="TIME", help="Keys issued longer ago than this.")
        parser.add_argument("--expiring-within", type=duration, metavar="TIME", help="Keys that expire within this.")
        parser.add_argument("--leaked", action="store_true", help="The old keys stop at once: an overlap of 0.")
        parser.add_argument(
            "--overlap",
            type=overlap_argument,
            metavar="TIME",
            help="How long the old keys work on: 24h, 7d, or first-use: 24 hours from the first use of the new.",
        )
        parser.add_argument("--output", metavar="FILE", help="Write the new keys to this new file, mode 0600.")
        parser.add_argument("--show-secrets", action="store_true", help="Write the new keys to stdout.")
        parser.add_argument("--no-input", action="store_true", help="Do not ask.")
        parser.add_argument("--check", action="store_true", help="Change nothing, and exit with 4 if keys are due.")
        parser.add_argument(
            "--status",
            action="store_true",
            help="Change nothing, and list the rotated keys whose overlap runs or ended in the last 7 days: whether "
            "the old one is still used, and from where.",
        )
        limit_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["status"]:
            overlap_status.show(self, options)
            return
        overlap = _overlap(options)
        chosen = selected(options, now=timezone.now())
        is_preview = options["dry_run"] or options["check"]
        run = _Run(self, chosen, overlap=overlap, options=options)
        for each in chosen.not_taken:
            self.remark(f"{each.key_id}: {each.reason}")
        if not run.total:
            run.nothing()
        elif is_preview:
            run.preview()
        else:
            run.rotate()
        if options["check"] and run.total:
            sys.exit(DUE)
        if run.counts["failed"]:
            done = run.total if is_preview else run.counts["rotated"]
            sys.exit(SOME_FAILED if done else FAILED)


class _Run:
    """One run: what it is about, how far it is, and where its rows and secrets go."""

    def __init__(
        self, command: Command, chosen: Selection, *, overlap: policy.Overlap, options: dict[str, Any]
    ) -> None:
        self._command = command
        self._chosen = chosen
        self._overlap = overlap
        self._options = options
        self._now = timezone.now()
        self._destination: Destination | None = None
        self._was_stopped = False
        self.total = chosen.count(limit=options["limit"])
        self.counts = {
            "working": working_keys(now=self._now),
            "due": self.total,
            "rotated": 0,
            "no_longer_due": 0,
            "failed": sum(each.is_failure for each in chosen.not_taken),
        }

    def nothing(self) -> None:
        """Say that there is nothing to rotate."""
        self._listing().close(self.counts, **self._failure())
        if not self._chosen.not_taken:
            self._command.remark(_("Nothing was due."))

    def preview(self) -> None:
        """Show what would be rotated."""
        sentence = ngettext(
            "Would rotate %(due)s of %(working)s working key (%(phrase)s):",
            "Would rotate %(due)s of %(working)s working keys (%(phrase)s):",
            self.counts["working"],
        )
        self._command.remark(self._with_numbers(sentence))
        self._command.remark("")
        listing = self._listing()
        progress = self._progress(_("listed %(done)s of %(total)s, %(left)s s left"))
        for number, key in enumerate(self._chosen.oldest_first(limit=self.total), start=1):
            if self._command.to_terminal:
                # The progress may be on the same one.
                progress.clear()
            listing.add(self._planned(key))
            progress.report(number)
        progress.clear()
        listing.close(self.counts, **self._failure())
        self._command.stdout.flush()
        self._command.remark("")
        if self._options["check"]:
            self._command.remark(_("Nothing was changed. Run without --check to rotate."))
        else:
            self._command.remark(_("Nothing was changed. Run without --dry-run to rotate."))

    def rotate(self) -> None:
        """
        Rotate one key after the other, and hand its secret over before the next.

        Raises:
            RefusedError: If nobody can be asked, or there is no place for the secrets. Nothing was changed then.
        """
        options, command = self._options, self._command
        if not (options["no_input"] or command.can_ask):
            message = _("This is no terminal to ask on. Add --no-input to rotate without a question.")
            raise RefusedError(message, code="no_terminal", returncode=WRONG_USE)
        self._destination = delivery.choose(
            output=options["output"],
            show_secrets=options["show_secrets"],
            to_terminal=command.to_terminal,
            as_json=options["as_json"],
            line_of=_line,
        )
        try:
            if self._destination is None and self.total > 1 and not options["show_secrets"]:
                message = _("Several secrets need --output FILE, a SECRET_SINK, or --show-secrets.")
                raise RefusedError(message, code="secrets_refused", returncode=WRONG_USE)
            self._ask()
            interrupted = self._rotate_all()
        finally:
            if self._destination is not None:
                self._destination.close()
        self._say_what_was_done()
        if interrupted:
            command.remark(
                _("Interrupted. Run the same command again to go on, and name another file if you use --output.")
            )
            sys.exit(INTERRUPTED)

    def _ask(self) -> None:
        command = self._command
        if command.to_terminal and not self._options["as_json"]:
            table = Table(rotation_columns(now=self._now), command.stdout, style=command.table_style)
            shown = min(self.total, _ROWS_BEFORE_QUESTION)
            for key in self._chosen.oldest_first(limit=shown):
                table.add(self._planned(key))
            table.close({})
            command.stdout.flush()
            if shown < self.total:
                more = self.total - shown
                sentence = ngettext("… and %(count)s more key.", "… and %(count)s more keys.", more)
                command.remark(sentence % {"count": f"{more:,}"})
        if not self._options["no_input"]:
            question = ngettext("Rotate %(due)s key?", "Rotate %(due)s keys?", self.total)
            command.confirm(self._with_numbers(question))

    def _rotate_all(self) -> bool:
        """Return whether somebody interrupted."""
        is_listed = self._options["as_json"] or not self._command.to_terminal
        listing = self._listing() if is_listed else None
        progress = self._progress(_("rotated %(done)s of %(total)s, %(left)s s left"))
        number = 0
        with Interruption() as interruption, SecretsAhead(most=self.total) as secrets:
            for number, key in enumerate(self._chosen.oldest_first(limit=self.total), start=1):
                self._rotate_one(key, secrets, listing)
                progress.report(number)
                if interruption.is_requested or self._was_stopped:
                    break
            else:
                # What was due and did not come was rotated, or ended, before its batch was read.
                self.counts["no_longer_due"] += self.total - number
        progress.clear()
        if listing is not None:
            listing.close(self.counts, **self._failure())
        # A run that was through when the request came is done.
        return interruption.is_requested and number < self.total

    @sensitive_variables("issued")
    def _rotate_one(self, key: APIKey, secrets: SecretsAhead, listing: Listing[Rotation] | None) -> None:
        try:
            issued = keys.rotate(key, overlap=self._overlap, source="command", secret=secrets.take())
        except (AlreadyRotatedError, KeyNotWorkingError):
            # Somebody was faster, such as another run.
            self.counts["no_longer_due"] += 1
            return
        except (APIKeysError, DatabaseError) as error:
            self._failed(key, listing, detail=str(error), code=getattr(error, "code", "database_error"))
            return
        is_shown = self._destination is None
        try:
            if self._destination is not None:
                self._destination.deliver(issued)
            else:
                self._show(issued, replaced=key, listing=listing)
        except (RefusedError, OSError) as error:
            # The next one would hardly fare better, and each try costs an owner an alarm.
            self._was_stopped = True
            self._withdraw(issued)
            self._failed(key, listing, detail=str(error), code="secret_not_delivered")
            return
        except BaseException:
            self._withdraw(issued)
            raise
        self.counts["rotated"] += 1
        if listing is not None and not is_shown:
            listing.add(self._done(key, issued))

    @sensitive_variables("issued")
    def _show(self, issued: IssuedKey, *, replaced: APIKey, listing: Listing[Rotation] | None) -> None:
        stdout = self._command.stdout
        if listing is not None:
            listing.add(self._done(replaced, issued), plaintext=issued.plaintext)
        elif self.total == 1:
            stdout.write(issued.plaintext)
        else:
            stdout.write(f"{issued.key.key_id}\t{issued.plaintext}")
        stdout.flush()

    def _withdraw(self, issued: IssuedKey) -> None:
        try:
            keys.withdraw_undelivered(issued.key, source="command")
        except (APIKeysError, DatabaseError):
            sentence = _("%(key_id)s was made, nobody has it, and it could not be withdrawn. Revoke it.")
            self._command.remark(sentence % {"key_id": issued.key.key_id})

    def _failed(self, key: APIKey, listing: Listing[Rotation] | None, *, detail: str, code: str) -> None:
        self.counts["failed"] += 1
        self._command.remark(f"{key.key_id}: {detail}")
        if listing is not None:
            plan = self._planned(key)
            listing.add(Rotation(key=key, stops_at=plan.stops_at, waits=plan.waits, error=code))

    def _say_what_was_done(self) -> None:
        counts, command = self.counts, self._command
        sentence = ngettext("Rotated %(rotated)s of %(due)s key.", "Rotated %(rotated)s of %(due)s keys.", self.total)
        command.remark(self._with_numbers(sentence))
        if self._destination is not None and counts["rotated"]:
            command.remark(_("The new keys are in %(place)s.") % {"place": self._destination.name})
        if counts["no_longer_due"]:
            command.remark(self._with_numbers(_("Rotated by another run, or ended, meanwhile: %(no_longer_due)s.")))
        if counts["failed"]:
            command.remark(self._with_numbers(_("Failed: %(failed)s.")))

    def _failure(self) -> dict[str, Any]:
        if not self.counts["failed"]:
            return {}
        not_taken = [f"{each.key_id}: {each.reason}" for each in self._chosen.not_taken if each.is_failure]
        detail = " ".join([self._with_numbers(_("Failed: %(failed)s.")), *not_taken])
        return {"error": {"code": "keys_failed", "detail": detail}}

    def _listing(self) -> Listing[Rotation]:
        options = self._options
        return self._command.listing(
            rotation_columns(now=self._now),
            command="rotate_keys",
            dry_run=options["dry_run"] or options["check"],
            limit=options["limit"],
            more=("plaintext",) if options["show_secrets"] else (),
        )

    def _progress(self, sentence: str) -> Progress:
        return Progress(self._command.stderr, sentence=sentence, total=self.total)

    def _planned(self, key: APIKey) -> Rotation:
        return Rotation.planned(key, now=self._now, overlap=self._overlap)

    def _done(self, key: APIKey, issued: IssuedKey) -> Rotation:
        return Rotation(
            key=key,
            stops_at=key.overlap_ends_at or self._now,
            waits=key.overlap_from_use is not None,
            replacement=issued.key,
        )

    def _with_numbers(self, sentence: str) -> str:
        numbers = {name: f"{count:,}" for name, count in self.counts.items()}
        return sentence % {**numbers, "phrase": self._chosen.phrase}


def _overlap(options: dict[str, Any]) -> policy.Overlap:
    if options["leaked"]:
        if options["overlap"]:
            message = _("--leaked means that the old keys stop at once. Leave --overlap out.")
            raise RefusedError(message, code="wrong_use", returncode=WRONG_USE)
        return timedelta(0)
    given = options["overlap"]
    if given == "first-use":
        return policy.FROM_FIRST_USE
    return policy.require_overlap(policy.DEFAULT if given is None else given)


@sensitive_variables()
def _line(issued: IssuedKey) -> str:
    return json.dumps(secret_line(issued))
