"""What people let clients do, to read: they withdraw it themselves."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from ...status import permission_summary
from ..models import Consent
from .reading import ReadingAdmin, person_search


class ConsentAdmin(ReadingAdmin):
    """Consents."""

    list_display = ("user", "client", "shown_scopes", "since", "given_at", "expires_at", "last_used_at", "is_implied")
    list_select_related = ("user", "client")
    list_filter = ("is_implied",)
    actions = None
    ordering = ("-given_at", "-pk")

    def get_search_fields(self, request: HttpRequest) -> Any:
        return ("client__name__istartswith", "client__client_id__startswith", person_search())

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # The link on a client's page.
        return lookup == "client__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(description=gettext_lazy("permissions"))
    def shown_scopes(self, consent: Consent) -> str:
        return permission_summary(consent.scopes)
