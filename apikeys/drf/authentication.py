"""``APIKeyAuthentication``: REST framework's question, answered by ``verification``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from .. import request_parts, verification
from ..conf import settings
from ..core import errors
from ..core.principals import Principal
from .decorators import declares_scopes
from .refusals import Refused, challenge, iso

_VARY = "Authorization, X-API-Key"
#: A key in its last days says so on every answer.
_EXPIRY_NOTICE = timedelta(days=7)


class APIKeyAuthentication(BaseAuthentication):
    """
    Take API keys: ``request.auth`` is the ``Principal``, ``request.user`` its person or a ``ClientUser``.

    A credential that is not ours is left to the next authenticator; one that is ours and bad is refused, also where
    the view lets anybody in (RFC 6750 section 3).
    """

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        view = (request.parser_context or {}).get("view")
        now = timezone.now()
        try:
            principal = verification.authenticate(request_parts.read(request._request), now=now)
        except errors.CredentialError as error:
            raise Refused.from_error(error, request=request) from error
        _vary(view)
        if principal is None:
            return None
        # The view's permissions may ask who is calling before there are any, which must not start all over.
        request.user, request.auth = principal.user, principal
        method = request._request.method or ""
        if settings.REQUIRE_DECLARED_SCOPES and not (view and declares_scopes(view, method=method)):
            raise Refused("scopes_not_declared", request=request)
        is_ending = principal.expires_at is not None and principal.expires_at - now <= _EXPIRY_NOTICE
        if is_ending or principal.is_replaced:
            _give_notice(view, principal, is_ending=is_ending)
        return principal.user, principal

    def authenticate_header(self, request: Request) -> str:
        return challenge()


def _vary(view: Any) -> None:
    # Also where there was no key. A refusal of the key itself has a status that no cache keeps by itself (RFC 9110
    # section 15.1), and a flood of those should cost little. REST framework puts view.headers on what the view answers.
    headers = getattr(view, "headers", None)
    if headers is not None:
        before = headers.get("Vary")
        headers["Vary"] = f"{before}, {_VARY}" if before else _VARY


def _give_notice(view: Any, principal: Principal, *, is_ending: bool) -> None:
    headers = getattr(view, "headers", {})
    if is_ending and principal.expires_at is not None:
        headers["ApiKey-Expires"] = iso(principal.expires_at)
    if principal.is_replaced:
        headers["ApiKey-Replaced"] = "true"
