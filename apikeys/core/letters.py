"""Letters that people can't see."""

from __future__ import annotations

import unicodedata

#: They join letters of Persian words and parts of emoji. Other invisible characters let one name pass for another.
_JOINERS = frozenset("\u200c\u200d")


def is_unprintable(letter: str) -> bool:
    """Whether *letter* ends a line, moves a cursor, turns the direction of what follows or can't be seen."""
    return letter not in _JOINERS and unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
