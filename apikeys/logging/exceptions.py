"""Exceptions that stand for those which hold a key."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any

from .texts import mask_text


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an exception is made of."""

    text: str
    shown: str
    args: Any
    attributes: Any
    cause: Any
    context: Any
    #: Of a group.
    members: Any
    traceback: TracebackType | None

    def are(self, others: Parts) -> bool:
        """Whether these are the very same parts as *others*."""
        return (self.text, self.shown) == (others.text, others.shown) and all(
            getattr(self, name) is getattr(others, name)
            for name in ("args", "attributes", "cause", "context", "members", "traceback")
        )


class _Masked:
    """Shows the text that it is given."""

    masked_text = ""
    masked_repr = ""

    def __str__(self) -> str:
        return self.masked_text

    def __repr__(self) -> str:
        return self.masked_repr

    def __reduce__(self) -> tuple[type, tuple[str]]:
        # Its class is nowhere to be found by a process that gets it pickled.
        return Exception, (self.masked_repr,)


def shows_key(traceback_: TracebackType | None) -> bool:
    """Whether a line of source in *traceback_* holds a key. The variables of its frames are not looked at."""
    text = "".join(traceback.format_tb(traceback_))
    return mask_text(text) != text


def stand_in(error: BaseException, parts: Parts) -> BaseException:
    """
    Return an exception that looks like *error* and has *parts*.

    It is of another class with the same name: what the constructor of a foreign class does, and what it keeps in fields
    of C, is not known, and the name is what people and error trackers see.
    """
    kind = type(error)
    members = [member for member in parts.members if isinstance(member, BaseException)]
    found: BaseException
    if members:
        message = mask_text(str(getattr(error, "message", "")))
        found = _named(BaseExceptionGroup, kind.__module__, kind.__qualname__)(message, members)
    else:
        found = _named(Exception, kind.__module__, kind.__qualname__)()
        found.args = parts.args if isinstance(parts.args, tuple) else ()
    if isinstance(parts.attributes, dict):
        vars(found).update(parts.attributes)
    vars(found).update(masked_text=parts.text, masked_repr=parts.shown)
    found.__cause__ = _exception_or_none(parts.cause)
    found.__context__ = _exception_or_none(parts.context)
    found.__suppress_context__ = error.__suppress_context__
    return found.with_traceback(parts.traceback)


def _exception_or_none(value: Any) -> BaseException | None:
    # A text, where it is the exception itself again or could not be read.
    return value if isinstance(value, BaseException) else None


@lru_cache(maxsize=256)
def _named(kind: type[BaseException], module: str, name: str) -> Any:
    return type(name.rpartition(".")[2], (_Masked, kind), {"__module__": module, "__qualname__": name})
