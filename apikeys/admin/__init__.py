"""The admin of keys, clients, events and usage. Revocations and tag secrets have none: nobody edits them."""

from __future__ import annotations

from django.contrib import admin

from ..models import APIKey, Client, KeyEvent, UsageCount
from .client_admin import ClientAdmin
from .history import KeyEventAdmin
from .key_admin import APIKeyAdmin
from .usage_page import UsageAdmin

admin.site.register(APIKey, APIKeyAdmin)
admin.site.register(Client, ClientAdmin)
admin.site.register(KeyEvent, KeyEventAdmin)
admin.site.register(UsageCount, UsageAdmin)
