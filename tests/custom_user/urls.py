from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.urls import path
from rest_framework.response import Response

from tests.request_path_urls import KeyView
from tests.urls import urlpatterns as usual


class Owner(KeyView):
    """Tells who ``request.user`` is."""

    def get(self, request: Any) -> Response:
        person = request.user
        return Response(
            {
                "pk": str(person.pk),
                "name": person.get_username(),
                "is_active": person.is_active,
                "is_a_person": isinstance(person, get_user_model()),
                "last_login": person.last_login,
            }
        )


urlpatterns = [*usual, path("owner/", Owner.as_view())]
