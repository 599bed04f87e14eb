"""Lists whose search box is no place for a whole key: addresses are logged and remembered."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from .. import policy
from ..conf import settings
from ..core import keyformat
from ..models import APIKey
from ..page_headers import protect
from . import pages


class GuardedSearchAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for the type checker alone
    """A list that neither searches for a whole key nor shows it again, and says what to do about it."""

    change_list_template = pages.template_path("guarded_list.html")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        key_id = keyformat.key_id_in(request.GET.get("q", ""), prefix=settings.PREFIX)
        if key_id is not None:
            # Not in the field, not in the links of filters and pages.
            query: Any = request.GET.copy()
            del query["q"]
            request.GET = query
        context = {
            "held_a_key": key_id is not None,
            "exposed_url": "" if key_id is None else self._rotate_url(request, key_id),
            "identify_url": reverse(f"{self.admin_site.name}:apikeys_apikey_identify")
            if policy.may_view(request.user)
            else "",
            "key_pattern": keyformat.key_pattern(settings.PREFIX).pattern,
            **(extra_context or {}),
        }
        response: HttpResponse = super().changelist_view(request, context)
        protect(response)
        return response

    def _rotate_url(self, request: HttpRequest, key_id: str) -> str:
        keys = pages.shown(request, self.admin_site, APIKey)
        key = keys.filter(key_id=key_id).select_related("client", "owner").first()
        if key is None or not policy.may_rotate(request.user, key):
            return ""
        return reverse(f"{self.admin_site.name}:apikeys_apikey_rotate", args=[key.pk])
