"""Serves an API server: a small Django project of its own, without a database and without ``apikeys`` as an app."""

from __future__ import annotations

import secrets
import signal
import sys
from datetime import timedelta
from importlib import import_module
from typing import Any

import django
from django.conf import settings
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application
from django.views.decorators.debug import sensitive_variables

from example_project.outside.handover import received_line

from .handover import ServerHandover


@sensitive_variables("handover")
def serve(server: str) -> None:
    """
    Answer on 127.0.0.1 until standard input ends. *server* is the package ``example_project.<server>``.

    Its ``views`` has ``urlpatterns``.
    """
    # Ctrl+C reaches every process of the terminal; this one waits for the end of who started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handover = ServerHandover.from_line(received_line())
    settings.configure(**_settings(server, handover=handover))
    django.setup()
    # Now: what can't be imported keeps it from starting, and the first request waits for nothing.
    import_module(settings.ROOT_URLCONF)
    try:
        run("127.0.0.1", handover.port, get_wsgi_application(), threading=True, on_bind=_say_ready)
    except OSError as error:
        sys.exit(f"{server} can not listen on port {handover.port}: {error}")


def _settings(server: str, *, handover: ServerHandover) -> dict[str, Any]:
    spans = {name: timedelta(seconds=seconds) for name, seconds in handover.seconds.items()}
    return {
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1"],
        "APIKEYS": {
            "ISSUER": handover.issuer,
            "AUDIENCE": handover.audience,
            "AUTHORITY_KEY": handover.authority_key,
            **spans,
        },
        # Plain HTTP, to the authority as well: it never leaves this machine here.
        "DEBUG": True,
        "DEFAULT_EXCEPTION_REPORTER": "apikeys.logging.ExceptionReporter",
        "LOGGING": {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"redact_keys": {"()": "apikeys.logging.RedactKeys"}},
            "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["redact_keys"]}},
            "root": {"handlers": ["console"], "level": "WARNING"},
            "loggers": {
                # Without these, the handlers that Django gives its loggers stay, unfiltered.
                "django": {"level": "WARNING"},
                "django.server": {"level": "CRITICAL"},
                # A refusal is none of this server's faults.
                "django.request": {"level": "ERROR"},
            },
        },
        "MIDDLEWARE": [],
        "REST_FRAMEWORK": {
            "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            # The model of Django's own is in no installed app.
            "UNAUTHENTICATED_USER": None,
        },
        "ROOT_URLCONF": f"example_project.{server}.views",
        "SECRET_KEY": secrets.token_hex(),
        "USE_TZ": True,
    }


def _say_ready(port: object) -> None:
    sys.stdout.write(f"ready on {port}\n")
    sys.stdout.flush()
