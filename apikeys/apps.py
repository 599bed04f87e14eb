"""The app, and what it listens to."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.utils.translation import gettext_lazy as _


class APIKeysConfig(AppConfig):
    """API keys and scopes."""

    name = "apikeys"
    verbose_name = _("API keys")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import after_response, counting, pending, quotas  # noqa: PLC0415  # models are ready only now
        from .checks import claims, logging, project, settings, usage  # noqa: F401, PLC0415  # they register themselves
        from .drf import checks as drf_checks  # noqa: F401, PLC0415
        from .drf import limit_checks  # noqa: F401, PLC0415
        from .limits import ledger  # noqa: PLC0415
        from .logging import refusals  # noqa: PLC0415
        from .usage import flushing  # noqa: PLC0415

        if apps.is_installed("drf_spectacular"):
            from .drf import schema, schema_views  # noqa: F401, PLC0415

            schema.install()
        request_started.connect(pending.begin, dispatch_uid="apikeys.pending.begin")
        # Before Django closes the connection on the same signal: receivers run in the order of connecting, and what
        # opened another connection to write would leave it open.
        request_finished.disconnect(close_old_connections)
        request_finished.connect(after_response.write, dispatch_uid="apikeys.after_response.write")
        request_finished.connect(close_old_connections)
        flushing.install()
        ledger.use(quotas)
        counting.every_flush(refusals.tell_left_out)
        counting.at_shutdown(refusals.tell_rest)
        counting.every_flush(quotas.return_idle)
        counting.at_shutdown(quotas.return_all)
