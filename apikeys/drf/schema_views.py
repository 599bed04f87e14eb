"""What drf-spectacular writes about the app's own endpoints, which have no serializers that it could read."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response


class ApiKeyQuota(serializers.Serializer[Any]):
    """What is left of a quota."""

    quota = serializers.CharField()
    remaining = serializers.IntegerField()
    resets_at = serializers.DateTimeField()


class ApiKeyWhoami(serializers.Serializer[Any]):
    """What a key is, and what it has left."""

    key_id = serializers.CharField()
    name = serializers.CharField()
    client = serializers.CharField()
    owner = serializers.CharField(allow_null=True)
    scopes = serializers.ListField(child=serializers.CharField())
    expires_at = serializers.DateTimeField(allow_null=True)
    rates = serializers.ListField(child=serializers.CharField())
    quotas = ApiKeyQuota(many=True)


class ApiKeyTotals(serializers.Serializer[Any]):
    """How often keys were used."""

    requests = serializers.IntegerField()
    denied = serializers.IntegerField()


class ApiKeyUsePoint(ApiKeyTotals):
    """How often a key was used in one hour or day."""

    at = serializers.DateTimeField()


class ApiKeyUse(serializers.Serializer[Any]):
    """How often one key was used."""

    key_id = serializers.CharField()
    name = serializers.CharField()
    totals = ApiKeyTotals()
    series = ApiKeyUsePoint(many=True)


class ApiKeyUsage(serializers.Serializer[Any]):
    """How often the keys of one person were used."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    counted_until = serializers.DateTimeField(allow_null=True)
    is_complete = serializers.BooleanField()
    keys = ApiKeyUse(many=True)


class ApiKeyEndpoint(serializers.Serializer[Any]):
    """An endpoint that a scope opens."""

    method = serializers.CharField()
    path = serializers.CharField()
    beside = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    needs_person = serializers.BooleanField()
    credentials = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))


class ApiKeyScope(serializers.Serializer[Any]):
    """A scope, in words."""

    name = serializers.CharField()
    resource = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # every field has a label, of which an answer knows nothing
    text = serializers.CharField()
    sensitive = serializers.BooleanField()
    reserved = serializers.BooleanField()
    permissions = serializers.ListField(child=serializers.CharField())
    endpoints = ApiKeyEndpoint(many=True)


class ApiKeyScopes(serializers.Serializer[Any]):
    """All scopes."""

    scopes = ApiKeyScope(many=True)


class WhoamiExtension(OpenApiViewExtension):
    """``WhoamiView``."""

    target_class = "apikeys.drf.views.WhoamiView"

    def view_replacement(self) -> Any:
        return _described(self.target, operation_id="apikeys_whoami", responses={200: ApiKeyWhoami})


class UsageExtension(OpenApiViewExtension):
    """``UsageView``."""

    target_class = "apikeys.drf.usage.UsageView"

    def view_replacement(self) -> Any:
        return _described(
            self.target,
            operation_id="apikeys_usage",
            responses={
                (200, "application/json"): ApiKeyUsage,
                (200, "text/csv"): OpenApiTypes.STR,
                (404, "application/json"): {"$ref": "#/components/schemas/ApiKeyError"},
            },
            parameters=[
                OpenApiParameter("by", enum=["day", "hour"], default="day"),
                OpenApiParameter("days", OpenApiTypes.INT, default=30),
                OpenApiParameter("key", description=_("The id of one key.")),
            ],
        )


class ScopesExtension(OpenApiViewExtension):
    """``ScopesView``."""

    target_class = "apikeys.drf.reference.ScopesView"

    def view_replacement(self) -> Any:
        return _described(self.target, operation_id="apikeys_scopes", responses={200: ApiKeyScopes})


def _described(view: Any, **description: Any) -> Any:
    """Return a subclass of *view* for a schema, whose GET has *description*. It serves nobody."""

    def get(self: Any, request: Request) -> Response:
        answer: Response = view.get(self, request)
        return answer

    get.__doc__ = view.get.__doc__
    return type(view.__name__, (view,), {"__doc__": view.__doc__, "get": extend_schema(**description)(get)})
