"""What drf-spectacular writes into a schema about tokens; loaded where ``drf_spectacular`` is in INSTALLED_APPS."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from ..drf.schema import HEADER, OAUTH2, define, key_header, requirements
from ..registry import declared, unreserved_scopes


class TokenExtension(OpenApiAuthenticationExtension):
    """``OAuthTokenAuthentication`` and its subclasses."""

    target_class = "apikeys.oauth.authentication.OAuthTokenAuthentication"
    match_subclasses = True
    name = []

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return requirements(auto_schema, ("token",), [OAUTH2])

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return define(auto_schema, {OAUTH2: token_scheme()})


class LayeredExtension(OpenApiAuthenticationExtension):
    """``LayeredAuthentication`` and its subclasses: a key and a token on one request."""

    target_class = "apikeys.oauth.layered.LayeredAuthentication"
    match_subclasses = True
    name = []

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return requirements(auto_schema, ("key", "token"), [HEADER, OAUTH2])

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return define(auto_schema, {HEADER: key_header(), OAUTH2: token_scheme()})


def token_scheme() -> dict[str, Any]:
    """Return the security scheme of access tokens, with every scope that a token can have."""
    scopes = {scope.name: str(scope.text) for scope in declared(unreserved_scopes())}
    try:
        authorize, token = reverse("oauth2_provider:authorize"), reverse("oauth2_provider:token")
    except NoReverseMatch:
        # The tokens come from somewhere else.
        flows = {}
    else:
        flows = {
            "authorizationCode": {
                "authorizationUrl": authorize,
                "tokenUrl": token,
                "refreshUrl": token,
                "scopes": scopes,
            },
            "clientCredentials": {"tokenUrl": token, "scopes": scopes},
        }
    # Before OpenAPI 3.2 there is no flow for devices (RFC 8628).
    return {
        "type": "oauth2",
        "flows": flows,
        "description": _("An access token, of an app that a person allowed this or of an app by itself."),
    }
