"""The public keys that signed tokens are checked with, for everybody and without asking who."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View

from ..signing import NoSigningKeyError, published_jwks
from .public import public_document


@method_decorator(login_not_required, name="dispatch")
class JWKSView(View):
    """The published keys (RFC 7517 section 5)."""

    http_method_names = ("get", "head")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            keys = published_jwks(now=timezone.now())
        except NoSigningKeyError as error:
            return _unavailable(error)
        # The first key signs at once: nobody may go on with the set from before it.
        return public_document(
            {"keys": keys}, request=request, content_type="application/jwk-set+json", may_be_kept=bool(keys)
        )


def _unavailable(error: NoSigningKeyError) -> JsonResponse:
    """Return that nothing can be signed now, as RFC 6749 section 5.2 writes it. What is wrong is in the log alone."""
    response = JsonResponse({"error": "temporarily_unavailable"}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response["Retry-After"] = str(error.retry_after_seconds)
    response["Cache-Control"] = "no-store"
    return response
