"""Where commands put secrets: a new file that only its owner reads, a sink, or stdout. Never stderr, never a log."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..issuance import IssuedKey
from .key_command import FAILED, WRONG_USE, RefusedError


class Destination(Protocol):
    """Takes secrets away, one by one."""

    #: Where they are afterwards, for people.
    name: str

    def deliver(self, issued: IssuedKey) -> None:
        """
        Put the secret of *issued* where it stays, before this returns.

        Raises:
            RefusedError: If that failed. Nobody has the secret then.
        """

    def close(self) -> None:
        """Finish. A file in which nothing stands is removed."""


class NewFile:
    """
    A file made for the secrets, mode 0600.

    Raises:
        RefusedError: If it exists, or can't be made. It is never overwritten and no link is followed.
    """

    def __init__(self, path: str, *, line_of: Callable[[IssuedKey], str]) -> None:
        self.name = path
        self._line_of = line_of
        self._length = 0
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)  # Windows has no O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        except FileExistsError as error:
            message = _("%(path)s exists and is not overwritten. Name another file.") % {"path": path}
            raise RefusedError(message, code="output_exists", returncode=WRONG_USE) from error
        except (OSError, ValueError) as error:
            message = _("%(path)s can't be made: %(why)s.") % {"path": path, "why": _why(error)}
            raise RefusedError(message, code="output_refused", returncode=WRONG_USE) from error

    @sensitive_variables()
    def deliver(self, issued: IssuedKey) -> None:
        rest = (self._line_of(issued) + "\n").encode()
        length = self._length + len(rest)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._forget_half_a_line()
            message = _("%(path)s can't be written: %(why)s.") % {"path": self.name, "why": _why(error)}
            raise RefusedError(message, code="secret_not_delivered", returncode=FAILED) from error
        self._length = length

    def close(self) -> None:
        os.close(self._descriptor)
        if not self._length:
            Path(self.name).unlink(missing_ok=True)

    def _forget_half_a_line(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._length)
        except OSError:
            # A pipe or a full disk; half a line holds the secret of a key that is withdrawn at once.
            return


class Sink:
    """The function that the setting ``SECRET_SINK`` names."""

    def __init__(self, store: Callable[[IssuedKey], Any]) -> None:
        self.name = "SECRET_SINK"
        self._store = store

    def deliver(self, issued: IssuedKey) -> None:
        try:
            self._store(issued)
        except Exception as error:  # noqa: BLE001
            # Any: it is the project's code. And without its text or traceback, which may quote the secret.
            message = _("SECRET_SINK failed with %(error)s.") % {"error": type(error).__name__}
            raise RefusedError(message, code="secret_not_delivered", returncode=FAILED) from None

    def close(self) -> None:
        """Do nothing: what is stored is stored."""


def choose(
    *, output: str | None, show_secrets: bool, to_terminal: bool, as_json: bool, line_of: Callable[[IssuedKey], str]
) -> Destination | None:
    """
    Return where secrets go; None is stdout.

    Raises:
        RefusedError: If they would go into a pipe or into JSON without anybody's asking for that.
    """
    if output is not None and show_secrets:
        message = _("Use either --output or --show-secrets.")
        raise RefusedError(message, code="wrong_use", returncode=WRONG_USE)
    if output is not None:
        return NewFile(output, line_of=line_of)
    if show_secrets:
        return None
    if (store := _sink()) is not None:
        return Sink(store)
    if as_json and to_terminal:
        message = _("JSON holds no secrets. Use --output FILE, a SECRET_SINK, or --show-secrets.")
        raise RefusedError(message, code="secrets_refused", returncode=WRONG_USE)
    if not to_terminal:
        message = _(
            "Refusing to write secrets to a pipe, where they often end in a log. "
            "Use --output FILE, a SECRET_SINK, or --show-secrets."
        )
        raise RefusedError(message, code="secrets_refused", returncode=WRONG_USE)
    return None


def _sink() -> Callable[[IssuedKey], Any] | None:
    try:
        return settings.SECRET_SINK
    except ImportError as error:
        message = _("SECRET_SINK can't be imported: %(why)s.") % {"why": error}
        raise RefusedError(message, code="sink_missing", returncode=WRONG_USE) from error


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
