"""The grants that are offered: authorization code with S256, device code, client credentials, refresh."""

from __future__ import annotations

import re
from typing import Any

from oauthlib.oauth2 import AuthorizationCodeGrant, Server
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

#: BASE64URL of a SHA-256 (RFC 7636 section 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class S256CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # oauthlib ships no types
    """Authorization code whose proof of possession is S256 and nothing else, before any page is shown (RFC 7636)."""

    _code_challenge_methods = {"S256": code_challenge_method_s256}  # as oauthlib has it

    def validate_token_request(self, request: Any) -> None:
        # It is asked about whatever nobody else offers. oauthlib takes "openid" for a code as well, and the toolkit
        # fails at it.
        if request.grant_type != "authorization_code":
            raise errors.UnsupportedGrantTypeError(request=request)
        super().validate_token_request(request)


class OAuthServer(Server):  # type: ignore[misc]  # likewise
    """oauthlib's server without implicit and password grants, which RFC 9700 sections 2.1.2 and 2.4 rule out."""

    def __init__(self, request_validator: Any, *args: Any, **kwargs: Any) -> None:
        # Validators of the toolkit's settings that run before the client is known look for rows that may not exist.
        kwargs.pop("pre_token", None)
        super().__init__(request_validator, *args, **kwargs)
        code_grant = S256CodeGrant(request_validator, pre_auth=[require_readable, require_challenge])
        self._response_types = {"code": code_grant}
        self._grant_types = {
            "authorization_code": code_grant,
            "client_credentials": self.credentials_grant,
            "refresh_token": self.refresh_grant,
            "urn:ietf:params:oauth:grant-type:device_code": DeviceCodeGrant(request_validator),
        }


def require_readable(request: Any) -> dict[str, Any]:
    """
    Return nothing for an authorization request whose parameters can be stored.

    Raises:
        InvalidRequestError: For control characters, which PostgreSQL takes in no text.
    """
    if any(_CONTROL.search(value) for _name, value in request.uri_query_params):
        raise errors.InvalidRequestError(description="Control characters in a parameter.", request=request)
    return {}


def require_challenge(request: Any) -> dict[str, Any]:
    """
    Return nothing for an authorization request whose PKCE challenge can be one of S256.

    Raises:
        InvalidRequestError: For another length or alphabet.
    """
    challenge = request.code_challenge
    if challenge is not None and not _CHALLENGE.fullmatch(challenge):
        raise errors.InvalidRequestError(description="Not an S256 code_challenge.", request=request)
    return {}
