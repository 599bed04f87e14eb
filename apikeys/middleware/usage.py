"""Counts requests when they are answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from .. import counting, signals
from ..core.calls import ATTRIBUTE, Call
from ..core.outcomes import FAILED, LIMITED, OK, SCOPE_MISSING, UNCOUNTED

Response = HttpResponseBase | Awaitable[HttpResponseBase]

#: Callers may invent others, each of which would be counted apart.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_STATUSES = {status: str(status) for status in range(400, 500)}
#: The caller hung up before there was an answer; nginx's word for it.
_HUNG_UP = 499
_CRASHED = 500
_LONGEST_TEXT = 200


class UsageMiddleware:
    """
    Count each request that a key was verified in, once, when its answer begins.

    It comes first in ``MIDDLEWARE``, where every answer passes, also those of other middleware and of faults. It runs
    no query: counts are written every few seconds, by a thread of their own.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        if self._is_async:
            return self._answer(request)
        began = time.perf_counter()
        try:
            response = cast("HttpResponseBase", self.get_response(request))
        except BaseException:
            # Django makes answers of all but what ends a process: a worker that takes too long, for example.
            _count(request, status=_CRASHED, began=began)
            raise
        _count(request, status=response.status_code, began=began)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        try:
            response = await cast("Awaitable[HttpResponseBase]", self.get_response(request))
        except asyncio.CancelledError:
            _count(request, status=_HUNG_UP, began=began)
            raise
        except BaseException:
            _count(request, status=_CRASHED, began=began)
            raise
        _count(request, status=response.status_code, began=began)
        return response


def _count(request: HttpRequest, *, status: int, began: float) -> None:
    call: Call | None = getattr(request, ATTRIBUTE, None)
    if call is None:
        return
    method = request.method or ""
    if method not in _METHODS:
        method = "OTHER"
    route = _route(request)
    outcome = _outcome(status, call)
    counting.count_call(
        call,
        route=route,
        method=method,
        outcome=outcome,
        user_agent=request.META.get("HTTP_USER_AGENT", "")[:_LONGEST_TEXT],
        now=timezone.now(),
    )
    if signals.request_counted.receivers:
        signals.request_counted.send_robust(
            sender=None,
            client_id=call.principal.client_id,
            key_id=call.principal.key_id,
            route=route,
            method=method,
            outcome=outcome,
            seconds=time.perf_counter() - began,
        )


def _route(request: HttpRequest) -> str:
    match: Any = request.resolver_match
    if match is None:
        return ""
    # Never the path that was asked for: there may be a million of them.
    return str(match.view_name if match.url_name else match.route or "/")[:_LONGEST_TEXT]


def _outcome(status: int, call: Call) -> str:
    if status < 400:  # noqa: PLR2004  # as HTTP has it, like those below
        return UNCOUNTED if call.is_uncounted else OK
    if status >= 500:  # noqa: PLR2004
        return FAILED
    if status == 429 and call.refused_as == "limited":  # noqa: PLR2004
        return LIMITED
    if status == 403 and call.refused_as == "scope_missing":  # noqa: PLR2004
        return SCOPE_MISSING
    return _STATUSES[status]
