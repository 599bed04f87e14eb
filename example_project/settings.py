"""
Pied Piper Todo, the example project of ``apikeys``. For a look on your own machine, not for the internet.

``DEBUG``
    ``0`` switches the demonstration off: no home page, no demo passwords, no seed. Needs ``SECRET_KEY``.
``DEMO_DATABASE``
    Another file than ``demo.sqlite3``.
``PORT``
    Where ``manage.py demo`` serves, instead of 8000; the apps outside and the API servers have the next four.
``ISSUER``, ``SIGNING_KEY_SECRETS``
    The address that tokens name, and what signing keys are encrypted by, for where ``DEBUG`` is ``0``.
"""

from __future__ import annotations

import os
from pathlib import Path

from apikeys.oauth.defaults import OAUTH2_PROVIDER as PRESET

ROOT = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DEBUG", "1") == "1"
SECRET_KEY = "known-to-everybody-and-good-for-nothing-but-this-demonstration" if DEBUG else os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
_SITE = f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
_ISSUER = f"{_SITE}/authority" if DEBUG else os.environ.get("ISSUER", "")

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    # Before drf_spectacular: its page of the API is replaced by one that needs no inline style.
    "example_project.todo",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apikeys",
    "oauth2_provider",
    "apikeys.oauth",
    "apikeys.authority",
]

MIDDLEWARE = [
    # The first: it counts requests as they are answered, whatever stood in their way.
    "apikeys.middleware.UsageMiddleware",
    "example_project.csp.ContentSecurityPolicyMiddleware",
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
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DEMO_DATABASE", ROOT / "demo.sqlite3"),
        # A transaction that reads first and then writes waits for its turn, instead of failing at once.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode = WAL"},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Argon2 is here for the keys. The seed hashes ten passwords and secrets, and PBKDF2 would take a second for each.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
LOGIN_URL = "login"

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Pied Piper Todo",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # From this site, not from a host elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
# One name for both, so that an app which compares them finds them alike.
OAUTH2_PROVIDER = {**PRESET, "OIDC_ISS_ENDPOINT": _ISSUER}

# No log line, error mail or debug page shows a key.
DEFAULT_EXCEPTION_REPORTER = "apikeys.logging.ExceptionReporter"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact_keys": {"()": "apikeys.logging.RedactKeys"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["redact_keys"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Without these two, the handlers that Django gives its loggers stay, unfiltered.
        "django": {"level": "INFO"},
        "django.server": {"level": "INFO"},
        # Each change of a key is a line: the seed would fill the screen. The admin's events tell them, too.
        "apikeys.audit": {"level": "WARNING"},
    },
}

APIKEYS = {
    "SITE_NAME": "Pied Piper Todo",
    # Of each key. Clients and keys can have stricter ones.
    "RATES": ["600/min"],
    # What signed tokens name as their origin, and where API servers ask.
    "ISSUER": _ISSUER,
    # As well known as SECRET_KEY above.
    "SIGNING_KEY_SECRETS": (
        ["a25vd24tdG8tZXZlcnlib2R5LWFuZC1nb29kLWZvci0="] if DEBUG else os.environ.get("SIGNING_KEY_SECRETS", "").split()
    ),
    "CLAIMS": {
        "subscription": {
            "type": "text",
            "choices": ["free", "premium"],
            "visible_to": "servers",
            "text": "What the makers of an app pay for.",
        },
    },
    # The order here is the order on screen.
    "SCOPES": {
        "todo:read": {
            "resource": "To-dos",
            "label": "View to-dos",
            "text": "View your to-dos: titles, notes, due dates and status.",
            # What the person's role must allow as well.
            "permissions": ["todo.view_todo"],
        },
        "todo:write": {
            "resource": "To-dos",
            "label": "Change to-dos",
            "text": "Create, edit and delete your to-dos.",
            "sensitive": True,
            "permissions": ["todo.add_todo", "todo.change_todo", "todo.delete_todo"],
        },
        "profile:read": {
            "resource": "Profile",
            "label": "View profile",
            "text": "View your name and your roles.",
        },
        "usage:read": {
            "resource": "Usage",
            "label": "Read usage numbers",
            "text": "Read how many people and to-dos there are. Numbers only, no text.",
        },
    },
}
