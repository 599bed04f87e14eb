"""An API that declares its scopes in every way there is, with its schema and Swagger UI."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers, viewsets
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.views import APIView

from apikeys.drf import (
    APIKeyAuthentication,
    HasAPIKey,
    HasOwner,
    HasScopes,
    IsSessionUser,
    KeyRateThrottle,
    requires_scopes,
)
from apikeys.models import Client
from apikeys.oauth import HasUserConsent, LayeredAuthentication, OAuthTokenAuthentication


class NoteSerializer(serializers.ModelSerializer):
    class Meta:
        model = Client
        fields = ["name", "description"]


class NoteViewSet(viewsets.ModelViewSet):
    """Notes of one person."""

    authentication_classes = [APIKeyAuthentication, OAuthTokenAuthentication, SessionAuthentication]
    permission_classes = [HasScopes | IsSessionUser, HasOwner]
    required_scopes = {"GET": "todo:read", "count": ("usage:read", "todo:read"), "POST": "todo:write"}
    http_method_names = ["get", "post", "head", "options"]
    queryset = Client.objects.all()
    serializer_class = NoteSerializer

    @extend_schema(responses={200: NoteSerializer})
    @action(detail=False)
    def count(self, request):
        return Response({})


class Numbers(APIView):
    """Numbers."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("usage:read") | (HasScopes("todo:read") & HasScopes("todo:write"))]
    throttle_classes = [KeyRateThrottle]

    @extend_schema(responses={200: NoteSerializer})
    def get(self, request):
        return Response({})

    @extend_schema(request=NoteSerializer, responses={200: NoteSerializer})
    @requires_scopes("todo:write")
    def put(self, request):
        return Response({})


class Either(APIView):
    """Whatever suits."""

    authentication_classes = [OAuthTokenAuthentication]
    permission_classes = [HasScopes("todo:read", "usage:read", match="any")]

    @extend_schema(responses={200: NoteSerializer})
    def get(self, request):
        return Response({})


class Profile(APIView):
    """About the person whose token comes with the key."""

    authentication_classes = [LayeredAuthentication]
    permission_classes = [HasUserConsent, HasScopes("todo:read")]

    @extend_schema(responses={200: NoteSerializer})
    def get(self, request):
        return Response({})


class AnyKey(APIView):
    """For every key."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasAPIKey]

    @extend_schema(responses={200: NoteSerializer})
    def get(self, request):
        return Response({})


class Decided(APIView):
    """Asks the request."""

    authentication_classes = [APIKeyAuthentication]

    def get_permissions(self):
        return [HasScopes("usage:read")() if self.request.method == "GET" else HasScopes("todo:write")()]

    @extend_schema(responses={200: NoteSerializer})
    def get(self, request):
        return Response({})


class People(APIView):
    """For people, who see no key here."""

    authentication_classes = [SessionAuthentication]

    @extend_schema(responses={200: NoteSerializer})
    def get(self, request):
        return Response({})


@extend_schema(request=None, responses={204: None})
@api_view(["POST"])
@authentication_classes([APIKeyAuthentication])
@requires_scopes("todo:write")
def tidy_up(request):
    """Throw away what is done."""
    return Response(status=204)


def swagger_ui(request):
    """Return Swagger UI under the policy that it needs: its page has a style sheet, and that has pictures."""
    response = SpectacularSwaggerSplitView.as_view(url_name="schema")(request)
    response["Content-Security-Policy"] = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
    return response


router = DefaultRouter()
router.register("notes", NoteViewSet, basename="note")

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include(router.urls)),
    path("api/numbers/", Numbers.as_view()),
    path("api/either/", Either.as_view()),
    path("api/profile/", Profile.as_view()),
    path("api/any-key/", AnyKey.as_view()),
    path("api/decided/", Decided.as_view()),
    path("api/people/", People.as_view()),
    path("api/tidy-up/", tidy_up),
    path("apikeys/", include("apikeys.urls")),
    path("oauth/", include("apikeys.oauth.urls")),
    path("schema/", SpectacularAPIView.as_view(schema=None), name="schema"),
    path("docs/", swagger_ui, name="docs"),
]
