"""OAuth 2 with the scopes, clients and permissions of ``apikeys``."""

from __future__ import annotations

from importlib.util import find_spec

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


class OAuthConfig(AppConfig):
    """Third-party access by consent, on django-oauth-toolkit."""

    name = "apikeys.oauth"
    label = "apikeys_oauth"
    verbose_name = _("OAuth")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        # Before the models, whose import would fail with less of a reason.
        if find_spec("oauth2_provider") is None:
            message = 'apikeys.oauth needs django-oauth-toolkit: python -m pip install "path/to/apikeys[oauth]"'
            raise ImproperlyConfigured(message)
        if missing := [name for name in ("apikeys", "oauth2_provider") if not apps.is_installed(name)]:
            message = f"apikeys.oauth needs {' and '.join(map(repr, missing))} in INSTALLED_APPS as well."
            raise ImproperlyConfigured(message)
        super().import_models()

    def ready(self) -> None:
        from . import checks, log_checks  # noqa: F401, PLC0415  # models are ready only now

        log_checks.quiet_libraries()

        if apps.is_installed("drf_spectacular"):
            from . import schema  # noqa: F401, PLC0415
