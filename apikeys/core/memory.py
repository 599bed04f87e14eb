"""A bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from .forks import after_fork

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedMemory(Generic[K, V]):
    """A mapping that forgets what was asked for longest ago. Safe among threads."""

    def __init__(self) -> None:
        self._items: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()
        #: Whether more than half of the room is taken. Until then nothing is forgotten soon, so that asking keeps no
        #: order and takes no lock: every request asks, and that costs a quarter.
        self._is_crowded = False
        _memories.add(self)

    def get(self, key: K) -> V | None:
        """Return what is remembered of *key*, or None."""
        value = self._items.get(key)
        if value is not None and self._is_crowded:
            # Another thread may have forgotten it meanwhile.
            with self._lock, suppress(KeyError):
                self._items.move_to_end(key)
        return value

    def put(self, key: K, value: V, *, most: int) -> None:
        """Remember *value*, and no more than *most* items."""
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > most:
                self._items.popitem(last=False)
            self._is_crowded = 2 * len(self._items) > most

    def pop(self, key: K) -> None:
        """Forget *key*, if it is remembered."""
        with self._lock:
            self._items.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._items.clear()
            self._is_crowded = False

    def start_anew(self) -> None:
        """Go on in a child of a fork, with all that its parent remembered."""
        # Another thread of the parent may have held it.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)


#: Those of this process.
_memories: WeakSet[BoundedMemory[Any, Any]] = WeakSet()


def _start_anew() -> None:
    for memory in list(_memories):
        memory.start_anew()


after_fork(_start_anew)
