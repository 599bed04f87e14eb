"""
Values of any kind with the keys inside of them masked.

What holds no key comes back as it is. What holds one comes back as a copy; the caller's own objects never change.
Objects of foreign classes are read by ``str`` and ``repr``, which is how they get into a log, and as dataclasses,
exceptions and requests also by their parts.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.datastructures import CaseInsensitiveMapping, MultiValueDict
from django.utils.functional import LazyObject, empty

from .exceptions import Parts, shows_key, stand_in
from .texts import mask_bytes, mask_text

#: Deeper values become the text that they are logged as.
_MOST_LEVELS = 32
_STR_BY_REPR: Any = object.__str__
#: What stands for a value inside of itself.
_AGAIN = "…"
#: What holds no text.
HARMLESS = frozenset(
    {
        bool,
        complex,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        decimal.Decimal,
        float,
        int,
        type(None),
    }
)


def mask_keys(value: Any) -> Any:
    """Return *value* with each key in it masked, at any depth; *value* itself where there is none."""
    return Masking().of(value)


class MaskedObject:
    """
    Stands for an object that holds a key. What is read of it, as text or as an attribute, is masked.

    A request is always read in this way, and what was not loaded yet: nobody can tell what they hold before they are
    read.
    """

    __slots__ = ("_masked_object",)

    def __init__(self, value: Any) -> None:
        self._masked_object = value

    @property  # type: ignore[misc]  # as Django's lazy objects: for ``isinstance`` it is what it stands for
    def __class__(self) -> type:
        return type(self._masked_object)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._masked_object, name)
        if not callable(found):
            return mask_keys(found)
        return lambda *args, **kwargs: mask_keys(found(*args, **kwargs))

    def __iter__(self) -> Iterator[Any]:
        return iter(mask_keys(list(self._masked_object)))

    def __bool__(self) -> bool:
        return bool(self._masked_object)

    def __str__(self) -> str:
        return mask_text(str(self._masked_object))

    def __repr__(self) -> str:
        return mask_text(repr(self._masked_object))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        # Handlers that send records to other processes pickle them.
        return str, (str(self),)


class Masking:
    """One walk through values, which finds its way out of circles. *reads_str* is whether they are shown by ``str``."""

    def __init__(self, *, reads_str: bool = True) -> None:
        self._reads_str = reads_str
        #: By identity; the values are kept, because the identity of what is gone can come again.
        self._seen: dict[int, tuple[Any, Any]] = {}

    def of(self, value: Any, *, level: int = 0) -> Any:
        """Return *value* without keys."""
        # Always by the type: isinstance() would have a lazy object load what it stands for.
        kind = type(value)
        if kind in HARMLESS:
            return value
        if kind is str:
            return mask_text(value)
        if _is_unread(value, kind):
            return MaskedObject(value)
        seen = self._seen.get(id(value))
        if seen is not None:
            return seen[1]
        self._seen[id(value)] = (value, _AGAIN)
        try:
            masked = self._parts(value, kind, level=level)
        except Exception as error:  # noqa: BLE001  # what foreign classes raise when they are read is not known
            masked = f"<{kind.__name__} that can't be shown: {type(error).__name__}>"
        self._seen[id(value)] = (value, masked)
        return masked

    def _parts(self, value: Any, kind: type, *, level: int) -> Any:
        if level == _MOST_LEVELS:
            return self._last(value) if issubclass(kind, BaseException) else self._text(value, kind)
        masked = self._of_known_kind(value, kind, level=level + 1)
        # Also where the parts are clean: a class of its own shows itself in its own way.
        return masked if masked is not value or kind in _BUILT_IN else self._text(value, kind)

    def _of_known_kind(self, value: Any, kind: type, *, level: int) -> Any:
        for known, mask in _KINDS:
            if issubclass(kind, known):
                return mask(self, value, kind, level)
        return self._dataclass(value, level) if hasattr(kind, "__dataclass_fields__") else value

    def _text(self, value: Any, kind: type) -> Any:
        shown = repr(value)
        text = shown if not self._reads_str or kind.__str__ is _STR_BY_REPR else str(value)
        masked, masked_shown = mask_text(text), mask_text(shown)
        return value if (masked, masked_shown) == (text, shown) else MaskedObject(value)

    def _str(self, value: str, kind: type, level: int) -> Any:
        text = str.__str__(value)
        masked = mask_text(text)
        return value if masked == text else masked

    def _bytes(self, value: Any, kind: type, level: int) -> Any:
        data = bytes(value)
        masked = mask_bytes(data)
        return value if masked == data else masked

    def _dict(self, value: dict[Any, Any], kind: type, level: int) -> Any:
        # Its own items(): that of a MultiValueDict leaves out all but the last.
        masked = self._pairs(dict.items(value), level)
        if masked is None:
            return value
        return MultiValueDict(masked) if issubclass(kind, MultiValueDict) else masked

    def _mapping(self, value: Mapping[Any, Any], kind: type, level: int) -> Any:
        masked = self._pairs(value.items(), level)
        if masked is None:
            return value
        return CaseInsensitiveMapping(masked) if issubclass(kind, CaseInsensitiveMapping) else masked

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], level: int) -> dict[Any, Any] | None:
        masked, is_changed = {}, False
        for name, item in list(pairs):
            masked_name, masked_item = self.of(name, level=level), self.of(item, level=level)
            is_changed = is_changed or masked_name is not name or masked_item is not item
            masked[masked_name] = masked_item
        return masked if is_changed else None

    def _items(self, value: Any, kind: type, level: int) -> Any:
        items = list(value)
        masked = [self.of(item, level=level) for item in items]
        if all(map(operator.is_, masked, items)):
            return value
        if issubclass(kind, tuple):
            # A named one keeps its names.
            return tuple.__new__(kind, masked)
        return next(built_in for built_in in (list, set, frozenset, deque) if issubclass(kind, built_in))(masked)

    def _dataclass(self, value: Any, level: int) -> Any:
        changed = {}
        for field in dataclasses.fields(value):
            found = getattr(value, field.name, None)
            masked = self.of(found, level=level)
            if masked is not found:
                changed[field.name] = masked
        if not changed:
            return value
        twin = copy.copy(value)
        for name, masked in changed.items():
            object.__setattr__(twin, name, masked)
        return self._text(twin, type(twin))

    def _request(self, value: HttpRequest, kind: type, level: int) -> Any:
        return MaskedObject(value)

    def _exception(self, value: BaseException, kind: type, level: int) -> Any:
        members = value.exceptions if isinstance(value, BaseExceptionGroup) else ()
        parts = Parts(
            text=str(value),
            shown=repr(value),
            args=value.args,
            attributes=vars(value),
            cause=value.__cause__,
            context=value.__context__,
            members=members,
            traceback=value.__traceback__,
        )
        masked = Parts(
            text=mask_text(parts.text),
            shown=mask_text(parts.shown),
            args=self.of(parts.args, level=level),
            attributes=self.of(parts.attributes, level=level),
            cause=self.of(parts.cause, level=level),
            context=self.of(parts.context, level=level),
            members=self.of(members, level=level),
            traceback=None if shows_key(parts.traceback) else parts.traceback,
        )
        return value if masked.are(parts) else stand_in(value, masked)

    def _last(self, value: BaseException) -> BaseException:
        # Without its causes: no text of its own shows them, and whoever prints it prints them all.
        parts = Parts(
            text=mask_text(str(value)),
            shown=mask_text(repr(value)),
            args=(),
            attributes={},
            cause=None,
            context=None,
            members=(),
            traceback=None if shows_key(value.__traceback__) else value.__traceback__,
        )
        return stand_in(value, parts)


def _is_unread(value: Any, kind: type) -> bool:
    """Whether to read *value* would run a query, for a record that may never show it."""
    if issubclass(kind, LazyObject):
        return value._wrapped is empty  # noqa: SLF001  # nothing else tells, and reading it loads nothing
    return issubclass(kind, QuerySet) and value._result_cache is None  # noqa: SLF001


#: These show nothing but their parts.
_BUILT_IN = frozenset({bytearray, bytes, deque, dict, frozenset, list, memoryview, set, str, tuple})
_KINDS: tuple[tuple[Any, Callable[[Masking, Any, type, int], Any]], ...] = (
    (str, Masking._str),  # noqa: SLF001  # its own, by kind
    ((bytes, bytearray, memoryview), Masking._bytes),  # noqa: SLF001
    (dict, Masking._dict),  # noqa: SLF001
    ((list, tuple, set, frozenset, deque), Masking._items),  # noqa: SLF001
    (HttpRequest, Masking._request),
    (BaseException, Masking._exception),  # noqa: SLF001
    (Mapping, Masking._mapping),  # noqa: SLF001
)
