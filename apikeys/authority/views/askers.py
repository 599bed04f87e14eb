"""Who asks: clients that are API servers."""

from __future__ import annotations

from typing import cast

from rest_framework.request import Request

from ...core.principals import Principal
from ...drf.refusals import Refused
from .. import rows


def resource_of(request: Request) -> str:
    """
    Return the address of the API server that *request* comes from, as tokens and clients name it. One query.

    Raises:
        Refused: If the caller is no API server.
    """
    resource = rows.resource_of(cast("Principal", request.auth).client_id)
    if not resource:
        raise Refused("resource_required", request=request)
    return resource
