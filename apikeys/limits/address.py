"""Which storage of the ``limits`` library counts the rates: the one in the settings, or the server of a cache."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings as django_settings
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ..conf import settings

INSTALL = 'python -m pip install "path/to/apikeys[limits]"'
MEMORY = "memory://"
_PREFIX = "apikeys"
_REDIS_CLIENTS = ("redis", "valkey")
_DERIVED = {"unix": "redis+unix"}
#: What is about the cache's own pool, and what the setting ``LIMITS_TIMEOUT`` says instead.
_NOT_PASSED_ON = (
    "serializer",
    "pool_class",
    "max_connections",
    "timeout",
    "queue_class",
    "parser_class",
    "socket_timeout",
    "socket_connect_timeout",
    "retry",
    "retry_on_error",
    "retry_on_timeout",
)


class UnsuitableError(ImproperlyConfigured):
    """The rates can't be counted where the settings say."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A storage, and how to reach it."""

    #: As ``limits`` writes it: ``redis://127.0.0.1:6379``. It may hold a password.
    uri: str = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    #: Where it comes from, for people: ``CACHES['default']``.
    source: str

    @property
    def scheme(self) -> str:
        """The kind of storage: ``redis``, ``memcached``, ``memory``."""
        return urlsplit(self.uri).scheme

    @property
    def redis_client(self) -> str | None:
        """The package that talks to it, where it is Redis or Valkey."""
        return next((name for name in _REDIS_CLIENTS if self.scheme.startswith(name)), None)

    @property
    def is_clustered(self) -> bool:
        """Whether it is Redis of several servers."""
        return self.scheme.endswith(("+cluster", "+sentinel"))

    @property
    def is_sentinel(self) -> bool:
        """Whether sentinels know where it is."""
        return self.scheme.endswith("+sentinel")

    @property
    def is_shared(self) -> bool:
        """Whether other processes count there too."""
        return self.scheme != "memory"


def is_library_installed() -> bool:
    """Whether the ``limits`` library is there."""
    return importlib.util.find_spec("limits") is not None


def address() -> Address:
    """
    Return where the rates are counted.

    Raises:
        UnsuitableError: If it can't be told, or rates can't be counted there.
    """
    if settings.LIMITS_STORAGE is not None:
        found = Address(uri=settings.LIMITS_STORAGE, options={}, source="APIKEYS['LIMITS_STORAGE']")
    else:
        found = _of_cache(settings.CACHE or "default")
    if _is_malformed(found):
        # Not from the error, which may quote a part of a password: the one that had to be written as %2F.
        raise UnsuitableError(f"{found.source} is no address that can be read. A / or # in a password is %2F or %23.")
    uri = _without_timeouts(found.uri) if found.redis_client else found.uri
    return Address(uri=uri, options={**found.options, **_time_limits(found)}, source=found.source)


def _is_malformed(found: Address) -> bool:
    try:
        # Of several servers there are several ports, which the library reads in its own way.
        return bool(found.redis_client) and not found.is_clustered and urlsplit(found.uri).port == 0
    except ValueError:
        return True


def _of_cache(alias: str) -> Address:
    source = f"CACHES[{alias!r}]"
    configured = django_settings.CACHES.get(alias)
    if configured is None:
        raise UnsuitableError(f"{source} is not there, so that rates can't be counted in it.")
    backend = _backend(configured, source=source)
    locations = _locations(configured.get("LOCATION", ""))
    prefix = ":".join(filter(None, [configured.get("KEY_PREFIX", ""), _PREFIX]))
    if issubclass(backend, LocMemCache):
        return Address(uri=MEMORY, options={}, source=source)
    if issubclass(backend, BaseMemcachedCache):
        return Address(uri=_memcached(locations), options={"key_prefix": prefix.encode()}, source=source)
    if issubclass(backend, RedisCache):
        options = dict(configured.get("OPTIONS") or {})
        _refuse_sentinel(options.get("pool_class"), source=source)
        return Address(uri=_redis(locations[0]), options={**_passed_on(options), "key_prefix": prefix}, source=source)
    if any(base.__module__.partition(".")[0] == "django_redis" for base in backend.__mro__):
        options = configured.get("OPTIONS") or {}
        for name in ("CLIENT_CLASS", "CONNECTION_POOL_CLASS", "CONNECTION_FACTORY"):
            _refuse_sentinel(options.get(name), source=source)
        found = _passed_on(options.get("CONNECTION_POOL_KWARGS") or {})
        if options.get("PASSWORD"):
            found["password"] = options["PASSWORD"]
        return Address(uri=_redis(locations[0]), options={**found, "key_prefix": prefix}, source=source)
    raise UnsuitableError(
        f"{source} is a {backend.__name__}, in which requests at the same time overwrite each other's counts."
    )


def _passed_on(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _NOT_PASSED_ON}


def _backend(configured: Mapping[str, Any], *, source: str) -> type[BaseCache]:
    try:
        backend: type[BaseCache] = import_string(configured["BACKEND"])
    except Exception as error:
        # A module that is imported may raise anything, and a check has to say so rather than fall over.
        raise UnsuitableError(f"The backend of {source} can't be imported ({type(error).__name__}).") from error
    return backend


def _refuse_sentinel(named: Any, *, source: str) -> None:
    # Its location is not the server that counts.
    if re.search("sentinel|cluster|shard", str(named), re.IGNORECASE):
        raise UnsuitableError(f"{source} finds its servers by {named}, which can't be taken over.")


def _locations(location: Any) -> list[str]:
    # As Django's backends read it: Redis writes to the first.
    return (
        [part for part in re.split("[;,]", location) if part] or [""] if isinstance(location, str) else list(location)
    )


def _redis(location: str) -> str:
    scheme, separator, rest = location.partition("://")
    return f"{_DERIVED.get(scheme, scheme)}{separator}{rest}"


def _memcached(locations: list[str]) -> str:
    first = locations[0].removeprefix("unix:")
    return f"memcached://{first}" if first.startswith("/") else f"memcached://{','.join(locations)}"


def _without_timeouts(uri: str) -> str:
    # redis-py lets the address win over what it is called with.
    server, _, query = uri.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name not in _NOT_PASSED_ON]
    return f"{server}?{urlencode(kept)}" if kept else server


def _time_limits(found: Address) -> dict[str, Any]:
    # Connecting and asking may both wait.
    half = settings.LIMITS_TIMEOUT.total_seconds() / 2
    if found.redis_client:
        return {"socket_timeout": half, "socket_connect_timeout": half}
    if found.scheme == "memcached":
        return {"timeout": half, "connect_timeout": half}
    return {}
