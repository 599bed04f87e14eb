"""
The admin of OAuth: how clients sign in, on their own page; consents; and what the toolkit keeps, to read and to end.

The toolkit's own pages show hashes in fields and make applications that no client stands behind, so they are replaced.
"""

from __future__ import annotations

import oauth2_provider.admin  # noqa: F401  # registers, whichever app comes first
from django.contrib import admin
from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_grant_model,
    get_id_token_model,
    get_refresh_token_model,
)

from ...models import Client
from ..models import Consent
from .clients import ClientAdmin
from .consents import ConsentAdmin
from .toolkit import AccessTokenAdmin, ApplicationAdmin, CodeAdmin, IDTokenAdmin, RefreshTokenAdmin

admin.site.register(Consent, ConsentAdmin)
for _model, _admin in (
    (Client, ClientAdmin),
    (get_application_model(), ApplicationAdmin),
    (get_access_token_model(), AccessTokenAdmin),
    (get_refresh_token_model(), RefreshTokenAdmin),
    (get_grant_model(), CodeAdmin),
    (get_id_token_model(), IDTokenAdmin),
):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
    admin.site.register(_model, _admin)
