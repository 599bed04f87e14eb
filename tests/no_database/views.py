"""An API server without a database, as its own project would write it."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.drf import HasClaim, HasOwner, HasScopes, KeyRateThrottle, requires_scopes
from apikeys.resource_server import IntrospectionAuthentication, SignedTokenAuthentication


class Summary(APIView):
    authentication_classes = [SignedTokenAuthentication, IntrospectionAuthentication]
    permission_classes: Any = [HasScopes("todo:read")]

    def get(self, request: Request) -> Response:
        return Response({"user": str(request.user), "pk": request.user.pk, "kind": request.auth.kind})


class Premium(Summary):
    permission_classes = [HasScopes("todo:read") & HasClaim("subscription", "premium") & HasOwner]


class Limited(Summary):
    throttle_classes = [KeyRateThrottle]


@api_view(["POST"])
@authentication_classes([SignedTokenAuthentication])
@permission_classes([])
@requires_scopes("todo:write")
def change(request: Request) -> Response:
    return Response({"user": str(request.user)})


urlpatterns = [
    path("summary", Summary.as_view(), name="summary"),
    path("premium", Premium.as_view(), name="premium"),
    path("limited", Limited.as_view(), name="limited"),
    path("change", change, name="change"),
]
