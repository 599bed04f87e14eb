"""Analytics: calls for itself, never for a person (RFC 6749 section 4.4), and gets numbers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from example_project.outside.connection import endpoint
from example_project.outside.pages import handover, registration

_SCOPES = ("usage:read",)
_TIMEOUT_SECONDS = 10


@require_safe
def analytics(request: HttpRequest) -> HttpResponse:
    """Show the numbers of today, asked for with a token of this moment."""
    app = registration("analytics")
    session = OAuth2Session(client=BackendApplicationClient(app.client_id), scope=list(_SCOPES))
    session.fetch_token(endpoint("token"), client_secret=app.client_secret, timeout=_TIMEOUT_SECONDS)
    response = session.get(f"{handover().site}/api/usage/", timeout=_TIMEOUT_SECONDS)
    response.raise_for_status()
    return render(request, "piper/analytics.html", {"numbers": response.json()})


urlpatterns = [path("analytics/", analytics, name="analytics")]
