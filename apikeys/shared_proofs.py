"""
What any process has proven, in the project's cache, so that a new process runs no Argon2 for keys that are in use.

The cache is not believed. Name and value of an entry are the halves of one MAC over verifier and plaintext, under a
key derived from ``SECRET_KEY``: who writes to the cache can neither make up an entry nor pass one off as another's, and
who reads it learns nothing. A cache that fails, is emptied or was filled under another ``SECRET_KEY`` makes requests
slower and refuses none.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.signals import setting_changed
from django.utils.encoding import force_bytes

from .conf import settings
from .core.breaker import Breaker

logger = logging.getLogger("apikeys.auth")

#: The first two share nothing among processes; the others are no quicker than what they would save, or write rows
#: in the middle of a request.
_UNSUITABLE = (LocMemCache, DummyCache, DatabaseCache, FileBasedCache)
_LABEL = b"apikeys.shared_proofs"
#: Nothing here goes stale; what keys left that are no longer in use goes some day. Longer than most projects wait
#: between two deployments, which is when it is needed.
_KEPT_SECONDS = 7 * 24 * 60 * 60
#: A cache that failed is left alone so long, or each new key would wait for its time-out.
_PAUSE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the cache holds of a secret that matches a verifier."""

    name: str
    value: str = field(repr=False)


def entry_for(secret: str, *, verifier: str) -> Entry:
    """Return the entry that stands for "*secret* matches *verifier*"."""
    stored = verifier.encode()
    # The length prefix keeps two pairs with the same joined text apart.
    message = len(stored).to_bytes(4, "big") + stored + secret.encode()
    derived = hmac.digest(force_bytes(django_settings.SECRET_KEY), _LABEL, "sha512")
    mac = hmac.digest(derived, message, "sha512").hex()
    # Text, because a project's serializer may know no bytes.
    return Entry(name=f"apikeys:proof:{mac[:64]}", value=mac[64:])


def has(entry: Entry) -> bool:
    """Whether some process shared *entry*. False as well where the cache can't be asked."""
    found = _reading.answer(lambda cache: cache.get(entry.name))
    return isinstance(found, str) and hmac.compare_digest(found.encode(errors="replace"), entry.value.encode())


def add(entry: Entry) -> None:
    """Share *entry*, which Argon2 has just proven."""
    # Who could not read would wait for a second time-out, to be told the same.
    if not _reading.is_down:
        _writing.answer(lambda cache: cache.set(entry.name, entry.value, _KEPT_SECONDS))


class _Line(Breaker):
    """One way to the cache."""

    def __init__(self, purpose: str) -> None:
        super().__init__(pause_seconds=_PAUSE_SECONDS)
        self.purpose = purpose

    def answer(self, question: Callable[[BaseCache], Any]) -> Any:
        """Return the answer to *question*; None where there is no cache to share in, or it fails, or failed lately."""

        def asked() -> Any:
            cache = _shared_cache()
            return None if cache is None else question(cache)

        try:
            return self.ask(asked)
        except Exception:  # noqa: BLE001  # each backend raises errors of its own, which have no common root
            return None

    def went_down(self, error: Exception) -> None:
        # Not the error's own text, which may quote an address with its password.
        logger.warning(
            "The cache %r can't be %s (%s): proven keys are not shared, and Argon2 runs for each key that is new "
            "to a process. It is asked again every %d seconds.",
            settings.CACHE,
            self.purpose,
            type(error).__name__,
            self.pause_seconds,
        )

    def came_back(self) -> None:
        logger.info("The cache %r can be %s again.", settings.CACHE, self.purpose)


# Apart, because a full or read-only server answers the one and refuses the other.
_reading, _writing = _Line("read"), _Line("written")


def _shared_cache() -> BaseCache | None:
    if settings.CACHE is None:
        return None
    cache = caches[settings.CACHE]
    return None if isinstance(cache, _UNSUITABLE) else cache


def _forget(*, setting: str, **kwargs: object) -> None:
    # Other servers may be meant from now on.
    if setting == "CACHES":
        _reading.reset()
        _writing.reset()


setting_changed.connect(_forget, dispatch_uid="apikeys.shared_proofs")
