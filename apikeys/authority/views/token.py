"""Where an API key is exchanged for a signed token."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from ... import limits, request_parts, verification
from ...core import errors
from ...core.calls import ATTRIBUTE, Call, note_refusal
from ...core.credentials import RequestParts
from .. import exchanging, token_refusals, token_requests
from ..signing import NoSigningKeyError
from ..token_refusals import TokenRefusedError
from ..token_requests import CLIENT_CREDENTIALS, TokenRequest
from .transactions import in_no_transaction


# A token must not leave before the revocation list knows of it, and slow hashes run outside of transactions.
@method_decorator([csrf_exempt, login_not_required, in_no_transaction], name="dispatch")
class TokenView(View):
    """
    A signed token for an API key: exchanged (RFC 8693), or as the client's secret (RFC 6749 section 4.4).

    Where ``apikeys.oauth`` is installed it gets every request that brings no key of ours, as it came, so that a client
    needs no other address for it.
    """

    http_method_names = ("post",)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        hidden: Any = request
        # All parameters, in error reports.
        hidden.sensitive_post_parameters = "__ALL__"
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["Pragma"] = "no-cache"
        return response

    def post(self, request: HttpRequest) -> HttpResponseBase:
        parts, now = request_parts.read(request), timezone.now()
        try:
            if parts.query_string:
                _note_exposed_key(parts, now=now)
            asked = token_requests.read(request)
            if asked is None:
                return _hand_over(request)
            return _answer(asked, request=request, parts=parts, now=now)
        except TokenRefusedError as error:
            return token_refusals.answer(error)


def _answer(asked: TokenRequest, *, request: HttpRequest, parts: RequestParts, now: datetime) -> HttpResponse:
    """
    Return the response that holds the token.

    Raises:
        TokenRefusedError: If *asked* gets none.
    """
    is_client_secret = asked.grant_type == CLIENT_CREDENTIALS
    try:
        holder = exchanging.authenticate(asked, parts, now=now)
    except errors.CredentialError as error:
        raise token_refusals.of_credential(error, is_client_secret=is_client_secret) from error
    setattr(request, ATTRIBUTE, Call(holder.principal, address=parts.address))
    try:
        issued = exchanging.exchange(holder, asked, now=now)
        standings = limits.spend(holder.principal, request=request)
        exchanging.note_given(issued, holder=holder)
    except errors.CredentialError as error:
        if isinstance(error, errors.LimitExceededError):
            note_refusal(request, "limited")
        raise token_refusals.of_credential(error, is_client_secret=is_client_secret) from error
    except TokenRefusedError as error:
        token_refusals.leave(error, key_pk=holder.found.key_pk, address=parts.address, now=now)
        raise
    except NoSigningKeyError as error:
        raise token_refusals.unavailable(retry_after_seconds=error.retry_after_seconds) from error
    return JsonResponse(
        {
            "access_token": issued.text,
            "issued_token_type": issued.token_type,
            "token_type": "Bearer",
            "expires_in": issued.lifetime_seconds,
            "scope": " ".join(issued.scopes),
        },
        headers=limits.header_fields(standings),
    )


def _hand_over(request: HttpRequest) -> HttpResponseBase:
    if not apps.is_installed("apikeys.oauth"):
        raise token_requests.refusal_of_other(request)
    from ...oauth.views.token import TokenView as OAuthTokenView  # noqa: PLC0415  # where it is installed

    return OAuthTokenView.as_view()(request)


def _note_exposed_key(parts: RequestParts, *, now: datetime) -> None:
    """Leave the alarm about a key in the address, where logs keep it. The request is refused in any case."""
    with suppress(errors.CredentialError):
        verification.authenticate(replace(parts, headers={}), now=now)
