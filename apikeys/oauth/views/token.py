"""Where clients get tokens and give them up."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from oauth2_provider import views as toolkit
from oauth2_provider.models import get_access_token_model

from .protocol import ProtocolView, refusal


class TokenView(ProtocolView, toolkit.TokenView):  # type: ignore[misc]  # the toolkit ships no types
    """Tokens for a code, a device code, a refresh token or the client itself (RFC 6749 section 3.2, RFC 8628)."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # The toolkit answers devices by itself, before it knows which client asks, and knows no slow_down.
        try:
            response: HttpResponse = self.authorization_flow_token_response(request)
        except get_access_token_model().DoesNotExist:
            # Withdrawn between the commit and the toolkit's signal: who would get the token could not use it.
            return refusal("invalid_grant")
        return response


class RevokeTokenView(ProtocolView, toolkit.RevokeTokenView):  # type: ignore[misc]  # likewise
    """Revocation of a client's own tokens (RFC 7009)."""
