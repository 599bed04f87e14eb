"""The API. Every query starts from the person that the credential acts for."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth import get_user_model
from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.filters import BaseFilterBackend, OrderingFilter, SearchFilter
from rest_framework.pagination import PageNumberPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, CharField, IntegerField, ListField, ModelSerializer, Serializer
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from apikeys.core.principals import Principal
from apikeys.drf import APIKeyAuthentication, HasOwner, HasScopes, IsSessionUser, KeyRateThrottle
from apikeys.drf.permissions import named_scopes
from apikeys.oauth import HasUserConsent, LayeredAuthentication, OAuthTokenAuthentication
from apikeys.registry import declared

from .models import Todo, TodoQuerySet


class TodoSerializer(ModelSerializer[Todo]):
    """A to-do without its owner, who is never the client's to choose."""

    class Meta:
        model = Todo
        fields = ("id", "title", "notes", "due_on", "is_done", "created_at")
        read_only_fields = ("id", "created_at")


class DoneFilter(BaseFilterBackend):
    """``?is_done=true`` and ``?is_done=false``."""

    answers = {"true": True, "false": False}

    def filter_queryset(self, request: Request, queryset: Any, view: APIView) -> Any:
        asked = request.query_params.get("is_done")
        if asked is None:
            return queryset
        if asked not in self.answers:
            raise ValidationError({"is_done": ["Must be true or false."]})
        return queryset.filter(is_done=self.answers[asked])

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        schema = {"type": "boolean"}
        return [{"name": "is_done", "in": "query", "required": False, "description": "Done or not.", "schema": schema}]


class Pages(PageNumberPagination):
    """20 to-dos a page."""

    page_size = 20


class HasRole(IsSessionUser):
    """Who is signed in holds what the view's scopes would ask of the person behind a key."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        # HEAD is GET, and what the view names nothing for is nobody's.
        named = named_scopes(getattr(view, "required_scopes", ()), method=request.method or "", action=None)
        scopes = declared(named)
        if not named or len(scopes) < len(named):
            return False
        return bool(request.user.has_perms([name for scope in scopes for name in scope.permissions]))


class NotFoundSerializer(Serializer[dict[str, str]]):
    """Nothing there, or nothing of yours: one answer."""

    detail = CharField()
    code = CharField(required=False)


@extend_schema_view(
    list=extend_schema(responses={200: TodoSerializer(many=True), 404: NotFoundSerializer}),
    retrieve=extend_schema(responses={200: TodoSerializer, 404: NotFoundSerializer}),
    update=extend_schema(responses={200: TodoSerializer, 404: NotFoundSerializer}),
    partial_update=extend_schema(responses={200: TodoSerializer, 404: NotFoundSerializer}),
    destroy=extend_schema(responses={204: None, 404: NotFoundSerializer}),
)
class TodoViewSet(ModelViewSet[Todo]):
    """To-dos of one person: whom the key or the token acts for, or who is signed in."""

    # The session last: REST framework takes the challenge of a 401 from the first class.
    authentication_classes = [APIKeyAuthentication, OAuthTokenAuthentication, SessionAuthentication]
    permission_classes = [HasScopes | HasRole, HasOwner]
    throttle_classes = [KeyRateThrottle]
    required_scopes = {
        "GET": ["todo:read"],
        "OPTIONS": ["todo:read"],
        "POST": ["todo:write"],
        "PUT": ["todo:write"],
        "PATCH": ["todo:write"],
        "DELETE": ["todo:write"],
    }
    serializer_class = TodoSerializer
    renderer_classes = [JSONRenderer]
    pagination_class = Pages
    filter_backends = [DoneFilter, SearchFilter, OrderingFilter]
    search_fields = ("title", "notes")
    ordering_fields = ("title", "due_on", "is_done", "created_at")

    def get_queryset(self) -> TodoQuerySet:
        return Todo.objects.owned_by(self.request.user)

    def get_object(self) -> Todo:
        try:
            return super().get_object()
        except Http404 as error:
            # One answer to an id of somebody else, of nobody, and to what is no id.
            raise NotFound({"detail": NotFound.default_detail, "code": NotFound.default_code}) from error

    def perform_create(self, serializer: BaseSerializer[Todo]) -> None:
        serializer.save(owner_id=self.request.user.pk)


class UsageSerializer(Serializer[dict[str, int]]):
    """Numbers."""

    people = IntegerField(min_value=0)
    todos = IntegerField(min_value=0)
    todos_done = IntegerField(min_value=0)


class UsageView(APIView):
    """Numbers, no text: of everybody for a service, else of the person that the credential acts for."""

    authentication_classes = [APIKeyAuthentication, OAuthTokenAuthentication]
    permission_classes = [HasScopes("usage:read")]
    throttle_classes = [KeyRateThrottle]
    renderer_classes = [JSONRenderer]
    serializer_class = UsageSerializer

    def get(self, request: Request) -> Response:
        """Return how many people and to-dos there are."""
        principal = cast("Principal", request.auth)
        people = get_user_model()._default_manager.filter(is_active=True)
        todos = Todo.objects.all()
        if principal.acts_for_user:
            # How much the others have to do is theirs.
            people, todos = people.filter(pk=principal.user.pk), todos.owned_by(principal.user)
        return Response(
            {"people": people.count(), "todos": todos.count(), "todos_done": todos.filter(is_done=True).count()}
        )


class ProfileSerializer(Serializer[dict[str, Any]]):
    """A person, and who asks."""

    username = CharField()
    name = CharField()
    roles = ListField(child=CharField())
    client = CharField()


class ProfileView(APIView):
    """Who the person is: for an app that shows its key, and beside it the token that the person gave it."""

    authentication_classes = [LayeredAuthentication]
    permission_classes = [HasUserConsent, HasScopes("profile:read")]
    throttle_classes = [KeyRateThrottle]
    renderer_classes = [JSONRenderer]
    serializer_class = ProfileSerializer

    def get(self, request: Request) -> Response:
        """Return name and roles of the person, and the name of the app."""
        principal = cast("Principal", request.auth)
        return Response(
            {
                "username": principal.user.get_username(),
                "name": principal.user.get_full_name(),
                "roles": list(principal.user.groups.order_by("name").values_list("name", flat=True)),
                "client": principal.client_name,
            }
        )
