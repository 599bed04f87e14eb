"""Views that the tests of the request path send keys to."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import OperationalError, transaction
from django.urls import include, path
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasScopes
from apikeys.models import APIKey

from .threads import at_once


class KeyView(APIView):
    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasAPIKey]


class Barely(KeyView):
    """Touches nothing of the person but what the look-up brought."""

    def get(self, request: Any) -> Response:
        return Response({"pk": request.user.pk, "is_active": request.user.is_active})


class Wholly(KeyView):
    """Touches several fields of the person that the look-up left out."""

    def get(self, request: Any) -> Response:
        person = request.user
        return Response([person.username, person.email, str(person.date_joined)])


class Refreshing(KeyView):
    """Reads the person's row again, as a view does before it changes something."""

    def get(self, request: Any) -> Response:
        person = request.user
        get_user_model().objects.filter(pk=person.pk).update(is_superuser=True)
        person.refresh_from_db(fields=["is_superuser"])
        return Response({"is_superuser": person.is_superuser})


class Locking(KeyView):
    """Reads the person's row again through a query set of its own."""

    def get(self, request: Any) -> Response:
        person = request.user
        person.refresh_from_db(from_queryset=get_user_model().objects.all())
        return Response({"username": person.username})


class LastUsed(KeyView):
    """Tells what the row says of its own use while the view runs."""

    def get(self, request: Any) -> Response:
        key = APIKey.objects.get(key_id=request.auth.key_id)
        return Response({"last_used_at": key.last_used_at})


class Broken(KeyView):
    def get(self, request: Any) -> Response:
        raise RuntimeError("a fault of the project")


class Reads(KeyView):
    permission_classes = [HasScopes("todo:read")]

    def get(self, request: Any) -> Response:
        return Response({"scopes": sorted(request.auth.scopes)})


class Open(KeyView):
    permission_classes = [AllowAny]

    def get(self, request: Any) -> Response:
        return Response({"anonymous": request.auth is None})


class Renaming(KeyView):
    """Changes the row of the key that is in use."""

    def post(self, request: Any) -> Response:
        APIKey.objects.filter(key_id=request.auth.key_id).update(note="changed while the key was in use")
        return Response()


class Locked(KeyView):
    """Tells whether another connection can have the row of the key that is in use."""

    def get(self, request: Any) -> Response:
        def lock() -> bool:
            try:
                with transaction.atomic():
                    APIKey.objects.select_for_update(nowait=True).get(key_id=request.auth.key_id)
            except OperationalError:
                return True
            return False

        return Response({"is_locked": at_once(lock)[0]})


urlpatterns = [
    path("renaming/", Renaming.as_view()),
    path("locked/", Locked.as_view()),
    path("barely/", Barely.as_view()),
    path("wholly/", Wholly.as_view()),
    path("refreshing/", Refreshing.as_view()),
    path("locking/", Locking.as_view()),
    path("last-used/", LastUsed.as_view()),
    path("broken/", Broken.as_view()),
    path("reads/", Reads.as_view()),
    path("open/", Open.as_view()),
    path("apikeys/", include("apikeys.urls")),
]
