"""One path and one view, the same for all but for how the contender protects it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import path
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import contenders
from .environment import Environment

_package, _case = contenders.find(Environment.of_process().contender)


class Todos(APIView):
    """Answers as little as an API can."""

    renderer_classes = [JSONRenderer]
    authentication_classes: Sequence[Any] = []
    permission_classes: Sequence[Any] = []

    def get(self, request: Request) -> Response:
        return Response({"ok": True})


for _name, _value in _package.view_attributes(_case).items():
    setattr(Todos, _name, _value)

urlpatterns = [path("todos/", Todos.as_view())]
