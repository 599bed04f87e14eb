from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class StrictPolicy:
    """Middleware that allows pages only what they bring themselves: no inline script, no inline style."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # A page that sets its own is stricter still.
        response.setdefault("Content-Security-Policy", "default-src 'self'")
        return response
