"""``whoami``: a first 200 without writing a view, and what a key is and has left, asked by its holder."""

from __future__ import annotations

from typing import Any, cast

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .. import quotas
from ..core.principals import Principal
from .authentication import APIKeyAuthentication
from .permissions import HasAPIKey
from .refusals import iso


class WhoamiView(APIView):
    """The calling key: its id, name, client, owner, scopes, end, and what it may use."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasAPIKey]

    def get(self, request: Request) -> Response:
        """Return what the caller may know of its own key. Never any part of its secret."""
        principal = cast("Principal", request.auth)
        return Response(
            {
                "key_id": principal.key_id,
                "name": principal.key_name,
                "client": principal.client_name,
                "owner": principal.user.get_username() if principal.acts_for_user else None,
                "scopes": sorted(principal.scopes),
                "expires_at": iso(principal.expires_at) if principal.expires_at else None,
                "rates": [str(rate) for rate in principal.rates],
                "quotas": _quotas_of(principal),
            },
            headers={"Cache-Control": "no-store"},
        )


def _quotas_of(principal: Principal) -> list[dict[str, Any]]:
    return [
        {"quota": str(quota), "remaining": remaining, "resets_at": iso(resets_at)}
        for quota, remaining, resets_at in quotas.standing_of(principal.bucket, principal.quotas)
    ]
