"""
Pied Piper Todo, the example project of ``apikeys``. For a look on your own machine, not for the internet.

``DEBUG``
    ``0`` switches the demonstration off: no home page, no demo passwords, no seed. Needs ``SECRET_KEY``.
``DEMO_DATABASE``
    Another file than ``demo.sqlite3``.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DEBUG", "1") == "1"
SECRET_KEY = "known-to-everybody-and-good-for-nothing-but-this-demonstration" if DEBUG else os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

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
    "apikeys",
    "example_project.todo",
]

MIDDLEWARE = [
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

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

APIKEYS = {
    # The order here is the order on screen.
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
        "usage:read": {
            "resource": "Usage",
            "label": "Read usage numbers",
            "text": "Read how many people and to-dos there are. Numbers only, no text.",
        },
    },
}
