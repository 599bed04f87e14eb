"""What the pages of all programs share: their headers, their style, and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from .handover import Handover, Registration

_FOLDER = Path(__file__).resolve().parent


def handover() -> Handover:
    """Return what this program was given."""
    given: Handover = settings.HANDOVER  # type: ignore[misc]  # of this program alone, not of the settings that are checked
    return given


def registration(name: str) -> Registration:
    """Return what the app *name* of this program is known by."""
    return handover().apps[name]


def _style(request: HttpRequest) -> HttpResponse:
    return HttpResponse((_FOLDER / "outside.css").read_bytes(), content_type="text/css; charset=utf-8")


def _icon(request: HttpRequest) -> HttpResponse:
    return HttpResponse((_FOLDER / "outside.svg").read_bytes(), content_type="image/svg+xml")


#: What ``outside/base.html`` links to.
FILES = [path("outside.css", _style), path("outside.svg", _icon)]


class HeadersMiddleware:
    """Nothing but this program's own files, and forms that may lead to Pied Piper Todo."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Browsers apply form-action to where a form's answer redirects to as well.
        response["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action 'self' {handover().site}"
        )
        response["Cache-Control"] = "no-store"
        # The callback's address holds the authorization code.
        response["Referrer-Policy"] = "same-origin"
        return response
