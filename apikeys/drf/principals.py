"""What all authentications of ours share: whatever they let in is a ``Principal``. It needs no models."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from .. import request_parts
from ..conf import settings
from ..core import errors
from ..core.calls import ATTRIBUTE, Call
from ..core.credentials import RequestParts
from ..core.principals import Principal
from .decorators import declares_scopes
from .refusals import Refused, challenge, iso

_VARY = "Authorization, X-API-Key"
#: A key in its last days says so on every answer.
_EXPIRY_NOTICE = timedelta(days=7)


class PrincipalAuthentication(BaseAuthentication):
    """
    The part that all authentications of ours share: what they let in is a ``Principal``.

    A credential that is not ours is left to the next authenticator; one that is ours and bad is refused, also where
    the view lets anybody in (RFC 6750 section 3).
    """

    #: For checks, schemas and the scope reference: a view with this class is open to who holds the scopes it names.
    takes_our_credentials = True
    #: What one request must hold: ``"key"``, ``"token"``, or both.
    credentials: ClassVar[tuple[str, ...]] = ()
    #: What may stand there in place of ``credentials``.
    otherwise: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def presents(self, parts: RequestParts) -> bool:
        """Whether *parts* hold something that this class takes or refuses. No query."""

    @abstractmethod
    def verify(self, request: Request, parts: RequestParts, *, now: datetime) -> Principal | None:
        """
        Return who is calling, or None where *parts* hold nothing of ours.

        Raises:
            CredentialError: If they do and it is refused.
        """

    def leave(self, parts: RequestParts) -> RequestParts:
        """Return *parts* without what this class takes for itself, which other classes of the view are not to read."""
        return parts

    def note_refusal(self, error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
        """Count and record that *parts* are refused before ``verify`` was asked."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        view = (request.parser_context or {}).get("view")
        now = timezone.now()
        parts = request_parts.read(request._request)
        try:
            if len(request.authenticators or ()) > 1:
                parts = self._share(request, parts, now=now)
            principal = self.verify(request, parts, now=now)
        except errors.CredentialError as error:
            raise Refused.from_error(error, request=request) from error
        _vary(view)
        if principal is None:
            return None
        setattr(request._request, ATTRIBUTE, Call(principal, address=parts.address))
        # The view's permissions may ask who is calling before there are any, which must not start all over.
        request.user, request.auth = principal.user, principal
        method = request._request.method or ""
        if settings.REQUIRE_DECLARED_SCOPES and not (view and declares_scopes(view, method=method)):
            raise Refused("scopes_not_declared", about=principal.about, request=request)
        if principal.key_id:
            _give_notice(view, principal, now=now)
        return principal.user, principal

    def authenticate_header(self, request: Request) -> str:
        return challenge()

    def _share(self, request: Request, parts: RequestParts, *, now: datetime) -> RequestParts:
        """
        Return what other classes of the view leave this one of *parts*.

        Refuse a key and a token on one request: which of them counts must not hang on the order of classes.
        """
        ours = [way for way in request.authenticators or () if isinstance(way, PrincipalAuthentication)]
        own = _left_for(self, ours, parts)
        for other in ours:
            if other is not self and other.presents(_left_for(other, ours, parts)) and self.presents(own):
                error = errors.AmbiguousCredentialError(about="token")
                self.note_refusal(error, own, now=now)
                raise error
        return own


def _left_for(way: PrincipalAuthentication, ways: list[PrincipalAuthentication], parts: RequestParts) -> RequestParts:
    for other in ways:
        if other is not way:
            parts = other.leave(parts)
    return parts


def _vary(view: Any) -> None:
    # Also where there was no key. A refusal of the key itself has a status that no cache keeps by itself (RFC 9110
    # section 15.1), and a flood of those should cost little. REST framework puts view.headers on what the view answers.
    headers = getattr(view, "headers", None)
    if headers is not None:
        before = headers.get("Vary")
        headers["Vary"] = f"{before}, {_VARY}" if before else _VARY


def _give_notice(view: Any, principal: Principal, *, now: datetime) -> None:
    # What ends with a token is no end of the key.
    is_key_alone = principal.kind == "api_key"
    is_ending = is_key_alone and principal.expires_at is not None and principal.expires_at - now <= _EXPIRY_NOTICE
    if not (is_ending or principal.is_replaced):
        return
    headers = getattr(view, "headers", {})
    if is_ending and principal.expires_at is not None:
        headers["ApiKey-Expires"] = iso(principal.expires_at)
    if principal.is_replaced:
        headers["ApiKey-Replaced"] = "true"
