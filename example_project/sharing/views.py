"""Who shares their list with whom. A revoked key is out at once, and nobody gets in while the authority is away."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, cast

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import CharField, Serializer
from rest_framework.views import APIView

from apikeys.core.principals import Principal
from apikeys.drf import HasOwner, HasScopes
from apikeys.resource_server import IntrospectionAuthentication

_MOST = 20
#: By person: ``{"user:1": ["monica"]}``. Gone with the process.
_shared_with: dict[str, list[str]] = defaultdict(list)


class ShareSerializer(Serializer[dict[str, str]]):
    """Somebody who may see the list."""

    name = CharField(max_length=50)


class SharesView(APIView):
    """With whom the person shares."""

    authentication_classes = [IntrospectionAuthentication]
    permission_classes = [HasScopes, HasOwner]
    required_scopes = {"GET": ["todo:read"], "POST": ["todo:write"]}

    def get(self, request: Request) -> Response:
        """Return them."""
        return Response(_shares(request))

    def post(self, request: Request) -> Response:
        """Add one; the oldest goes once there are too many."""
        serializer = ShareSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        names = _shared_with[_person(request).pk]
        names.append(serializer.validated_data["name"])
        del names[:-_MOST]
        return Response(_shares(request), status=201)


def _shares(request: Request) -> dict[str, Any]:
    person = _person(request)
    return {"person": person.get_username(), "shared_with": _shared_with.get(person.pk, [])}


def _person(request: Request) -> Any:
    return cast("Principal", request.auth).user


urlpatterns = [path("api/shares", SharesView.as_view())]
