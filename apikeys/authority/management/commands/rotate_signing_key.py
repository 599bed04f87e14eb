from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ....conf import settings
from ....management.columns import short_instant
from ....management.key_command import DUE, SOME_FAILED, WRONG_USE, KeyCommand, RefusedError
from ....management.output import Column, iso
from ... import rotation
from ...signing import given_keys, stored_keys
from ...turns import Turn, is_due, turn_at, turns

_OPTIONS_OF_ROTATING = ("force", "compromised", "check", "dry_run")


class Command(KeyCommand):
    """Makes the next signing key when it is due."""

    help = (
        "Make the next key that tokens are signed with, once the newest has had its time (SIGNING_KEY_LIFETIME). It is "
        "published now and signs later (SIGNING_KEY_PUBLISHED_AHEAD); the very first signs at once. Old keys stay "
        "published until the last token that they signed has ended, and are then deleted. Private parts that an older "
        "one of SIGNING_KEY_SECRETS encrypts are encrypted by the first. Safe to schedule, and to run at several "
        "places at once: two runs make one key. For cron: --verbosity 0."
    )
    #: It runs unattended: a fault elsewhere in the project must not stop tokens from being signed.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--force", action="store_true", help="Make a key although none is due.")
        parser.add_argument(
            "--compromised",
            action="append",
            metavar="KID",
            help="Withdraw this key at once and make another; repeatable. Every token that it signed dies with it. If "
            "it is the one that signs, the new one signs at once. Where SIGNING_KEYS sign, none is made.",
        )
        parser.add_argument("--check", action="store_true", help="Change nothing, and exit with 4 if a key is due.")
        parser.add_argument(
            "--status", action="store_true", help="Change nothing, and list the stored keys and what each is for now."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["status"]:
            self._show(options, now=now)
            return
        _require_stored(options["compromised"] or ())
        if options["dry_run"] or options["check"]:
            self._preview(options, now=now)
        else:
            self._rotate(options, now=now)

    def _show(self, options: dict[str, Any], *, now: datetime) -> None:
        if any(options[name] for name in _OPTIONS_OF_ROTATING):
            message = _("--status changes nothing. It goes with --json.")
            raise RefusedError(message, code="wrong_use", returncode=WRONG_USE)
        known = turns(stored_keys().defer("private"))
        self._list(known, known=known, counts={"listed": len(known)}, now=now)
        given = given_keys()
        if given:
            self.remark(_("The first of SIGNING_KEYS signs: %(kid)s.") % {"kid": given[0].kid})
        elif not known:
            self.remark(_("There is no signing key. Run it without --status to make the first one."))

    def _preview(self, options: dict[str, Any], *, now: datetime) -> None:
        known = turns(stored_keys().defer("private"))
        is_asked = _is_asked(known, options=options, now=now)
        unneeded = sum(not turn.is_published(now=now) for turn in known)
        counts = {"due": int(is_asked), "made": 0, "deleted": 0, "resealed": 0, "unneeded": unneeded}
        self._list([], known=known, counts=counts, now=now, dry_run=True)
        if not is_asked:
            self.remark(_("Nothing was due."))
            return
        self.remark(_("Nothing was changed. Run without --dry-run and --check to make the next signing key."))
        if options["check"]:
            sys.exit(DUE)

    def _rotate(self, options: dict[str, Any], *, now: datetime) -> None:
        known = turns(stored_keys())
        is_asked = _is_asked(known, options=options, now=now)
        row = None
        withdrawn: list[str] = []
        if options["compromised"] and settings.SIGNING_KEYS:
            withdrawn = rotation.withdraw_alone(options["compromised"], source="command")
        elif options["compromised"]:
            row = rotation.withdraw(options["compromised"], now=now, source="command")
        elif is_asked:
            if not options["force"]:
                _require_readable(known, now=now)
            row = rotation.make(known, now=now, source="command")
        resealed, unreadable = rotation.reseal(now=now)
        deleted = len(withdrawn) + rotation.delete_retired(now=now)
        known = turns(stored_keys().defer("private"))
        made = [turn for turn in known if row is not None and turn.row.pk == row.pk]
        counts = {"due": int(is_asked), "made": len(made), "deleted": deleted, "resealed": resealed}
        self._list(made, known=known, counts=counts, now=now, unreadable=unreadable)
        if withdrawn:
            self.remark(_("Withdrawn: %(kids)s.") % {"kids": ", ".join(withdrawn)})
        else:
            self._say(made, is_asked=is_asked, now=now)
        for kid in unreadable:
            self.remark(_("None of SIGNING_KEY_SECRETS opens the signing key %(kid)s.") % {"kid": kid})
        if unreadable:
            sys.exit(SOME_FAILED)

    def _say(self, made: Sequence[Turn], *, is_asked: bool, now: datetime) -> None:
        if not is_asked:
            self.remark(_("Nothing was due."))
        elif not made:
            self.remark(_("Another run made the next signing key."))
        for turn in made:
            begins_at = turn.row.signs_from
            if begins_at <= now:
                self.remark(_("The new signing key signs from now on."))
            else:
                self.remark(
                    _("The new signing key is published, and signs from %(time)s on.")
                    % {"time": short_instant(begins_at)}
                )

    def _list(
        self,
        shown: Sequence[Turn],
        *,
        known: Sequence[Turn],
        counts: dict[str, int],
        now: datetime,
        dry_run: bool = False,
        **more: Any,
    ) -> None:
        columns = _columns(known, now=now)
        listing = self.listing(columns, command="rotate_signing_key", dry_run=dry_run)
        for turn in shown:
            listing.add(turn)
        listing.close(counts, **more)


def _is_asked(known: Sequence[Turn], *, options: dict[str, Any], now: datetime) -> bool:
    """Whether a key is to be made, by the clock or by *options*."""
    if options["force"] or options["compromised"]:
        return True
    return not given_keys() and is_due(known, now=now)


def _require_stored(kids: Collection[str]) -> None:
    """
    Return if all of *kids* are in the database.

    Raises:
        RefusedError: If not. A mistyped name must not look like a key that was withdrawn.
    """
    if unknown := sorted(set(kids).difference(stored_keys().values_list("kid", flat=True))):
        message = _("The database has no signing key %(kid)s. Those of SIGNING_KEYS are withdrawn by taking them out.")
        raise RefusedError(message % {"kid": ", ".join(unknown)}, code="signing_key_unknown", returncode=WRONG_USE)


def _require_readable(known: Sequence[Turn], *, now: datetime) -> None:
    """
    Return if the key that signs can be read here.

    Raises:
        RefusedError: If not. The secrets of this machine may be the wrong ones, and a key that the site can't read
            would stop it.
    """
    turn = turn_at(known, now=now)
    if turn is not None and not rotation.is_readable(turn.row):
        message = _(
            "None of SIGNING_KEY_SECRETS opens the key that signs, %(kid)s. If its secret is lost, make another key "
            "with --force: it signs at once."
        )
        raise RefusedError(message % {"kid": turn.row.kid}, code="signing_key_unreadable")


def _columns(known: Sequence[Turn], *, now: datetime) -> list[Column[Turn]]:
    signer = None if given_keys() else turn_at(known, now=now)

    def state(turn: Turn) -> str:
        if turn is signer:
            return "signing"
        if turn.signs_until is None or now < turn.signs_until:
            return "waiting"
        return "retiring" if turn.is_published(now=now) else "unneeded"

    words = {
        "signing": _("signs"),
        "waiting": _("published, does not sign yet"),
        "retiring": _("published, signs no more"),
        "unneeded": _("no longer needed"),
    }
    return [
        Column(member="kid", heading=_("KEY"), value=lambda turn: turn.row.kid),
        Column(member="algorithm", heading=_("ALGORITHM"), value=lambda turn: turn.row.algorithm, rank=20),
        Column(member="state", heading=_("STATE"), value=state, text=lambda turn: words[state(turn)], is_long=True),
        Column(
            member="signs_from",
            heading=_("SIGNS FROM"),
            value=lambda turn: iso(turn.row.signs_from),
            text=lambda turn: short_instant(turn.row.signs_from),
            rank=60,
        ),
        Column(
            member="signs_until",
            heading=_("UNTIL"),
            value=lambda turn: iso(turn.signs_until),
            text=lambda turn: "–" if turn.signs_until is None else short_instant(turn.signs_until),
            rank=50,
        ),
        Column(
            member="published_until",
            heading=_("PUBLISHED UNTIL"),
            value=lambda turn: iso(turn.published_until),
            text=lambda turn: "–" if turn.published_until is None else short_instant(turn.published_until),
            rank=40,
        ),
    ]
