"""``KeyRateThrottle``: REST framework's question, answered by ``limits``; and what a view's requests cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from .. import limits
from ..core.calls import note_refusal
from ..core.errors import LimitExceededError, LimitsUnavailableError
from ..core.principals import Principal
from .decorators import demands_of, functions_of
from .refusals import Refused

Target = TypeVar("Target", bound=Callable[..., Any])
Cost = int | Callable[[Request], int]

#: Where the HttpRequest carries the answers that it got, by ``limit_scope``.
_ATTRIBUTE = "apikeys_limits"


class KeyRateThrottle(BaseThrottle):
    """
    Spend the rates and quotas of the calling key, and of its client and replacements.

    Callers without a credential of ours pass: what REST framework's own throttles count is not shared with keys.
    A view can name ``limit_scope``, whose rates count as well, and ``limit_cost``: a number, or a method that returns
    it for a request. Listed several times, or asked again, it spends once for each request. A view that hands its
    request on to one of another ``limit_scope`` has it spend for that one too.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        principal = request.auth
        if not isinstance(principal, Principal):
            return True
        handler = getattr(view, (request.method or "").lower(), None)
        scope = limit_scope_of(view, handler)
        answers: dict[str, bool | Refused] = request._request.__dict__.setdefault(_ATTRIBUTE, {})
        found = answers.get(scope)
        if found is None:
            found = answers[scope] = self._spend(principal, request, view, handler=handler, scope=scope)
        if isinstance(found, Refused):
            # Not False: REST framework would ask the remaining throttles, and they would count what is refused.
            raise found
        return True

    def _spend(
        self, principal: Principal, request: Request, view: APIView, *, handler: Any, scope: str
    ) -> bool | Refused:
        # A decorated handler asks for its scopes only when it runs. What is refused there must not spend anything.
        for demand in demands_of(handler):
            demand.check(request, view)
        try:
            standings = limits.spend(
                principal,
                scope=scope,
                cost=_cost_of(view, handler, request),
                request=request._request,
            )
        except LimitExceededError as error:
            note_refusal(request._request, "limited")
            _tell(view, limits.header_fields(error.standings))
            return Refused.from_error(error, request=request)
        except LimitsUnavailableError as error:
            return Refused.from_error(error, request=request)
        _tell(view, limits.header_fields(standings))
        return True


def counts_as(*, scope: str = "", cost: Cost | None = None) -> Callable[[Target], Target]:
    """
    Return a decorator that says what ``limit_scope`` and ``limit_cost`` of a single handler are.

    It goes on methods, on actions and, below ``@api_view``, on function views. *cost* may be a function of the request.
    What it does not say is as another one below it says, or as the view has it.

    Raises:
        TypeError: If the target is a view or class, which takes attributes instead.
    """

    def decorate(target: Target) -> Target:
        if isinstance(target, type) or hasattr(target, "cls"):
            message = "counts_as goes on a method or below @api_view. A class takes limit_scope and limit_cost."
            raise TypeError(message)
        # Only what is said: an empty scope would hide that of another one below, and its limit with it.
        if scope:
            target.limit_scope = scope  # type: ignore[attr-defined]  # as REST framework marks
        if cost is not None:
            target.limit_cost = cost  # type: ignore[attr-defined]
        return target

    return decorate


def limit_scope_of(view: Any, handler: Any) -> str:
    """Return the ``limit_scope`` of *handler*, or of *view*; empty for none."""
    return _said(handler, "limit_scope") or getattr(view, "limit_scope", None) or ""


def _cost_of(view: Any, handler: Any, request: Request) -> int:
    cost = _said(handler, "limit_cost")
    if cost is None:
        cost = getattr(view, "limit_cost", 1)
    found: int = cost(request) if callable(cost) else cost
    return found


def _said(handler: Any, name: str) -> Any:
    """Return what ``counts_as`` says of *handler* under *name*; None for nothing."""
    return next((getattr(function, name) for function in functions_of(handler) if hasattr(function, name)), None)


def _tell(view: APIView, fields: dict[str, str]) -> None:
    # REST framework puts view.headers on whatever the view answers, a refusal as well.
    headers = getattr(view, "headers", None)
    if headers is not None:
        headers.update(fields)
