"""The admin of keys, clients and events. Revocations and tag secrets have none: nobody edits them."""

from __future__ import annotations

from django.contrib import admin

from ..models import APIKey, Client, KeyEvent
from .client_admin import ClientAdmin
from .history import KeyEventAdmin
from .key_admin import APIKeyAdmin

admin.site.register(APIKey, APIKeyAdmin)
admin.site.register(Client, ClientAdmin)
admin.site.register(KeyEvent, KeyEventAdmin)
