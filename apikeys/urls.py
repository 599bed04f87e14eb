"""``path("apikeys/", include("apikeys.urls"))``."""

from __future__ import annotations

from django.urls import path

from .drf.reference import ScopesView, scope_reference
from .drf.usage import UsageView
from .drf.views import WhoamiView

app_name = "apikeys"
urlpatterns = [
    path("whoami/", WhoamiView.as_view(), name="whoami"),
    path("usage/", UsageView.as_view(), name="usage"),
    path("scopes/", scope_reference, name="scopes"),
    path("scopes.json", ScopesView.as_view(), name="scopes_json"),
]
