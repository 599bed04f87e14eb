"""What the project wrote, and what counts where it wrote nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from ..core.schemes import SOURCES

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
    "RATES": (),
    "QUOTAS": (),
    "LIMIT_SCOPES": {},
    "LIMITS_STORAGE": None,
    "LIMITS_STRATEGY": "sliding-window-counter",
    "LIMITS_TIMEOUT": timedelta(milliseconds=100),
    "LIMITS_FAIL_OPEN": True,
    "QUOTA_BLOCK": 100,
    "RATE_LIMIT_HEADERS": "draft",
    "USAGE_FLUSH_INTERVAL": timedelta(seconds=10),
    "USAGE_FLUSH_ROWS": 10_000,
    "USAGE_HOURS_KEPT": timedelta(days=14),
    "USAGE_DAYS_KEPT": timedelta(days=400),
    "GUESSES_PER_NETWORK_PER_MINUTE": 100,
    "NETWORKS_PER_KEY": 100,
    "SITE_NAME": "",
    "SCOPE_REFERENCE": "signed-in",
    "CONSENT_LIFETIME": timedelta(days=90),
    "CONSENT_FRESH_FOR": timedelta(hours=1),
    "CLAIMS": {},
    "ISSUER": "",
    "SIGNING_KEYS": (),
    "SIGNING_KEY_SECRETS": (),
    "SIGNING_ALGORITHM": "ES256",
    "SIGNING_KEY_LIFETIME": timedelta(days=30),
    "SIGNING_KEY_PUBLISHED_AHEAD": timedelta(hours=1),
    "SIGNED_TOKEN_LIFETIME": timedelta(minutes=10),
    "JWKS_MAX_AGE": timedelta(minutes=5),
    "REVOCATIONS_OVERLAP": timedelta(minutes=5),
    "AUTHORITY_URL": "",
    "AUTHORITY_KEY": "",
    "AUTHORITY_CONNECT_TIMEOUT": timedelta(seconds=1),
    "AUTHORITY_READ_TIMEOUT": timedelta(seconds=2),
    "AUTHORITY_PAUSE": timedelta(seconds=5),
    "AUDIENCE": "",
    "INTROSPECTION_CACHE": timedelta(0),
    "JWKS_KEPT": timedelta(hours=24),
    "CLOCK_LEEWAY": timedelta(seconds=30),
    "REVOCATIONS_POLL_INTERVAL": timedelta(seconds=5),
    "REVOCATIONS_MAX_AGE": None,
    "REMEMBERED_TOKENS": 10_000,
    "SECRET_SINK": None,
    "REQUEST_ID": None,
    "ERROR_DOCS_URL": "",
}


def given() -> Mapping[str, Any]:
    """Return the dict ``APIKEYS`` as the project wrote it; empty where it wrote none."""
    found = getattr(django_settings, "APIKEYS", None)
    return found if isinstance(found, Mapping) else {}


def read(name: str) -> Any:
    """Return the setting *name*, or its default."""
    return given().get(name, DEFAULTS[name])


def imported(name: str) -> Any:
    """Return what the setting *name* gives by dotted path; what is no text as it is."""
    path = read(name)
    return import_string(path) if isinstance(path, str) else path
