"""The app, and what it listens to."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.signals import request_finished, request_started
from django.utils.translation import gettext_lazy as _


class APIKeysConfig(AppConfig):
    """API keys and scopes."""

    name = "apikeys"
    verbose_name = _("API keys")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import after_response, checks  # noqa: F401, PLC0415  # both import models, which are ready only now
        from .drf import checks as drf_checks  # noqa: F401, PLC0415

        request_started.connect(after_response.forget, dispatch_uid="apikeys.after_response.forget")
        request_finished.connect(after_response.write, dispatch_uid="apikeys.after_response.write")
