"""Views that are not REST framework's, and ask who is calling."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import averify, verify
from apikeys.core.errors import CredentialError
from apikeys.core.principals import Principal
from apikeys.drf import APIKeyAuthentication, HasScopes, refusal_response


def told(principal: Principal) -> JsonResponse:
    person = principal.user
    # Fields that the look-up does not bring.
    return JsonResponse({"username": person.get_username(), "joined": str(getattr(person, "date_joined", ""))})


def ask(request: HttpRequest) -> HttpResponse:
    try:
        principal = verify(request)
    except CredentialError as error:
        return refusal_response(error, request=request)
    return refusal_response(None, request=request) if principal is None else told(principal)


@transaction.non_atomic_requests
async def aask(request: HttpRequest) -> HttpResponse:
    try:
        principal = await averify(request)
    except CredentialError as error:
        return refusal_response(error, request=request)
    return refusal_response(None, request=request) if principal is None else told(principal)


class Reads(APIView):
    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("todo:read")]

    def get(self, request: Any) -> Response:
        return Response({"username": request.user.get_username()})


urlpatterns = [path("ask/", ask), path("aask/", aask), path("reads/", Reads.as_view())]
