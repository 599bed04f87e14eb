"""
Settings of the test suite.

``APIKEYS_TEST_DATABASE``
    ``sqlite`` (default), ``postgres`` or ``mariadb``.
``APIKEYS_TEST_DATABASE_NAME``, ``…_HOST``, ``…_PORT``, ``…_USER``, ``…_PASSWORD``
    Where that server is. The tests run in a database of their own beside the named one.
``APIKEYS_TEST_REDIS_URL``
    Cache in this Redis instead of in the process. The address names no database: each worker takes its own.
``APIKEYS_TEST_ATOMIC_REQUESTS``
    ``1`` wraps every request in a transaction.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from apikeys.oauth.defaults import OAUTH2_PROVIDER


def scratch_directory() -> Path:
    """Return a directory of this run, shared with the processes it starts and gone when it ends."""
    if "APIKEYS_TEST_DIRECTORY" not in os.environ:
        os.environ["APIKEYS_TEST_DIRECTORY"] = tempfile.mkdtemp(prefix="apikeys-tests-")
        atexit.register(shutil.rmtree, os.environ["APIKEYS_TEST_DIRECTORY"], ignore_errors=True)
    return Path(os.environ["APIKEYS_TEST_DIRECTORY"])


def sqlite() -> dict[str, Any]:
    """Return a database in a file: one in memory would be out of reach for a second thread or process."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": scratch_directory() / "apikeys.sqlite3",
        "TEST": {"NAME": str(scratch_directory() / "test_apikeys.sqlite3")},
        "OPTIONS": {
            # A transaction that reads first and then writes would not wait for its turn, but fail at once.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # Test data need not survive a power cut.
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF",
        },
    }


def server(engine: str, *, port: int, user: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return a database on a server, by default one on this machine that asks for no password."""
    return {
        "ENGINE": engine,
        "NAME": os.environ.get("APIKEYS_TEST_DATABASE_NAME", "apikeys"),
        "HOST": os.environ.get("APIKEYS_TEST_DATABASE_HOST", "127.0.0.1"),
        "PORT": int(os.environ.get("APIKEYS_TEST_DATABASE_PORT", port)),
        "USER": os.environ.get("APIKEYS_TEST_DATABASE_USER", user),
        "PASSWORD": os.environ.get("APIKEYS_TEST_DATABASE_PASSWORD", ""),
        "OPTIONS": options,
    }


def database(name: str) -> dict[str, Any]:
    """
    Return the ``DATABASES`` entry for *name*.

    Raises:
        ValueError: If there is none. A misspelt name must not quietly test SQLite.
    """
    if name == "sqlite":
        return sqlite()
    if name == "postgres":
        return server("django.db.backends.postgresql", port=5432, user="postgres", options={})
    if name == "mariadb":
        return server("django.db.backends.mysql", port=3306, user="root", options={"charset": "utf8mb4"})
    raise ValueError(f"APIKEYS_TEST_DATABASE is {name!r}, but must be sqlite, postgres or mariadb.")


DEBUG = False
SECRET_KEY = "only-for-tests"
ROOT_URLCONF = "tests.urls"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apikeys",
    "oauth2_provider",
    "apikeys.oauth",
    "apikeys.authority",
    "apikeys.resource_server",
    "example_project.todo",
]

MIDDLEWARE = [
    "apikeys.middleware.UsageMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        **database(os.environ.get("APIKEYS_TEST_DATABASE", "sqlite")),
        "ATOMIC_REQUESTS": os.environ.get("APIKEYS_TEST_ATOMIC_REQUESTS") == "1",
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if DATABASES["default"]["ATOMIC_REQUESTS"]:
    MIDDLEWARE.append("apikeys.middleware.ProofMiddleware")

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
if "APIKEYS_TEST_REDIS_URL" in os.environ:
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["APIKEYS_TEST_REDIS_URL"],
        # cache.clear() empties a whole database, and a run must not find what an earlier one left.
        "OPTIONS": {
            "db": int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16,
            "socket_timeout": 10,
        },
        "KEY_PREFIX": scratch_directory().name,
    }

# Users' passwords are not what is tested, and a slow hash for each user would be most of the suite's time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"

OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, "OIDC_ISS_ENDPOINT": "https://testserver/authority"}

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
# From this site, not from a host elsewhere.
SPECTACULAR_SETTINGS = {"SWAGGER_UI_DIST": "SIDECAR", "SWAGGER_UI_FAVICON_HREF": "SIDECAR"}

APIKEYS: dict[str, Any] = {
    # Tests flush when they look; so do the processes that they start, when those end.
    "USAGE_FLUSH_INTERVAL": timedelta(days=1),
    "ISSUER": "https://testserver/authority",
    "SIGNING_KEY_SECRETS": ["QxIjzb6ZqoIivhvoJv4d_oLd78iLPeSSTSZv7vKFoU0="],
    "SCOPES": {
        "todo:read": {
            "resource": "To-dos",
            "label": "View to-dos",
            "text": "View your to-dos: titles, notes, due dates and status.",
        },
        "todo:write": {
            "resource": "To-dos",
            "label": "Change to-dos",
            "text": "Create, edit and delete your to-dos.",
            "sensitive": True,
        },
        "usage:read": "Read usage numbers",
    },
}
if "APIKEYS_TEST_REDIS_URL" in os.environ:
    # As above: a machine that is busy with tests is no Redis that is down.
    APIKEYS["LIMITS_TIMEOUT"] = timedelta(seconds=20)
