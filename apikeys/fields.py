"""Columns for a set of words, such as scopes and networks, and for claims."""

from __future__ import annotations

import json
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models

from .core.claims import Values

if TYPE_CHECKING:
    # In Python it is a list, whatever the stubs know of text.
    class _TextField(models.TextField[Any, Any]):
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

else:
    _TextField = models.TextField


class WordListField(_TextField):
    """
    A list of words in Python, one text with spaces between them in the database (as ``scope`` is on the wire).

    None is NULL, an empty list is an empty text: not restricted and nothing allowed are different things.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> list[str] | None:
        return None if value is None else value.split()

    def to_python(self, value: Any) -> list[str] | None:
        if value is None:
            return None
        return value.split() if isinstance(value, str) else list(value)

    def get_prep_value(self, value: Any) -> str | None:
        words = self.to_python(value)
        if words is None:
            return None
        return " ".join(dict.fromkeys(map(_word, words)))

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """Return the words of *text*, as the column holds them."""
    return tuple(text.split())


class ClaimsField(_TextField):
    """
    A dict of JSON in Python, its compact text in the database; no claims are an empty text.

    No column of the database's own JSON: nothing looks into it there, and the look-up of a key reads it as it is.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> dict[str, Any]:
        return json.loads(value) if value else {}

    def to_python(self, value: Any) -> dict[str, Any]:
        if not value:
            return {}
        return json.loads(value) if isinstance(value, str) else dict(value)

    def get_prep_value(self, value: Any) -> str:
        if not value:
            return ""
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj))


_NO_CLAIMS: Values = MappingProxyType({})


@lru_cache(maxsize=4096)
def claims(text: str) -> Values:
    """Return the claims in *text*, as the column holds them; read-only all through, because they are kept."""
    if not text:
        return _NO_CLAIMS
    read = json.loads(text)
    return MappingProxyType({name: tuple(value) if isinstance(value, list) else value for name, value in read.items()})


def _word(word: object) -> str:
    if not isinstance(word, str) or not word or word.split() != [word]:
        message = f"{word!r} is not a word."
        raise ValidationError(message)
    return word
