"""``APIKeyAuthentication``: REST framework's question, answered by ``verification``."""

from __future__ import annotations

from datetime import datetime

from rest_framework.request import Request

from .. import verification
from ..core import errors
from ..core.credentials import RequestParts
from ..core.principals import Principal
from .principals import PrincipalAuthentication


class APIKeyAuthentication(PrincipalAuthentication):
    """Take API keys: ``request.auth`` is the ``Principal``, ``request.user`` its person or a ``ClientUser``."""

    credentials = ("key",)

    def presents(self, parts: RequestParts) -> bool:
        return verification.presents(parts)

    def verify(self, request: Request, parts: RequestParts, *, now: datetime) -> Principal | None:
        return verification.authenticate(parts, now=now)

    def note_refusal(self, error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
        verification.leave_refusal(error, parts, now=now)
