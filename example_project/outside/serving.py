"""Serves a program: a small Django project of its own, with sessions in memory."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application

from .handover import Handover, received_line

_FOLDER = Path(__file__).resolve().parent


def serve(program: str) -> None:
    """
    Answer on 127.0.0.1 until standard input ends. *program* is the package ``example_project.<program>``.

    Its ``pages`` has ``urlpatterns``, its ``templates`` the templates.
    """
    # Ctrl+C reaches every process of the terminal; this one waits for the end of who started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handover = Handover.from_line(received_line())
    # Plain HTTP never leaves this machine here. Where it does, oauthlib is right to refuse it.
    os.environ |= {"OAUTHLIB_INSECURE_TRANSPORT": "1"}
    # A person may leave out a permission, which is no error.
    os.environ |= {"OAUTHLIB_RELAX_TOKEN_SCOPE": "1"}
    settings.configure(**_settings(program, handover=handover))
    django.setup()
    try:
        run("127.0.0.1", handover.port, get_wsgi_application(), threading=True, on_bind=_say_ready)
    except OSError as error:
        sys.exit(f"{program} can not listen on port {handover.port}: {error}")


def _settings(program: str, *, handover: Handover) -> dict[str, Any]:
    return {
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1"],
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        "CSRF_USE_SESSIONS": True,
        "HANDOVER": handover,
        "LOGGING": {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "loggers": {
                "django.request": {"handlers": ["console"], "level": "ERROR"},
                # Its lines hold whole addresses, and an authorization code comes in one.
                "django.server": {"level": "CRITICAL", "propagate": False},
            },
        },
        "MIDDLEWARE": [
            "example_project.outside.pages.HeadersMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        "ROOT_URLCONF": f"example_project.{program}.pages",
        "SECRET_KEY": secrets.token_hex(),
        # Cookies know no ports: programs on one machine must not take each other's.
        "SESSION_COOKIE_NAME": f"{program}_session",
        # Tokens are in this process's memory, and the browser has the name of the session alone.
        "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [_FOLDER.parent / program / "templates", _FOLDER / "templates"],
                "OPTIONS": {"context_processors": ["django.template.context_processors.csrf"]},
            },
        ],
        "USE_TZ": True,
    }


def _say_ready(port: object) -> None:
    sys.stdout.write(f"ready on {port}\n")
    sys.stdout.flush()
