"""The filter for handlers."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from .exceptions import shows_key
from .masking import HARMLESS, Masking
from .texts import mask_text

#: What every record has; the rest is ``extra``.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}
#: Masked together, or written by programmers and the interpreter.
_NOT_ALONE = frozenset(
    {"args", "exc_info", "filename", "funcName", "levelname", "module", "msg", "pathname", "processName"}
)


class RedactKeys(logging.Filter):
    """
    Mask every key in a record: its message, arguments, exceptions, stack and ``extra``, at any depth.

    For handlers. A filter of a logger sees only what is logged to that logger, not what its children pass on. No record
    is held back; one that can't be searched is told without its contents.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            _mask(record)
        except Exception as error:  # noqa: BLE001  # foreign objects are read; a record must neither leak nor get lost
            _empty(record, error)
        return True


def _mask(record: logging.LogRecord) -> None:
    # In place, as Python 3.11 needs it; the objects that the record refers to stay as they are.
    masking, fields = Masking(), vars(record)
    for name, value in list(fields.items()):
        if type(value) not in HARMLESS and name not in _NOT_ALONE:
            masked = masking.of(value)
            if masked is not value:
                fields[name] = masked
        if name not in _OWN and (masked_name := mask_text(name)) != name:
            fields[masked_name] = fields.pop(name)
    _mask_message(record, masking)
    if record.exc_info and record.exc_info[1] is not None:
        _mask_exception(record, record.exc_info[1], record.exc_info[2], masking)


def _mask_message(record: logging.LogRecord, masking: Masking) -> None:
    msg, args = record.msg, record.args
    record.args = masking.of(args)
    if masking.of(msg) is msg and not _shows_key(record):
        return
    # Message and arguments become one text: a pattern without its key is another pattern.
    record.args = args
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  # arguments that don't fit, or can't be read
        message = f"{msg} {args}"
    masked = mask_text(message)
    if masked == message:
        # A stray percent sign took the first letter of the key for its own: what is left is no key, and tells it.
        masked = mask_text(f"{msg} {args}")
    record.msg, record.args = masked, ()


def _shows_key(record: logging.LogRecord) -> bool:
    """Whether message and arguments, clean as they are, make a key together."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  # as above; the handler says so, and shows what is clean
        return False
    return mask_text(message) != message


def _mask_exception(record: logging.LogRecord, error: BaseException, frames: Any, masking: Masking) -> None:
    masked = masking.of(error)
    if not isinstance(masked, BaseException):
        raise TypeError(masked)
    shown = frames
    if shows_key(frames):
        # The lines of source come with the frames: without both, but as a text that formatters take if there is one.
        shown = None
        record.exc_text = record.exc_text or mask_text("".join(traceback.format_exception(error)).rstrip("\n"))
    if masked is not error or shown is not frames:
        record.exc_info = (type(masked), masked, shown)


def _empty(record: logging.LogRecord, error: Exception) -> None:
    fields = vars(record)
    for name in list(fields):
        if name not in _OWN:
            del fields[name]
    record.msg = f"A record was withheld, because it could not be searched for keys: {type(error).__name__}"
    record.args = ()
    record.exc_info = record.exc_text = record.stack_info = None
    fields.pop("message", None)
