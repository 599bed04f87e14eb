"""Views that count quotas, and what a view may do after it was let in."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from django.http import Http404
from django.urls import include, path
from rest_framework.response import Response

from apikeys.drf import KeyRateThrottle
from tests.request_path_urls import KeyView


class Counted(KeyView):
    """Costs one."""

    throttle_classes = [KeyRateThrottle]

    def get(self, request: Any) -> Response:
        return Response()


class Dear(Counted):
    """Costs what its caller says."""

    def limit_cost(self, request: Any) -> int:
        return int(request.GET["cost"])


class Failing(Counted):
    """Fails once it was let in, and takes what it wrote back."""

    def get(self, request: Any) -> Response:
        raise Http404


class Slow(Counted):
    """Answers when ``gate`` opens."""

    gate: ClassVar[threading.Event] = threading.Event()
    entered: ClassVar[threading.Event] = threading.Event()

    def get(self, request: Any) -> Response:
        self.entered.set()
        assert self.gate.wait(timeout=60)
        return Response()


urlpatterns = [
    path("counted/", Counted.as_view()),
    path("dear/", Dear.as_view()),
    path("failing/", Failing.as_view()),
    path("slow/", Slow.as_view()),
    path("apikeys/", include("apikeys.urls")),
]
