"""Where clients give up keys and tokens."""

from __future__ import annotations

from typing import Any, cast

from django.apps import apps
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from ... import request_parts, verification
from ...core.errors import TooManyHashesError
from ...core.principals import Principal
from ...drf.authentication import APIKeyAuthentication
from ...drf.permissions import HasAPIKey
from .. import revoking
from ..signing import NoSigningKeyError
from ..texts import claims_to_be_key, claims_to_be_signed
from .form_post import FormPostView, UnavailableError, UnreadableFormError, form_of, required
from .transactions import in_no_transaction


# Slow hashes run in no transaction; what is written has one of its own.
@method_decorator(in_no_transaction, name="dispatch")
class RevokeView(FormPostView):
    """
    Revocation of the calling client's own keys and tokens (RFC 7009).

    What a client of OAuth sends here is answered by ``apikeys.oauth``, where that is installed. No throttle: who has
    stolen a key must not be able to use up what its holder needs to end it.
    """

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasAPIKey]
    throttle_classes = []

    @method_decorator(sensitive_post_parameters())
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if _is_for_oauth(request):
            from ...oauth.views.token import RevokeTokenView  # noqa: PLC0415  # where it is installed

            # Unchanged, and before this view asks for a key: those clients have secrets of another kind.
            return RevokeTokenView.as_view()(request)
        return super().dispatch(request, *args, **kwargs)

    @sensitive_variables("form")
    def post(self, request: Request) -> Response:
        """Return nothing, whether ``token`` was ended or there was nothing to end. Hints make no difference."""
        form = form_of(request._request)
        caller = cast("Principal", request.auth)
        address = request_parts.read(request._request).address
        try:
            revoking.end(required(form, "token"), caller=caller, address=address, now=timezone.now())
        except (TooManyHashesError, NoSigningKeyError, revoking.TooManyTokensError) as error:
            raise UnavailableError(retry_after_seconds=error.retry_after_seconds) from error
        return Response()


@sensitive_variables("form", "text")
def _is_for_oauth(request: HttpRequest) -> bool:
    if request.method != "POST" or not apps.is_installed("apikeys.oauth"):
        return False
    if verification.presents(request_parts.read(request)):
        return False
    try:
        form = form_of(request)
    except (UnreadableFormError, UnsupportedMediaType):
        # Refused there in the words that those clients know.
        return True
    text = form.get("token", "")
    return not (claims_to_be_key(text) or claims_to_be_signed(text))
