"""What views of API servers share, also in a process that has no models."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from rest_framework.views import APIView


class WithoutDatabase(APIView):
    """A view of an API server, which has no database that a transaction could begin in."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return transaction.non_atomic_requests(super().as_view(**initkwargs))
