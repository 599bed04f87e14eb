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

from .core.schemes import SOURCES, Scheme
from .core.verifiers import Hasher, Verifier, preferred_hasher

DEFAULTS: dict[str, Any] = {
    "PREFIX": "ak",
    "MODE": "live",
    "SCOPES": {},
    "REQUIRE_DECLARED_SCOPES": True,
    "REQUIRE_HTTPS": True,
    "TRUSTED_PROXIES": (),
    "CREDENTIAL_SOURCES": SOURCES,
    "SCHEMES": ("apikeys.core.schemes.KeyScheme",),
    "VERIFIERS": ("apikeys.core.verifiers.Argon2idHasher",),
    "ARGON2": {"memory_kib": 19456, "time": 2, "parallelism": 1},
    "REMEMBERED_PROOFS": 50_000,
    "HASHES_PER_KEY_PER_MINUTE": 10,
    "CONCURRENT_HASHES": None,
    "MAX_STALENESS": timedelta(0),
    "READ_REPLICA": False,
    "CACHE": "default",
    "DEFAULT_LIFETIME": timedelta(days=90),
    "MAX_LIFETIME": timedelta(days=365),
    "ALLOW_NO_EXPIRY": False,
    "DEFAULT_OVERLAP": timedelta(hours=24),
    "MAX_OVERLAP": timedelta(days=30),
    "MAX_KEYS_PER_OWNER": 20,
    "SECRET_SINK": None,
    "REQUEST_ID": None,
    "ERROR_DOCS_URL": "",
}


class Settings:
    """Today's ``APIKEYS``, one typed property each, with safe defaults."""

    def __getattr__(self, name: str) -> Any:
        message = f"There is no setting APIKEYS[{name!r}]."
        raise AttributeError(message)

    @staticmethod
    def given() -> Mapping[str, Any]:
        """Return the dict as the project wrote it; empty where it wrote none."""
        given = getattr(django_settings, "APIKEYS", None)
        return given if isinstance(given, Mapping) else {}

    @cached_property
    def PREFIX(self) -> str:
        """What every key starts with: 1 to 16 letters and digits."""
        return str(_read("PREFIX"))

    @cached_property
    def MODE(self) -> str:
        """``"live"`` or ``"test"``: the only keys that this deployment issues and takes."""
        return str(_read("MODE"))

    @cached_property
    def SCOPES(self) -> Mapping[str, Any]:
        """The project's scopes; each app's ``api_scopes.py`` adds to them."""
        return cast("Mapping[str, Any]", _read("SCOPES"))

    @cached_property
    def REQUIRE_DECLARED_SCOPES(self) -> bool:
        """Whether views that declare nothing refuse keys."""
        return bool(_read("REQUIRE_DECLARED_SCOPES"))

    @cached_property
    def REQUIRE_HTTPS(self) -> bool:
        """Whether keys are refused over plain HTTP; free under ``DEBUG`` unless set."""
        given = self.given()
        return bool(given["REQUIRE_HTTPS"]) if "REQUIRE_HTTPS" in given else not django_settings.DEBUG

    @cached_property
    def TRUSTED_PROXIES(self) -> tuple[str, ...]:
        """Networks, or ``"unix"`` for a socket, whose forwarded address and protocol count."""
        return tuple(_read("TRUSTED_PROXIES"))

    @cached_property
    def CREDENTIAL_SOURCES(self) -> tuple[str, ...]:
        """Where a key may stand: any of ``bearer``, ``api-key``, ``x-api-key``."""
        return tuple(_read("CREDENTIAL_SOURCES"))

    @cached_property
    def REMEMBERED_PROOFS(self) -> int:
        """How many proven keys a process remembers: about 650 bytes each, 1.5 KB with ``MAX_STALENESS``."""
        return int(_read("REMEMBERED_PROOFS"))

    @cached_property
    def HASHES_PER_KEY_PER_MINUTE(self) -> int:
        """How many slow hashes one key id may cost a process in a minute."""
        return int(_read("HASHES_PER_KEY_PER_MINUTE"))

    @cached_property
    def CONCURRENT_HASHES(self) -> int:
        """How many slow hashes run at a time in a process: by default one on each core that it may use."""
        given = _read("CONCURRENT_HASHES")
        return _cores() if given is None else int(given)

    @cached_property
    def MAX_STALENESS(self) -> timedelta:
        """How long a process may go on with what it read of a key; zero reads it on every request."""
        return cast("timedelta", _read("MAX_STALENESS"))

    @cached_property
    def READ_REPLICA(self) -> bool:
        """Whether keys are looked up where ``db_for_read`` says, which may lag behind a revocation."""
        return bool(_read("READ_REPLICA"))

    @cached_property
    def CACHE(self) -> str | None:
        """The name in ``CACHES`` where processes share what Argon2 has proven; None for nowhere."""
        return cast("str | None", _read("CACHE"))

    @cached_property
    def DEFAULT_LIFETIME(self) -> timedelta:
        """How long a key lives unless its issuer says otherwise."""
        return cast("timedelta", _read("DEFAULT_LIFETIME"))

    @cached_property
    def MAX_LIFETIME(self) -> timedelta:
        """How long a key may live at most; a client can have less."""
        return cast("timedelta", _read("MAX_LIFETIME"))

    @cached_property
    def ALLOW_NO_EXPIRY(self) -> bool:
        """Whether keys without an end may be issued."""
        return bool(_read("ALLOW_NO_EXPIRY"))

    @cached_property
    def DEFAULT_OVERLAP(self) -> timedelta:
        """How long a rotated key works beside its replacement."""
        return cast("timedelta", _read("DEFAULT_OVERLAP"))

    @cached_property
    def MAX_OVERLAP(self) -> timedelta:
        """The longest overlap that may be asked for."""
        return cast("timedelta", _read("MAX_OVERLAP"))

    @cached_property
    def MAX_KEYS_PER_OWNER(self) -> int:
        """How many working keys, a key and its replacements counted once, a person may hold."""
        return int(_read("MAX_KEYS_PER_OWNER"))

    @cached_property
    def ERROR_DOCS_URL(self) -> str:
        """The address of a page about errors; ``#<code>`` is appended. Empty for none."""
        return str(_read("ERROR_DOCS_URL"))

    @cached_property
    def REQUEST_ID(self) -> Callable[[HttpRequest], str | None] | None:
        """A function, by dotted path, that returns the id of a request for error bodies."""
        return cast("Callable[[HttpRequest], str | None] | None", _imported("REQUEST_ID"))

    @cached_property
    def SECRET_SINK(self) -> Callable[[Any], None] | None:
        """A function, by dotted path, that stores an ``IssuedKey`` where commands make several."""
        return cast("Callable[[Any], None] | None", _imported("SECRET_SINK"))

    @cached_property
    def schemes(self) -> tuple[Scheme, ...]:
        """The ``SCHEMES``, built."""
        paths = _read("SCHEMES")
        return tuple(import_string(path)(prefix=self.PREFIX, sources=self.CREDENTIAL_SOURCES) for path in paths)

    @cached_property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The ``VERIFIERS``, built with the options in ``ARGON2``."""
        # A partial dict keeps the safe defaults of what it leaves out.
        options = DEFAULTS["ARGON2"] | dict(_read("ARGON2"))
        return tuple(import_string(path)(options) for path in _read("VERIFIERS"))

    @cached_property
    def hasher(self) -> Hasher:
        """The first hasher of ``VERIFIERS``, which stores new secrets."""
        hasher = preferred_hasher(self.verifiers)
        if hasher is None:
            message = "APIKEYS['VERIFIERS'] names no Hasher, so no key can be stored."
            raise LookupError(message)
        return hasher


settings = Settings()


def _read(name: str) -> Any:
    return settings.given().get(name, DEFAULTS[name])


def _imported(name: str) -> Any:
    path = _read(name)
    return import_string(path) if isinstance(path, str) else path


def _cores() -> int:
    # A container's share, where the system tells it.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _forget(*, setting: str, **kwargs: object) -> None:
    # DEBUG says whether HTTPS is asked for.
    if setting in {"APIKEYS", "DEBUG"}:
        settings.__dict__.clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.conf")
