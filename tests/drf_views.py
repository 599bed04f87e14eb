"""Views for the tests of the REST framework edge, and ``ask``, which sends a request to one of them."""

from __future__ import annotations

from typing import Any

from django.test import override_settings
from django.urls import path
from rest_framework import serializers, viewsets
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.drf import APIKeyAuthentication
from apikeys.models import Client
from apikeys.testing import ApiKeyClient

#: Keys and people, in the order that the documentation recommends.
BOTH = [APIKeyAuthentication, SessionAuthentication]


class Plain(APIView):
    """Says who called, to anybody."""

    authentication_classes = BOTH
    permission_classes: Any = []

    def get(self, request: Request) -> Response:
        return Response({"key_id": getattr(request.auth, "key_id", None), "user": str(request.user)})

    post = get


def derived(parent: Any, **attributes: Any) -> Any:
    """Return a subclass of *parent* with other class attributes."""
    return type("Todos", (parent,), {"__module__": __name__, **attributes})


def view(**attributes: Any) -> Any:
    """Return a class of views like ``Plain``."""
    return derived(Plain, **attributes)


class PlainViewSet(viewsets.ViewSet):
    authentication_classes = BOTH
    permission_classes: Any = []

    def list(self, request: Request) -> Response:
        return Response({"key_id": getattr(request.auth, "key_id", None)})

    def create(self, request: Request) -> Response:
        return Response(status=201)


class ClientSerializer(serializers.ModelSerializer):
    class Meta:
        model = Client
        fields = ["name"]


class ClientViewSet(viewsets.ModelViewSet):
    authentication_classes = BOTH
    permission_classes: Any = []
    queryset = Client.objects.all()
    serializer_class = ClientSerializer


def ask(
    callback: Any, *, key: Any = None, user: Any = None, method: str = "get", address: str = "/", **headers: Any
) -> Any:
    """Return the answer of *callback*, a view or a class of views, to a request of *key* or *user* over HTTPS."""
    client = ApiKeyClient(key)
    if user is not None:
        client.force_login(user)
    with served(callback):
        return getattr(client, method)(address, **headers)


def served(callback: Any) -> override_settings:
    """
    Return a context in which *callback* is at ``/``.

    Enter it before threads are started: settings are those of all threads, and the first that leaves takes them back.
    """
    callback = getattr(callback, "as_view", lambda: callback)()
    return override_settings(ROOT_URLCONF=(path("", callback),))
