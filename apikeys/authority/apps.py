"""The central authority as an app of its own."""

from __future__ import annotations

from importlib.util import find_spec

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


class AuthorityConfig(AppConfig):
    """Other services ask this one, or check its signatures."""

    name = "apikeys.authority"
    label = "apikeys_authority"
    verbose_name = _("Central authority")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        if find_spec("joserfc") is None:
            message = 'apikeys.authority needs joserfc: python -m pip install "path/to/apikeys[jwt]"'
            raise ImproperlyConfigured(message)
        if not apps.is_installed("apikeys"):
            message = "apikeys.authority needs 'apikeys' in INSTALLED_APPS as well."
            raise ImproperlyConfigured(message)
        super().import_models()

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415  # models are ready only now
