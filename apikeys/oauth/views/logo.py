"""The picture of an app, from here and nowhere else: its own site would learn who is about to consent."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ..models import ClientApplication


@require_safe
@login_required
def logo(request: HttpRequest, client_id: str) -> HttpResponse:
    """Return the PNG of the client."""
    picture = ClientApplication.objects.filter(client__client_id=client_id).values_list("logo", flat=True).first()
    if not picture:
        raise Http404
    response = HttpResponse(bytes(picture), content_type="image/png")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = "private, max-age=300"
    return response
