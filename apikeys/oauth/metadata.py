"""What the OAuth endpoints say of themselves (RFC 8414), also for a site that has one document for all of its own."""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from oauth2_provider.settings import oauth2_settings
from oauth2_provider.views import OAuthServerMetadataView

#: Of an app that keeps no secret.
_NONE = "none"


class ServerMetadataView(OAuthServerMetadataView):  # type: ignore[misc]  # the toolkit ships no types
    """The toolkit's document, with what it leaves out of devices and public apps, and for one issuer alone."""

    def get(self, request: HttpRequest, *args: Any, issuer_path: str = "", **kwargs: Any) -> HttpResponse:
        if issuer_path and not self._is_issuer(request, issuer_path):
            # Another name would make another server of it, which nobody vouches for (RFC 8414 section 3.3).
            raise Http404
        response: HttpResponse = super().get(request, *args, **kwargs)
        found: dict[str, Any] = json.loads(response.content)
        if address := self._get_endpoint_url(request, "device-authorization"):
            found["device_authorization_endpoint"] = address  # RFC 8628 section 4
        for name in ("token_endpoint", "revocation_endpoint"):
            if name in found:
                member = f"{name}_auth_methods_supported"
                found[member] = list(dict.fromkeys([*found[member], _NONE]))
        response.content = json.dumps(found).encode()
        return response

    def _is_issuer(self, request: HttpRequest, issuer_path: str) -> bool:
        """Whether *issuer_path*, which follows the well-known name at the root of the host, is the issuer's."""
        root = request.path.partition("/.well-known/")[0]
        own = named_issuer() or (self._get_endpoint_url(request, "token") or "").removesuffix("/token/")
        return f"{root}/{issuer_path}" == unquote(urlsplit(own).path)


def server_metadata(request: HttpRequest) -> dict[str, Any]:
    """Return the document as it would answer *request*: issuer and addresses may be on another host."""
    return cast("dict[str, Any]", json.loads(ServerMetadataView().get(request).content))


def named_issuer() -> str:
    """Return what the toolkit is told to call itself; empty where it goes by the address that was called."""
    return str(oauth2_settings.OIDC_ISS_ENDPOINT)
