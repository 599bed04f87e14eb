"""Loggers of the tests' own: what they write, as a text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any


class JSONFormatter(logging.Formatter):
    """Writes every attribute of a record, as formatters for log services do."""

    def format(self, record: logging.LogRecord) -> str:
        plain = super().format(record)
        fields = {name: value for name, value in vars(record).items() if name != "exc_info"}
        return json.dumps([plain, jsonable(fields), repr(record.exc_info)], default=repr)


def jsonable(value: Any) -> Any:
    """Return all that *value* is made of."""
    match value:
        case dict():
            return [[jsonable(name), jsonable(item)] for name, item in value.items()]
        case list() | tuple() | set() | frozenset():
            return [jsonable(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return [[field.name, jsonable(getattr(value, field.name))] for field in dataclasses.fields(value)]
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("latin-1")
        case BaseException():
            return [repr(value), str(value), jsonable(value.args), jsonable(vars(value))]
        case _:
            return value if isinstance(value, str | int | float | None) else [str(value), repr(value)]


@contextmanager
def written_by(
    name: str, *filters: logging.Filter, formatter: logging.Formatter | None = None, level: int = logging.DEBUG
) -> Iterator[StringIO]:
    """Collect what the logger *name* writes through a handler with *filters*."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    for each in filters:
        handler.addFilter(each)
    logger = logging.getLogger(name)
    old = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    # The handlers of pytest filter nothing.
    logger.propagate = False
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = old
