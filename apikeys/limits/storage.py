"""
The storage of the ``limits`` library that the processes count in, asked within a time limit.

Where it fails, nothing asks it for a while: a request waits for it once, and most do not.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from ..conf import settings
from ..core.breaker import Breaker, ClosedForNowError
from ..core.forks import after_fork
from . import address as addresses
from . import deadline

if TYPE_CHECKING:
    from limits.storage import Storage

    from .windows import Counter

logger = logging.getLogger("apikeys.auth")

T = TypeVar("T")

#: As long as a request waits for its turn to hash, so that it does not come here a second time and wait again.
PAUSE_SECONDS = 5.0
_LOGGED_EVERY_SECONDS = 60.0
_MOST_CONNECTIONS = 2**31 - 1
#: Their clients wait for half a minute, whatever they are told, and connect when they are made.
_UNBOUNDED = ("mongodb", "mongodb+srv")


class UnansweredError(Exception):
    """The storage did not answer, or not in time; or it did so lately, and was not asked."""


class _Line(Breaker):
    """The way to the storage, which says once a minute that it is closed."""

    def __init__(self) -> None:
        super().__init__(pause_seconds=PAUSE_SECONDS)
        self.log_again_at = 0.0
        self._failed_with = ""
        self._log = threading.Lock()

    def is_failure(self, error: Exception) -> bool:
        return isinstance(error, _faults())

    def failed(self, error: Exception) -> None:
        """Log that there is no answer, unless that was done in the last minute."""
        now = time.monotonic()
        if not isinstance(error, ClosedForNowError):
            self._failed_with = type(error).__name__
        with self._log:
            if now < self.log_again_at:
                return
            self.log_again_at = now + _LOGGED_EVERY_SECONDS
        # Not the error's own text, which may quote an address with its password.
        logger.warning(
            "The storage of the limits does not answer (%s). It is asked again every %d seconds.",
            self._failed_with,
            self.pause_seconds,
            extra={"reason": "limits_unavailable"},
        )

    def came_back(self) -> None:
        logger.info("The storage of the limits answers again.")


_line = _Line()
_build = threading.Lock()
#: Where the rates are counted, once that was asked for, and the storage, once it was built.
_address: addresses.Address | None = None
_storage: Storage | None = None
#: How often it could not be built.
_vain_builds = 0
#: What counts in which storage, kept together: a storage that is built anew needs a new counter.
_counter: tuple[Storage, Counter] | None = None


def ask(question: Callable[[Storage], T]) -> T:
    """
    Return the answer of the storage to *question*.

    Raises:
        UnsuitableError: If no storage can be used.
        UnansweredError: If it fails, or failed lately.
        Exception: Whatever else *question* raises: a fault of ours, or the library's, lets nobody in uncounted.
    """
    where = address()
    try:
        return _line.ask(lambda: _answer(question, where))
    except Exception as error:
        if not _line.is_failure(error):
            # Nothing that could come back. The next request is to fail as this one does.
            _line.reset()
            raise
        _line.failed(error)
        raise UnansweredError from error


def _answer(question: Callable[[Storage], T], where: addresses.Address) -> T:
    # Built before: the first question of a process imports the client.
    found = _built(where)
    with deadline.of(settings.LIMITS_TIMEOUT.total_seconds()):
        return question(found)


def asked(question: Callable[[Storage], T]) -> T | None:
    """Return the answer of the storage to *question*; None where there is no storage, or it fails, or failed lately."""
    try:
        return ask(question)
    except (UnansweredError, addresses.UnsuitableError):
        return None


def counter_in(found: Storage) -> Counter:
    """Return what counts rates in *found*: one for all threads, which it lets into local memory one by one."""
    global _counter  # noqa: PLW0603  # one of the process, like the storage
    kept = _counter
    if kept is None or not _is_of(kept, found):
        from .windows import counter  # noqa: PLC0415  # the library is an extra

        with _build:
            kept = _counter
            if kept is None or not _is_of(kept, found):
                _counter = kept = (found, counter(found, strategy=settings.LIMITS_STRATEGY))
    return kept[1]


def _is_of(kept: tuple[Storage, Counter], found: Storage) -> bool:
    return kept[0] is found and kept[1].strategy == settings.LIMITS_STRATEGY


def address() -> addresses.Address:
    """
    Return where the rates are counted. Kept until the settings change.

    Raises:
        UnsuitableError: If no storage can be used.
    """
    global _address  # noqa: PLW0603  # one of the process, forgotten with the settings
    found = _address
    if found is None:
        found = addresses.address()
        problem = _missing(found)
        if problem is not None:
            raise addresses.UnsuitableError(problem)
        _address = found
    return found


def is_shared() -> bool:
    """Whether there is a storage that other processes count in too. Asks nobody."""
    try:
        return address().is_shared
    except ImproperlyConfigured:
        return False


def forget() -> None:
    """Find and build the storage anew when it is next asked for, as if it had never failed."""
    global _address, _storage  # see above
    with _build:
        left, _address, _storage = _storage, None, None
    _line.reset()
    _line.log_again_at = 0.0
    # Redis' client and Memcached's have it; memory is a dict.
    close = getattr(getattr(left, "storage", None), "close", None)
    if close is not None:
        # It may be closed by its server already, each in its own way of failing.
        with suppress(Exception):
            close()


def _faults() -> tuple[type[Exception], ...]:
    """Return what is raised where the storage does not answer, also while it is built."""
    where = address()
    found: list[Any] = [OSError, ClosedForNowError, deadline.TooSlowError]
    client = where.redis_client
    if client:
        errors = import_module(f"{client}.exceptions")
        # Of a cluster that is not there it is one that is no RedisError.
        found += [getattr(errors, f"{client.title()}{ending}", OSError) for ending in ("Error", "ClusterException")]
    elif where.is_shared and _storage is not None:
        own = _storage.base_exceptions
        found += own if isinstance(own, tuple) else [own]
    return tuple(found)


def _built(where: addresses.Address) -> Storage:
    global _storage, _vain_builds  # noqa: PLW0603  # see above
    if _storage is not None:
        return _storage
    before = _vain_builds
    # Two of local memory would count apart.
    with _build:
        if _storage is None:
            if _vain_builds != before:
                # Who waited for one that could not connect is not to wait for another.
                raise ClosedForNowError
            try:
                _storage = _new(where)
            except Exception as error:
                if _line.is_failure(error):
                    _vain_builds += 1
                raise
        return _storage


def _new(where: addresses.Address) -> Storage:
    from limits.errors import ConfigurationError  # noqa: PLC0415  # the library is an extra
    from limits.storage import storage_from_string  # noqa: PLC0415

    try:
        storage = storage_from_string(where.uri, **_options(where))
    except (ConfigurationError, TypeError, ValueError) as error:
        # What could not come back. Not the error's own text, which may quote an address with its password.
        name = type(error).__name__
    else:
        if where.redis_client:
            deadline.bind(storage)
        return cast("Storage", storage)
    raise addresses.UnsuitableError(f"{where.source} can't be used: the library finds fault with it ({name}).")


def _options(where: addresses.Address) -> dict[str, Any]:
    options = dict(where.options)
    client = where.redis_client
    if client:
        # A full pool would look as if the storage were down, and as many requests at once switch the limits off. No
        # thread has more than one connection.
        options["max_connections"] = _MOST_CONNECTIONS
        # All retry for seconds by themselves.
        never = import_module(f"{client}.backoff").NoBackoff()
        options["retry"] = import_module(f"{client}.retry").Retry(never, 0)
        # The newer one, of which nothing is needed here, takes two more answers of each new connection.
        options.setdefault("protocol", 2)
    if where.is_sentinel:
        # The library has the sentinels asked with time limits of the client's own. And what a replica says of a budget
        # may be old.
        limits = {name: value for name, value in options.items() if name not in {"key_prefix", "max_connections"}}
        options |= {"sentinel_kwargs": limits, "use_replicas": False}
    return options


def _missing(where: addresses.Address) -> str | None:
    if not addresses.is_library_installed():
        return f"Rates need the limits library: {addresses.INSTALL}"
    from limits.storage import SCHEMES  # type: ignore[attr-defined]  # noqa: PLC0415  # all that it was given

    if where.scheme not in SCHEMES or where.scheme.startswith("async+"):
        return f"{where.source} names {where.scheme!r}, which is no storage of the limits library."
    if where.scheme in _UNBOUNDED:
        return f"{where.source} names {where.scheme!r}, for which a request would wait longer than LIMITS_TIMEOUT."
    named = getattr(SCHEMES[where.scheme], "DEPENDENCIES", ())
    needed = [where.redis_client] if where.redis_client else list(named)
    lacking = [name for name in needed if not _is_installed(name)]
    return f"{where.source} needs {lacking[0]}: pip install {lacking[0]}" if lacking else None


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "CACHES"}:
        forget()


def _start_anew() -> None:
    global _line, _build, _storage  # see above
    # What a fork copies is half open: locks of threads that are not there, and sockets that the parent reads as well.
    _line, _build, _storage = _Line(), threading.Lock(), None


after_fork(_start_anew)

setting_changed.connect(_forget, dispatch_uid="apikeys.limits.storage")
