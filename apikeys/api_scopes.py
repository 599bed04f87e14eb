"""The scopes of this app's own endpoints. Only a superuser may grant a scope that begins with ``apikeys:``."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

SCOPES = {
    "apikeys:usage": {
        "resource": _("API keys"),
        "label": _("View usage"),
        "text": _("View how often your keys were used, and how often they were refused."),
    },
    "apikeys:introspect": {
        "resource": _("API keys"),
        "label": _("Check keys and tokens"),
        "text": _("Ask whether a key or token is good and what it may do. For API servers."),
        "sensitive": True,
    },
}
