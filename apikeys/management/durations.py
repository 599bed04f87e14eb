"""Lengths of time as people type them: ``90m``, ``24h``, ``14d``, ``2w``."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Literal

from django.utils.translation import gettext as _

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: Far beyond every use, and near enough that adding it to a date stays within the calendar.
_LONGEST = timedelta(days=36_500)
Never = Literal["never"]
FirstUse = Literal["first-use"]


def duration(text: str) -> timedelta:
    """
    Return the length that *text* names.

    Raises:
        ArgumentTypeError: If it names none, or more than a hundred years.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ArgumentTypeError(_("“%(text)s” is not a length of time. Write 90m, 24h, 14d or 2w.") % {"text": text})
    number, unit = match.groups()
    # Compared as a number first: timedelta() itself overflows.
    if int(number) > _LONGEST / timedelta(**{_UNITS[unit]: 1}):
        raise ArgumentTypeError(_("“%(text)s” is longer than a hundred years.") % {"text": text})
    return timedelta(**{_UNITS[unit]: int(number)})


def lifetime(text: str) -> timedelta | Never:
    """Return the length that *text* names, or ``"never"``; raises as ``duration``."""
    return "never" if text.strip().lower() == "never" else duration(text)


def overlap(text: str) -> timedelta | FirstUse:
    """Return the length that *text* names, or ``"first-use"``; raises as ``duration``."""
    return "first-use" if text.strip().lower() == "first-use" else duration(text)


def positive_number(text: str) -> int:
    """
    Return the whole number above zero that *text* names.

    Raises:
        ArgumentTypeError: If it names none.
    """
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ArgumentTypeError(_("“%(text)s” is not a whole number above zero.") % {"text": text})
    return int(text)
