"""A cache that stands for one which all processes reach, and that can be cut off."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from django.core.cache.backends.base import BaseCache

from apikeys import remembered

from .request_path import whoami


class CutOffError(Exception):
    """An error of this backend alone: they have no common root."""


class SharedCache(BaseCache):
    """Keeps its entries in the process, but is no local memory cache."""

    entries: ClassVar[dict[str, Any]] = {}
    timeouts: ClassVar[list[Any]] = []
    calls: ClassVar[list[str]] = []
    cut_off: ClassVar[set[str]] = set()
    #: Closed, whoever reads stays until it opens.
    gate: ClassVar[threading.Event] = threading.Event()
    entered: ClassVar[threading.Event] = threading.Event()

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    @classmethod
    def start(cls) -> None:
        for collected in (cls.entries, cls.timeouts, cls.calls, cls.cut_off):
            collected.clear()
        cls.gate.set()
        cls.entered.clear()

    def get(self, key, default=None, version=None):
        self._call("get")
        self.entered.set()
        assert self.gate.wait(timeout=60)
        return self.entries.get(key, default)

    def set(self, key, value, timeout=None, version=None):
        self._call("set")
        self.timeouts.append(timeout)
        self.entries[key] = value

    def clear(self):
        self.entries.clear()

    def _call(self, name):
        self.calls.append(name)
        if name in self.cut_off:
            raise CutOffError("redis://user:password@cache.internal is gone")


def use_fake_cache(settings: Any) -> type[SharedCache]:
    SharedCache.start()
    settings.CACHES = {"default": {"BACKEND": "tests.shared_cache.SharedCache"}}
    return SharedCache


def as_new_process(key: Any) -> Any:
    """Send *key* to a process that remembers nothing."""
    remembered.forget_all()
    return whoami(key)
