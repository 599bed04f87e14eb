"""A day in a few words. It reads what the authority has signed, and goes on while that is away."""

from __future__ import annotations

from collections import Counter
from typing import cast

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.core.principals import Principal
from apikeys.drf import HasOwner, HasScopes
from apikeys.resource_server import SignedTokenAuthentication

_SENTENCES = (
    "Half of it can wait, and the other half is late.",
    "One call, two bugs, no meeting.",
    "Nothing that a good night's sleep would not close.",
)
#: How often each person asked. Gone with the process.
_asked: Counter[str] = Counter()


class SummaryView(APIView):
    """What today is about: made up, for this server has never seen a to-do."""

    authentication_classes = [SignedTokenAuthentication]
    permission_classes = [HasScopes("todo:read"), HasOwner]

    def get(self, request: Request) -> Response:
        """Return it, and what the authority says of the app that asks."""
        principal = cast("Principal", request.auth)
        person = principal.user.pk
        _asked[person] += 1
        return Response(
            {
                "person": person,
                "summary": _SENTENCES[_asked[person] % len(_SENTENCES)],
                "asked": _asked[person],
                "subscription": principal.claims.get("subscription"),
            }
        )


urlpatterns = [path("api/summary", SummaryView.as_view())]
