"""``path("apikeys/", include("apikeys.urls"))``."""

from __future__ import annotations

from django.urls import path

from .drf.views import WhoamiView

app_name = "apikeys"
urlpatterns = [
    path("whoami/", WhoamiView.as_view(), name="whoami"),
]
