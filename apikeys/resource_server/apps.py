"""An app for its checks alone: nothing here needs to be in ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ResourceServerConfig(AppConfig):
    """Verifies what the authority issued."""

    name = "apikeys.resource_server"
    label = "apikeys_resource_server"
    verbose_name = _("API server")

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415  # apps are ready only now
