from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from apikeys.authority.urls import metadata_urlpatterns

urlpatterns = [
    *metadata_urlpatterns,
    path("admin/", admin.site.urls),
    path("apikeys/", include("apikeys.urls")),
    path("authority/", include("apikeys.authority.urls")),
    path("o/", include("apikeys.oauth.urls")),
]
