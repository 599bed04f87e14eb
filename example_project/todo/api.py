"""The API. Every query starts from the person that the credential acts for."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth import get_user_model
from django.http import Http404
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.filters import BaseFilterBackend, OrderingFilter, SearchFilter
from rest_framework.pagination import PageNumberPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, ModelSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from apikeys.core.principals import Principal
from apikeys.drf import APIKeyAuthentication, HasOwner, HasScopes, IsSessionUser

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


class Pages(PageNumberPagination):
    """20 to-dos a page."""

    page_size = 20


class TodoViewSet(ModelViewSet[Todo]):
    """To-dos of one person: the owner of the key, or who is signed in."""

    # The key first: REST framework takes the challenge of a 401 from the first class.
    authentication_classes = [APIKeyAuthentication, SessionAuthentication]
    permission_classes = [HasScopes | IsSessionUser, HasOwner]
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


class UsageView(APIView):
    """Numbers, no text: of everybody for a service key, else of the person that the key acts for."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScopes("usage:read")]
    renderer_classes = [JSONRenderer]

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
