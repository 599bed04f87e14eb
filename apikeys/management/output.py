"""
Rows on stdout: an aligned table on a terminal, tab-separated lines in a pipe, or JSON.

Rows are written as they come, so that memory does not grow with their number.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from django.core.management.base import OutputWrapper

from ..core.letters import is_unprintable

SCHEMA = 1
#: With a higher limit, JSON comes as lines.
_MOST_IN_ONE_OBJECT = 10_000
#: A table's columns are as wide as its first rows need; what is longer further down is cut.
_ROWS_THAT_SET_WIDTHS = 200
_GAP = "  "
_FALLBACK_WIDTH = 80
#: What a column with long texts is narrowed to before another column is left out.
_NARROW = 20

Row = TypeVar("Row")
Row_contra = TypeVar("Row_contra", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class Column(Generic[Row]):
    """One column of a table, and one member of the JSON object of a row."""

    #: The name in JSON and in the header of tab-separated lines.
    member: str
    #: The name in a terminal; empty for what is only for machines.
    heading: str = ""
    #: What machines get: text, a number, None or a list of texts.
    value: Callable[[Row], Any]
    #: What people get; by default the same.
    text: Callable[[Row], str] | None = None
    #: Columns with a low rank are left out of a narrow terminal first. None: never.
    rank: int | None = None
    #: Whether long texts may be cut.
    is_long: bool = False
    #: The name of a method of ``self.style``, by row; empty for no colour.
    colour: Callable[[Row], str] | None = None

    def shown(self, row: Row) -> str:
        """Return what people get of *row*."""
        return printable(self.text(row) if self.text is not None else _as_text(self.value(row)))


class Listing(Protocol[Row_contra]):
    """Where the rows of a command go."""

    def add(self, row: Row_contra, **more: Any) -> None:
        """Write *row* now; *more* are members that only this row has."""

    def close(self, counts: Mapping[str, int], **more: Any) -> None:
        """Write what comes after the last row."""


class Table(Generic[Row]):
    """An aligned table, as wide as the terminal at most."""

    def __init__(self, columns: Sequence[Column[Row]], out: OutputWrapper, *, style: Any) -> None:
        self._columns = [column for column in columns if column.heading]
        self._out = out
        self._style = style
        self._held: list[Row] | None = []
        self._widths: list[int] = []

    def add(self, row: Row, **more: Any) -> None:
        if self._held is None:
            self._write(row)
            return
        self._held.append(row)
        if len(self._held) >= _ROWS_THAT_SET_WIDTHS:
            self._start()

    def close(self, counts: Mapping[str, int], **more: Any) -> None:
        if self._held:
            self._start()

    def _start(self) -> None:
        rows, self._held = self._held or [], None
        wanted = [
            max(cell_width(column.heading), *(cell_width(column.shown(row)) for row in rows))
            for column in self._columns
        ]
        self._columns, self._widths = _fitted(self._columns, wanted, width=terminal_width(self._out))
        heading = [_cell(column.heading, width) for column, width in self._with_widths()]
        self._out.write(self._style.MIGRATE_HEADING(_GAP.join(heading).rstrip()))
        for row in rows:
            self._write(row)

    def _write(self, row: Row) -> None:
        cells = []
        for column, width in self._with_widths():
            cell = _cell(column.shown(row), width)
            style = "" if column.colour is None else column.colour(row)
            cells.append(getattr(self._style, style)(cell) if style else cell)
        self._out.write(encodable(_GAP.join(cells).rstrip(), self._out))

    def _with_widths(self) -> list[tuple[Column[Row], int]]:
        return list(zip(self._columns, self._widths, strict=True))


class TabSeparated(Generic[Row]):
    """
    One line for each row under a line with the members' names. No colour, no boxes.

    Where there is no row, that line comes too, unless *is_quiet*: cron mails whatever is written.
    """

    def __init__(
        self, columns: Sequence[Column[Row]], out: OutputWrapper, *, more: Sequence[str] = (), is_quiet: bool = False
    ) -> None:
        self._columns = columns
        self._out = out
        self._more = more
        self._has_header = False
        if not is_quiet:
            self._write_header()

    def add(self, row: Row, **more: Any) -> None:
        if not self._has_header:
            self._write_header()
        cells = [printable(_as_text(column.value(row))) for column in self._columns]
        cells += [printable(_as_text(more.get(name))) for name in self._more]
        self._out.write(encodable("\t".join(cells), self._out))
        self._out.flush()

    def close(self, counts: Mapping[str, int], **more: Any) -> None:
        self._out.flush()

    def _write_header(self) -> None:
        self._has_header = True
        self._out.write("\t".join([*(column.member for column in self._columns), *self._more]))


class JSONObject(Generic[Row]):
    """One object: ``{"schema": 1, "command": …, "dry_run": …, "keys": […], "counts": {…}}``."""

    def __init__(self, columns: Sequence[Column[Row]], out: OutputWrapper, *, command: str, dry_run: bool) -> None:
        self._columns = columns
        self._out = out
        self._lead = json.dumps({"schema": SCHEMA, "command": command, "dry_run": dry_run})[:-1] + ', "keys": ['

    def add(self, row: Row, **more: Any) -> None:
        self._out.write(self._lead, ending="\n")
        self._out.write(json.dumps(_members(self._columns, row) | more), ending="")
        self._out.flush()
        self._lead = ","

    def close(self, counts: Mapping[str, int], **more: Any) -> None:
        if self._lead != ",":
            self._out.write(self._lead, ending="")
        self._out.write("], " + json.dumps({"counts": dict(counts), **more})[1:])


class JSONLines(Generic[Row]):
    """An object for each row, and a last one with the counts."""

    def __init__(self, columns: Sequence[Column[Row]], out: OutputWrapper, *, command: str, dry_run: bool) -> None:
        self._columns = columns
        self._out = out
        self._summary = {"schema": SCHEMA, "command": command, "dry_run": dry_run}

    def add(self, row: Row, **more: Any) -> None:
        self._out.write(json.dumps(_members(self._columns, row) | more))
        self._out.flush()

    def close(self, counts: Mapping[str, int], **more: Any) -> None:
        self._out.write(json.dumps({**self._summary, "counts": dict(counts), **more}))


def json_listing(
    columns: Sequence[Column[Row]], out: OutputWrapper, *, command: str, dry_run: bool, limit: int | None
) -> Listing[Row]:
    """Return where rows go under ``--json``: one object, or lines with a high *limit*."""
    shape = JSONLines if limit is not None and limit > _MOST_IN_ONE_OBJECT else JSONObject
    return shape(columns, out, command=command, dry_run=dry_run)


def iso(instant: datetime | None) -> str | None:
    """Return *instant* as machines read it, in UTC and to the second."""
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def printable(text: str) -> str:
    """Return *text* with nothing in it that could end a line or cell, move the cursor or turn the direction."""
    # Names of users come from anywhere: an escape sequence could rewrite what the operator reads. All that commands
    # write goes through here, except for JSON, which escapes.
    if text.isascii() and text.isprintable():
        # Nearly all, and looking at each letter would be most of the time that a million rows take.
        return text
    return "".join(map(_printable_letter, text))


def cell_width(text: str) -> int:
    """Return how many cells of a terminal *text* takes."""
    return sum(_letter_width(letter) for letter in text)


def terminal_width(out: OutputWrapper) -> int:
    """Return the number of cells in a line of *out*; ``COLUMNS`` wins."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(out.fileno()).columns or _FALLBACK_WIDTH
    except (AttributeError, OSError):
        return _FALLBACK_WIDTH


def encodable(text: str, out: OutputWrapper) -> str:
    """Return *text* with ``?`` for what *out* can't say: a name must not stop a run half-way."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _members(columns: Sequence[Column[Row]], row: Row) -> dict[str, Any]:
    return {column.member: column.value(row) for column in columns}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(value) if isinstance(value, list) else str(value)


def _printable_letter(letter: str) -> str:
    if letter.isspace():
        return " "
    return "\ufffd" if is_unprintable(letter) else letter


def _letter_width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in {"W", "F"} else 1


def _cell(text: str, width: int) -> str:
    if cell_width(text) > width:
        kept, room = [], width - 1
        for letter in text:
            room -= _letter_width(letter)
            if room < 0:
                break
            kept.append(letter)
        text = "".join(kept) + "…"
    return text + " " * (width - cell_width(text))


def _fitted(
    columns: Sequence[Column[Row]], wanted: Sequence[int], *, width: int
) -> tuple[list[Column[Row]], list[int]]:
    # Long texts give way first, then whole columns, the least important one before the others.
    widths = dict(zip(columns, wanted, strict=True))
    _narrow(widths, to=_NARROW, width=width)
    for column in sorted((column for column in columns if column.rank is not None), key=lambda each: each.rank or 0):
        if _line(widths) <= width:
            break
        del widths[column]
    _narrow(widths, to=1, width=width)
    return list(widths), list(widths.values())


def _narrow(widths: dict[Column[Row], int], *, to: int, width: int) -> None:
    while (surplus := _line(widths) - width) > 0:
        column = max((each for each in widths if each.is_long), key=widths.__getitem__, default=None)
        if column is None or widths[column] <= to:
            return
        rivals = sorted((widths[each] for each in widths if each.is_long), reverse=True)
        # The longest one down to the next longest, and so on: they end up alike.
        floor = next((other for other in rivals if other < widths[column]), to)
        widths[column] = max(to, widths[column] - surplus, min(floor, widths[column] - 1))


def _line(widths: Mapping[Any, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)
