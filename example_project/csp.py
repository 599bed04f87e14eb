"""A policy for every page: nothing but this site's own files (Content Security Policy Level 3)."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


class ContentSecurityPolicyMiddleware:
    """
    Put ``POLICY`` on every response that has none of its own, as the pages of ``apikeys.oauth`` have.

    Django has a middleware for it only since 6.0.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", POLICY)
        return response
