"""A project with the toolkit's own page for people beside ours."""

from __future__ import annotations

from django.urls import path
from oauth2_provider.views import AuthorizationView

from .urls import urlpatterns as ours

urlpatterns = [path("theirs/", AuthorizationView.as_view()), *ours]
