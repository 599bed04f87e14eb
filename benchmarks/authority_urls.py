"""Both authorities, under the addresses that their documentation gives them."""

from __future__ import annotations

from django.urls import include, path
from oauth2_provider.views import IntrospectTokenView

urlpatterns = [
    path("authority/", include("apikeys.authority.urls")),
    path("o/introspect/", IntrospectTokenView.as_view()),
]
