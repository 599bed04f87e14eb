"""Views that hammering is tried on: some keep to what a key may do, some do not."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.urls import path
from rest_framework.exceptions import APIException
from rest_framework.response import Response

from apikeys.drf import KeyRateThrottle
from tests.request_path_urls import KeyView, Reads

_seen: set[str] = set()


class Cached(KeyView):
    """Admits for ever whom it has admitted once, as a cache in front of an API does."""

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        header = request.META["HTTP_AUTHORIZATION"]
        if header not in _seen:
            super().initial(request, *args, **kwargs)
            _seen.add(header)

    def get(self, request: Any) -> Response:
        return Response()


class Faulty(KeyView):
    """Fails where it should refuse."""

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(APIException())

    def get(self, request: Any) -> Response:
        return Response()


class Silent(KeyView):
    """Never answers a second request."""

    def get(self, request: Any) -> Response:
        if "silent" in _seen:
            threading.Event().wait()
        _seen.add("silent")
        return Response()


class Dying(KeyView):
    """Ends its process at the second request."""

    def get(self, request: Any) -> Response:
        if "dying" in _seen:
            os._exit(7)
        _seen.add("dying")
        return Response()


class Unequal(KeyView):
    """Keeps the process that comes first away from the quota for a while, by a file that the address names."""

    throttle_classes = [KeyRateThrottle]

    def check_throttles(self, request: Any) -> None:
        with suppress(FileExistsError):
            Path(request.GET["late"]).touch(exist_ok=False)
            time.sleep(0.5)
        super().check_throttles(request)

    def get(self, request: Any) -> Response:
        return Response()


urlpatterns = [
    path("reads/", Reads.as_view()),
    path("cached/", Cached.as_view()),
    path("faulty/", Faulty.as_view()),
    path("silent/", Silent.as_view()),
    path("dying/", Dying.as_view()),
    path("unequal/", Unequal.as_view()),
]
