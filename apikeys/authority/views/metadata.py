"""What clients and API servers find out about the authority by themselves."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from django.apps import apps
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View

from ...registry import unreserved_scopes
from ..issuer import address_of, issuer, issuer_path, on_this_origin
from ..token_requests import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from .public import public_document

_GRANTS = (CLIENT_CREDENTIALS, TOKEN_EXCHANGE)
#: The last one for a token exchange, which names no client: the key that it brings is enough.
_TOKEN_METHODS = ("client_secret_basic", "client_secret_post", "none")
#: By a key, as on every other endpoint of an API (the registry of access token types, RFC 8414 section 2).
_BEARER = "Bearer"


@method_decorator(login_not_required, name="dispatch")
class MetadataView(View):
    """The metadata of the authority (RFC 8414); with ``apikeys.oauth``, of both in one."""

    http_method_names = ("get", "head")

    def get(self, request: HttpRequest, *args: Any, issuer_path: str = "", **kwargs: Any) -> HttpResponseBase:
        if not _is_issuer(issuer_path):
            # Another name would make another authority of it, which nobody vouches for (RFC 8414 section 3.3).
            raise Http404
        return public_document(_document(request), request=request, content_type="application/json")


def _is_issuer(path: str) -> bool:
    return (f"/{path}" if path else "") == unquote(issuer_path())


def _document(request: HttpRequest) -> dict[str, Any]:
    offered = _of_oauth(request)
    return {
        # Required, and empty where no browser is ever sent here.
        "response_types_supported": [],
        **offered,
        "issuer": issuer(),
        "token_endpoint": address_of("token"),
        "token_endpoint_auth_methods_supported": _united(
            offered.get("token_endpoint_auth_methods_supported"), *_TOKEN_METHODS
        ),
        "jwks_uri": address_of("jwks"),
        "introspection_endpoint": address_of("introspect"),
        "introspection_endpoint_auth_methods_supported": [_BEARER],
        "revocation_endpoint": address_of("revoke"),
        "revocation_endpoint_auth_methods_supported": _united(
            offered.get("revocation_endpoint_auth_methods_supported"), _BEARER
        ),
        "grant_types_supported": _united(offered.get("grant_types_supported"), *_GRANTS),
        "scopes_supported": unreserved_scopes(),
    }


def _of_oauth(request: HttpRequest) -> dict[str, Any]:
    """Return what the OAuth app says of itself, on the host of ``ISSUER``; nothing where it is not installed."""
    if not apps.is_installed("apikeys.oauth"):
        return {}
    # Imported when it is there: it needs the toolkit.
    from ...oauth.metadata import server_metadata  # noqa: PLC0415

    found = server_metadata(request)
    # Their host is what the request named.
    endpoints = {name: on_this_origin(urlsplit(found[name]).path) for name in found if name.endswith("_endpoint")}
    return found | endpoints


def _united(offered: list[str] | None, *ours: str) -> list[str]:
    return list(dict.fromkeys([*(offered or ()), *ours]))
