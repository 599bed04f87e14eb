"""The docs of the API: its schema in Swagger UI, all of it from this site."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from drf_spectacular.views import SpectacularSwaggerSplitView

from example_project.csp import POLICY


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI under this site's policy. It draws its icons from its style sheet, as ``data:``."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        response["Content-Security-Policy"] = f"{POLICY}; img-src 'self' data:"
        return response
