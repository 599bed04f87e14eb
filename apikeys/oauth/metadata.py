"""What the toolkit says of itself (RFC 8414), for a site that has one document for all of its endpoints."""

from __future__ import annotations

import json
from typing import Any, cast

from django.http import HttpRequest
from oauth2_provider.settings import oauth2_settings
from oauth2_provider.views import OAuthServerMetadataView


def server_metadata(request: HttpRequest) -> dict[str, Any]:
    """Return the toolkit's document as it would answer *request*: issuer and addresses may be on another host."""
    return cast("dict[str, Any]", json.loads(OAuthServerMetadataView().get(request).content))


def named_issuer() -> str:
    """Return what the toolkit is told to call itself; empty where it goes by the address that was called."""
    return str(oauth2_settings.OIDC_ISS_ENDPOINT)
