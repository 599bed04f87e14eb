"""What the commands share: options, exit codes, errors as JSON, questions, remarks."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError
from django.core.management.color import no_style
from django.utils.translation import gettext as _

from ..conf import settings
from ..core import errors, keyformat
from .durations import positive_number
from .output import Column, Listing, Table, TabSeparated, encodable, json_listing, printable

Row = TypeVar("Row")

FAILED = 1
WRONG_USE = 2
SOME_FAILED = 3
DUE = 4
INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 done, also when nothing was due; 1 failed; 2 wrong use; 3 some keys failed, each listed; "
    "4 --check found keys that are due; 130 interrupted."
)
#: Refusals of what was asked for; all others are of the state that things are in.
_WRONG_USE = (
    errors.ScopeError,
    errors.LifetimeRefusedError,
    errors.OverlapRefusedError,
    errors.NameRefusedError,
    errors.NetworkSyntaxError,
    errors.RateSyntaxError,
    errors.TooManyLimitsError,
    errors.ClaimRefusedError,
)


class RefusedError(CommandError):
    """A command did not do what it was asked. The text never holds a key, whatever was typed."""

    def __init__(self, message: str, *, code: str, returncode: int = FAILED) -> None:
        super().__init__(_sayable(message), returncode=returncode)
        self.code = code


class KeyCommand(BaseCommand):
    """A command about keys, with the output rules and exit codes that all of them keep."""

    _called_from_command_line: bool
    #: Whether it changes anything, and so has ``--dry-run``.
    changes = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = EXIT_CODES
        if self.changes:
            parser.add_argument("--dry-run", action="store_true", help="Show what would be done and change nothing.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print one JSON object to stdout.")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = partial(self._refuse_arguments, parser)  # type: ignore[method-assign]  # has no other hook
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        # Known before the arguments are parsed: an error of theirs is printed as JSON too.
        self._is_json = "--json" in argv
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        if os.environ.get("NO_COLOR") and not options.get("force_color"):
            options["no_color"] = True
        self._is_json = options.get("as_json", False)
        self._verbosity = options.get("verbosity", 1)
        self._is_colour_forced = options.get("force_color", False)
        try:
            return super().execute(*args, **options)
        except errors.APIKeysError as error:
            returncode = WRONG_USE if isinstance(error, _WRONG_USE) else FAILED
            self._fail(str(error), code=error.code, returncode=returncode, cause=error)
        except SystemCheckError as error:
            self._print_error(str(error), code="system_check")
            raise
        except CommandError as error:
            code = getattr(error, "code", "failed")
            self._fail(str(error), code=code, returncode=error.returncode, cause=error)
        except KeyboardInterrupt as error:
            self._fail(_("Interrupted."), code="interrupted", returncode=INTERRUPTED, cause=error)
        except BrokenPipeError:
            # Such as `list_keys | head`: nobody reads on, and Python's own last flush would complain once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)

    @property
    def to_terminal(self) -> bool:
        """Whether stdout is read by a person."""
        return self.stdout.isatty()

    @property
    def table_style(self) -> Any:
        """``self.style``, without colour where stdout is not a terminal."""
        return self.style if self.to_terminal or self._is_colour_forced else no_style()

    def listing(
        self,
        columns: Sequence[Column[Row]],
        *,
        command: str,
        dry_run: bool = False,
        limit: int | None = None,
        more: Sequence[str] = (),
    ) -> Listing[Row]:
        """Return where rows go: JSON, a table for a person, or tab-separated lines, which have *more* at their end."""
        if self._is_json:
            return json_listing(columns, self.stdout, command=command, dry_run=dry_run, limit=limit)
        if self.to_terminal:
            return Table(columns, self.stdout, style=self.table_style)
        return TabSeparated(columns, self.stdout, more=more, is_quiet=not self._verbosity)

    def remark(self, text: str) -> None:
        """Write the one line *text* to stderr, uncoloured; ``--verbosity 0`` wants none."""
        if self._verbosity:
            self.stderr.write(encodable(_sayable(text), self.stderr), _unchanged)

    def confirm(self, question: str) -> None:
        """
        Return if the person at the terminal says yes to *question*.

        Raises:
            RefusedError: If not.
        """
        self.stderr.write(encodable(f"{_sayable(question)} [y/N] ", self.stderr), _unchanged, ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise RefusedError(_("Nothing was changed."), code="declined")

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer a question."""
        return sys.stdin is not None and sys.stdin.isatty() and self.to_terminal

    def _refuse_arguments(self, parser: ArgumentParser, message: str) -> NoReturn:
        message = _sayable(message)
        if not self._called_from_command_line:
            raise CommandError(message, returncode=WRONG_USE)
        self._print_error(message, code="wrong_use")
        parser.print_usage(sys.stderr)
        parser.exit(WRONG_USE, f"{parser.prog}: {message}\n")

    def _fail(self, text: str, *, code: str, returncode: int, cause: BaseException) -> NoReturn:
        text = _sayable(text)
        self._print_error(text, code=code)
        # Django prints the name of the class.
        raise CommandError(text, returncode=returncode) from (None if isinstance(cause, CommandError) else cause)

    def _print_error(self, text: str, *, code: str) -> None:
        if self._is_json:
            self.stdout.write(json.dumps({"error": {"code": code, "detail": text}}))


def limit_argument(parser: CommandParser) -> None:
    """Add ``--limit`` to *parser*."""
    parser.add_argument("--limit", type=positive_number, metavar="N", help="Take at most N keys.")


def without_keys(text: str) -> str:
    """Return *text* with every whole key in it masked: people paste them into the wrong option."""
    return keyformat.key_pattern(settings.PREFIX).sub(_masked, text)


def _sayable(text: str) -> str:
    return printable(without_keys(text))


def _masked(match: re.Match[str]) -> str:
    mode, key_id = match[0].split("_")[1:3]
    return keyformat.mask(prefix=settings.PREFIX, mode=mode, key_id=key_id)


def _unchanged(text: str) -> str:
    return text
