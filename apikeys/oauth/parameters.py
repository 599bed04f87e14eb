"""Which parameters of a request the protocol reads, and from where."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus, urlsplit

from django.http import HttpRequest
from oauth2_provider.oauth2_backends import OAuthLibCore
from oauth2_provider.oauth2_validators import is_valid_resource_uri

from .. import request_parts
from ..core.networks import network_around

#: Where a request of oauthlib says what network it came from. No header of a client: theirs begin with HTTP_.
NETWORK = "X_APIKEYS_NETWORK"
_IPV6_BITS = 64
# oauthlib makes an attribute of its request of each parameter, whatever its name: ``encoding``, or
# ``refresh_token_instance``, which the toolkit then takes for its own. And ``response_mode`` would say where the code
# goes, as RFC 9700 section 4.1 has it decided by the registered address.
_OF_FORMS = frozenset(
    {
        "grant_type",
        "client_id",
        "client_secret",
        "scope",
        "resource",
        "code",
        "redirect_uri",
        "code_verifier",
        "refresh_token",
        "device_code",
        "token",
        "token_type_hint",
    }
)
_OF_ADDRESSES = frozenset(
    {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "resource",
    }
)


class FormCore(OAuthLibCore):  # type: ignore[misc]  # the toolkit ships no types
    """Read a request from its form. What the protocol has no name for is ignored (RFC 6749 section 3.2)."""

    def extract_body(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(name, value) for name, value in super().extract_body(request) if name in _OF_FORMS]

    def extract_headers(self, request: HttpRequest) -> dict[str, Any]:
        network = network_around(request_parts.read(request).address, ipv6_bits=_IPV6_BITS)
        return {**super().extract_headers(request), NETWORK: network}


class QueryCore(OAuthLibCore):  # type: ignore[misc]  # likewise
    """
    Read a request from its query alone: else what a form brings would overrule what its address says.

    What the protocol has no name for is ignored (RFC 6749 section 3.1).
    """

    def extract_body(self, request: HttpRequest) -> list[tuple[str, str]]:
        return []

    def _get_escaped_full_path(self, request: HttpRequest) -> str:
        parts = urlsplit(super()._get_escaped_full_path(request))
        # As text: what is malformed stays so, and is refused.
        kept = [pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[0]) in _OF_ADDRESSES]
        address: str = parts._replace(query="&".join(kept)).geturl()
        return address


def is_resource(text: str) -> bool:
    """Whether *text* is an absolute URI as RFC 8707 section 2 has them."""
    try:
        return bool(is_valid_resource_uri(text))
    except ValueError:
        return False  # half an IPv6 address, or a host that is none
