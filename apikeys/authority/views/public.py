"""Documents that are the same for everybody, and that anybody may keep for a while."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control, set_response_etag

from ...conf import settings


def public_document(
    document: Mapping[str, Any], *, request: HttpRequest, content_type: str, may_be_kept: bool = True
) -> HttpResponseBase:
    """Return *document*, which may be kept for ``JWKS_MAX_AGE`` unless it is said not to, or 304 for who has it."""
    response = HttpResponse(json.dumps(document), content_type=content_type)
    if may_be_kept:
        patch_cache_control(response, public=True, max_age=int(settings.JWKS_MAX_AGE.total_seconds()))
    else:
        patch_cache_control(response, no_store=True)
    # Scripts of other sites may read what everybody may.
    response["Access-Control-Allow-Origin"] = "*"
    set_response_etag(response)
    return get_conditional_response(request, etag=response["ETag"], response=response) or response
