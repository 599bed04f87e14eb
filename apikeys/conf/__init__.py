"""
The settings: one dict, ``APIKEYS``, read when used.

``conf.settings.MODE`` is read on first use and forgotten on ``setting_changed``, so ``override_settings`` works
everywhere. Half a dozen are asked for on each request, which is why they are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.utils.module_loading import import_string

from ..core.schemes import Scheme
from ..core.verifiers import Hasher, Verifier, preferred_hasher
from .authority import AuthoritySettings
from .reading import DEFAULTS as DEFAULTS
from .reading import given, imported, read
from .server import ServerSettings


class Settings(AuthoritySettings, ServerSettings):
    """Today's ``APIKEYS``, one typed property each, with safe defaults."""

    def __getattr__(self, name: str) -> Any:
        message = f"There is no setting APIKEYS[{name!r}]."
        raise AttributeError(message)

    @staticmethod
    def given() -> Mapping[str, Any]:
        """Return the dict as the project wrote it; empty where it wrote none."""
        return given()

    @cached_property
    def PREFIX(self) -> str:
        """What every key starts with: 1 to 16 letters and digits."""
        return str(read("PREFIX"))

    @cached_property
    def MODE(self) -> str:
        """``"live"`` or ``"test"``: the only keys that this deployment issues and takes."""
        return str(read("MODE"))

    @cached_property
    def SCOPES(self) -> Mapping[str, Any]:
        """The project's scopes; each app's ``api_scopes.py`` adds to them."""
        return cast("Mapping[str, Any]", read("SCOPES"))

    @cached_property
    def REQUIRE_DECLARED_SCOPES(self) -> bool:
        """Whether views that declare nothing refuse keys."""
        return bool(read("REQUIRE_DECLARED_SCOPES"))

    @cached_property
    def REQUIRE_HTTPS(self) -> bool:
        """Whether keys are refused over plain HTTP; free under ``DEBUG`` unless set."""
        given = self.given()
        return bool(given["REQUIRE_HTTPS"]) if "REQUIRE_HTTPS" in given else not django_settings.DEBUG

    @cached_property
    def TRUSTED_PROXIES(self) -> tuple[str, ...]:
        """Networks, or ``"unix"`` for a socket, whose forwarded address and protocol count."""
        return tuple(read("TRUSTED_PROXIES"))

    @cached_property
    def CREDENTIAL_SOURCES(self) -> tuple[str, ...]:
        """Where a key may stand: any of ``bearer``, ``api-key``, ``x-api-key``."""
        return tuple(read("CREDENTIAL_SOURCES"))

    @cached_property
    def REMEMBERED_PROOFS(self) -> int:
        """How many proven keys a process remembers: about 650 bytes each, 1.5 KB with ``MAX_STALENESS``."""
        return int(read("REMEMBERED_PROOFS"))

    @cached_property
    def HASHES_PER_KEY_PER_MINUTE(self) -> int:
        """How many slow hashes one key id may cost a process in a minute; and all that share a storage, wrong ones."""
        return int(read("HASHES_PER_KEY_PER_MINUTE"))

    @cached_property
    def CONCURRENT_HASHES(self) -> int:
        """How many slow hashes run at a time in a process, or on a host with a shared storage: None is its cores."""
        given = read("CONCURRENT_HASHES")
        return _cores() if given is None else int(given)

    @cached_property
    def MAX_STALENESS(self) -> timedelta:
        """How long a process may go on with what it read of a key; zero reads it on every request."""
        return cast("timedelta", read("MAX_STALENESS"))

    @cached_property
    def READ_REPLICA(self) -> bool:
        """Whether keys are looked up where ``db_for_read`` says, which may lag behind a revocation."""
        return bool(read("READ_REPLICA"))

    @cached_property
    def CACHE(self) -> str | None:
        """The name in ``CACHES`` where processes share what Argon2 has proven; None for nowhere."""
        return cast("str | None", read("CACHE"))

    @cached_property
    def DEFAULT_LIFETIME(self) -> timedelta:
        """How long a key lives unless its issuer says otherwise."""
        return cast("timedelta", read("DEFAULT_LIFETIME"))

    @cached_property
    def MAX_LIFETIME(self) -> timedelta:
        """How long a key may live at most; a client can have less."""
        return cast("timedelta", read("MAX_LIFETIME"))

    @cached_property
    def ALLOW_NO_EXPIRY(self) -> bool:
        """Whether keys without an end may be issued."""
        return bool(read("ALLOW_NO_EXPIRY"))

    @cached_property
    def DEFAULT_OVERLAP(self) -> timedelta:
        """How long a rotated key works beside its replacement."""
        return cast("timedelta", read("DEFAULT_OVERLAP"))

    @cached_property
    def MAX_OVERLAP(self) -> timedelta:
        """The longest overlap that may be asked for."""
        return cast("timedelta", read("MAX_OVERLAP"))

    @cached_property
    def MAX_KEYS_PER_OWNER(self) -> int:
        """How many working keys, a key and its replacements counted once, a person may hold."""
        return int(read("MAX_KEYS_PER_OWNER"))

    @cached_property
    def RATES(self) -> tuple[str, ...]:
        """The rates of every key, such as ``"600/min"``; a client or a key can have stricter ones."""
        return tuple(read("RATES"))

    @cached_property
    def QUOTAS(self) -> tuple[str, ...]:
        """The quotas of every key, such as ``"100000/month"``; a client or a key can have stricter ones."""
        return tuple(read("QUOTAS"))

    @cached_property
    def LIMIT_SCOPES(self) -> Mapping[str, tuple[str, ...]]:
        """The rates of each key on views that name one of these as ``limit_scope``, besides its other rates."""
        return {name: tuple(rates) for name, rates in read("LIMIT_SCOPES").items()}

    @cached_property
    def LIMITS_STORAGE(self) -> str | None:
        """Where rates are counted, as an address of the ``limits`` library; None takes the server of ``CACHE``."""
        return cast("str | None", read("LIMITS_STORAGE"))

    @cached_property
    def LIMITS_STRATEGY(self) -> str:
        """How rates are counted: ``sliding-window-counter``, ``moving-window`` or ``fixed-window``."""
        return str(read("LIMITS_STRATEGY"))

    @cached_property
    def LIMITS_TIMEOUT(self) -> timedelta:
        """How long a request waits for the storage of the rates at most."""
        return cast("timedelta", read("LIMITS_TIMEOUT"))

    @cached_property
    def LIMITS_FAIL_OPEN(self) -> bool:
        """Whether requests are let in where the storage of the rates does not answer. Quotas hold all the same."""
        return bool(read("LIMITS_FAIL_OPEN"))

    @cached_property
    def QUOTA_BLOCK(self) -> int:
        """How much of a quota a process takes at once; 1 counts exactly, with a write for each request."""
        return int(read("QUOTA_BLOCK"))

    @cached_property
    def RATE_LIMIT_HEADERS(self) -> str:
        """Which header fields tell what is left: ``draft``, ``legacy``, ``both`` or ``off``."""
        return str(read("RATE_LIMIT_HEADERS"))

    @cached_property
    def USAGE_FLUSH_INTERVAL(self) -> timedelta:
        """How long a process keeps counts in memory at most: what ``kill -9`` can lose."""
        return cast("timedelta", read("USAGE_FLUSH_INTERVAL"))

    @cached_property
    def USAGE_FLUSH_ROWS(self) -> int:
        """How many different counts a process keeps in memory before it writes them."""
        return int(read("USAGE_FLUSH_ROWS"))

    @cached_property
    def USAGE_HOURS_KEPT(self) -> timedelta:
        """How long usage is kept by the hour; then by the day."""
        return cast("timedelta", read("USAGE_HOURS_KEPT"))

    @cached_property
    def USAGE_DAYS_KEPT(self) -> timedelta:
        """How long usage is kept by the day; then not at all."""
        return cast("timedelta", read("USAGE_DAYS_KEPT"))

    @cached_property
    def GUESSES_PER_NETWORK_PER_MINUTE(self) -> int:
        """How many unknown keys from one network in a minute leave an event."""
        return int(read("GUESSES_PER_NETWORK_PER_MINUTE"))

    @cached_property
    def NETWORKS_PER_KEY(self) -> int:
        """How many networks are remembered of a key and its replacements."""
        return int(read("NETWORKS_PER_KEY"))

    @cached_property
    def SITE_NAME(self) -> str:
        """What pages for people call this site; empty for the name of the host."""
        return str(read("SITE_NAME"))

    @cached_property
    def SCOPE_REFERENCE(self) -> str:
        """Who may read the page of all scopes: ``signed-in`` people, ``public`` for everybody, ``off`` for nobody."""
        return str(read("SCOPE_REFERENCE"))

    @cached_property
    def CONSENT_LIFETIME(self) -> timedelta:
        """How long a consent to an OAuth client lasts at most; then the person is asked again."""
        return cast("timedelta", read("CONSENT_LIFETIME"))

    @cached_property
    def CONSENT_FRESH_FOR(self) -> timedelta:
        """How long after a consent a client that asks for nothing new gets it without a page. Zero always asks."""
        return cast("timedelta", read("CONSENT_FRESH_FOR"))

    @cached_property
    def ERROR_DOCS_URL(self) -> str:
        """The address of a page about errors; ``#<code>`` is appended. Empty for none."""
        return str(read("ERROR_DOCS_URL"))

    @cached_property
    def REQUEST_ID(self) -> Callable[[HttpRequest], str | None] | None:
        """A function, by dotted path, that returns the id of a request for error bodies."""
        return cast("Callable[[HttpRequest], str | None] | None", imported("REQUEST_ID"))

    @cached_property
    def SECRET_SINK(self) -> Callable[[Any], None] | None:
        """A function, by dotted path, that stores an ``IssuedKey`` where commands make several."""
        return cast("Callable[[Any], None] | None", imported("SECRET_SINK"))

    @cached_property
    def schemes(self) -> tuple[Scheme, ...]:
        """The ``SCHEMES``, built."""
        paths = read("SCHEMES")
        return tuple(import_string(path)(prefix=self.PREFIX, sources=self.CREDENTIAL_SOURCES) for path in paths)

    @cached_property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The ``VERIFIERS``, built with the options in ``ARGON2``."""
        # A partial dict keeps the safe defaults of what it leaves out.
        options = DEFAULTS["ARGON2"] | dict(read("ARGON2"))
        return tuple(import_string(path)(options) for path in read("VERIFIERS"))

    @cached_property
    def hasher(self) -> Hasher:
        """The first hasher of ``VERIFIERS``, which stores new secrets."""
        hasher = preferred_hasher(self.verifiers)
        if hasher is None:
            message = "APIKEYS['VERIFIERS'] names no Hasher, so no key can be stored."
            raise LookupError(message)
        return hasher


settings = Settings()


def _cores() -> int:
    # A container's share, where the system tells it.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _forget(*, setting: str, **kwargs: object) -> None:
    # DEBUG says whether HTTPS is asked for.
    if setting in {"APIKEYS", "DEBUG"}:
        settings.__dict__.clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.conf")
