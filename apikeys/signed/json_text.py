"""JSON as it has one meaning only: what two readers could take differently is refused (RFC 8725 section 2.4)."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

#: In seconds since 1970: the first instant of the year 10000, which no datetime can name.
END_OF_TIME: Final = 253_402_300_800

_MOST_DEPTH = 16


def read_object(text: str) -> dict[str, Any]:
    """
    Return the object in *text*.

    Raises:
        ValueError: If it is no JSON object, has a member twice, a number that is none (``NaN``, ``1e999``), a text
            that is not Unicode, or is nested more than 16 deep.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004  # wrong is what was read, not its type
    if text.count("[") + text.count("{") > _MOST_DEPTH:
        _require_shallow(value)
    if "\\u" in text:
        # Half of a surrogate pair passes every reader, and no writer.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _require_shallow(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(_MOST_DEPTH):
        within = (item.values() if isinstance(item, dict) else item for item in level)
        level = [part for items in within for part in items if isinstance(part, dict | list)]
        if not level:
            return
    raise ValueError("nested too deep")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands there twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number too large")
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repetition, parse_float=_finite, parse_constant=_refuse)
