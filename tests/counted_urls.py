"""Views whose requests the tests of usage count."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

import apikeys
from apikeys import limits
from apikeys.core.errors import CredentialError
from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasScopes, KeyRateThrottle, refusal_response
from apikeys.models import APIKey

from .drf_views import derived


class Orders(APIView):
    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("todo:read")]

    def get(self, request, **kwargs):
        return Response(status=int(request.query_params.get("status", 200)))

    post = get


class Both(Orders):
    permission_classes = [HasScopes("todo:write") & HasScopes("todo:read")]


class Broken(Orders):
    def get(self, request, **kwargs):
        raise RuntimeError("a fault of the project")


class RolledBack(Orders):
    def get(self, request, **kwargs):
        APIKey.objects.filter(key_id=request.auth.key_id).update(note="nobody will see this")
        transaction.set_rollback(True)
        return Response()


class Full(BaseThrottle):
    """A throttle that is not of this app."""

    def allow_request(self, request, view):
        return False


def plainly(request):
    try:
        principal = apikeys.verify(request)
    except CredentialError as error:
        return refusal_response(error, request=request)
    if principal is None:
        raise PermissionDenied
    return JsonResponse({"key_id": principal.key_id})


def limited_plainly(request):
    try:
        principal = apikeys.verify(request)
        if principal is None:
            raise PermissionDenied
        standings = limits.spend(principal, cost=2, request=request)
    except CredentialError as error:
        return refusal_response(error, request=request)
    return JsonResponse({}, headers=limits.header_fields(standings))


async def asynchronously(request):
    principal = await apikeys.averify(request)
    return JsonResponse({"key_id": principal.key_id})


def streamed(request):
    apikeys.verify(request)
    return StreamingHttpResponse(iter([b"one", b"two"]))


def twice(request):
    apikeys.verify(request)
    apikeys.verify(request)
    return HttpResponse()


def of(view, **attributes):
    return derived(view, **attributes).as_view()


shop = (
    [path("orders/", Orders.as_view(), name="orders"), path("orders/<int:number>/", Orders.as_view())],
    "shop",
)
urlpatterns = [
    path("", include(shop)),
    path("both/", Both.as_view(), name="both"),
    path("any/", of(Orders, permission_classes=[HasAPIKey]), name="any"),
    path("broken/", Broken.as_view(), name="broken"),
    path("rolled-back/", transaction.atomic(RolledBack.as_view()), name="rolled-back"),
    path("throttled/", of(Orders, throttle_classes=[Full]), name="throttled"),
    path("limited/", of(Orders, throttle_classes=[KeyRateThrottle], limit_cost=2), name="limited"),
    path("limited/plainly/", limited_plainly),
    path("undeclared/", of(Orders, permission_classes=[]), name="undeclared"),
    path("plainly/", plainly, name="plainly"),
    path("async/", transaction.non_atomic_requests(asynchronously), name="async"),
    path("streamed/", streamed, name="streamed"),
    path("twice/", twice, name="twice"),
]
