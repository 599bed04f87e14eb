"""Proves keys before the view's transaction begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import DatabaseError, InterfaceError, connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from .. import request_parts, verification
from ..core.credentials import RequestParts
from ..core.errors import APIKeysError, TooManyHashesError

Response = HttpResponseBase | Awaitable[HttpResponseBase]


class ProofMiddleware:
    """
    Check presented keys before ``ATOMIC_REQUESTS`` opens the view's transaction, so that Argon2 runs outside of it.

    It decides nothing: the view authenticates, and finds the proof remembered. It costs a look-up for a key that is
    new to the process, no query for others, and nothing where the view gets no transaction.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            # Django would send every request through a thread for a method that is not a coroutine.
            self.process_view = self._process_view_async  # type: ignore[assignment,method-assign]  # on purpose

    def __call__(self, request: HttpRequest) -> Response:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        # Views start here, after URL resolution and before Django wraps them in a transaction.
        parts = _parts_to_prove(request, view)
        if parts is not None:
            _prove(request, parts)

    async def _process_view_async(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        parts = _parts_to_prove(request, view)
        if parts is not None:
            await sync_to_async(_prove, thread_sensitive=True)(request, parts)


def _parts_to_prove(request: HttpRequest, view: Any) -> RequestParts | None:
    if not _gets_transaction(view):
        return None
    parts = request_parts.read(request)
    return parts if parts.headers else None


def _gets_transaction(view: Any) -> bool:
    # As Django's handler decides it.
    excepted = getattr(view, "_non_atomic_requests", ())
    return any(
        database["ATOMIC_REQUESTS"] and alias not in excepted for alias, database in connections.settings.items()
    )


def _prove(request: HttpRequest, parts: RequestParts) -> None:
    try:
        verification.prove(parts, now=timezone.now())
    except TooManyHashesError:
        # The view is to refuse at once, or a saturated server would hold each worker for twice as long.
        request_parts.note_wait(request)
    except (APIKeysError, DatabaseError, InterfaceError):
        # The view meets the same fault and answers for it, or takes no keys and does not care.
        return
