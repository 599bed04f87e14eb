"""``requires_scopes``: a demand written on a function, a method, an action or a class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from ..core.scopes import as_names
from .permissions import HasScopes, Match, named_scopes, opens_to_keys

if TYPE_CHECKING:
    # Not at run time: views import the classes that REST framework's settings name, which need this module.
    from rest_framework.views import APIView

Target = TypeVar("Target")

#: Where ``@api_view`` makes its handlers. Importing it would import views too.
_VIEWS_MODULE = "rest_framework.views"
_API_VIEW_MODULE = "rest_framework.decorators"


def requires_scopes(
    *names: str, match: Match = "all", **by_method: str | list[str] | tuple[str, ...]
) -> Callable[[Target], Target]:
    """
    Return a decorator that demands scopes before the body runs, in addition to what the class demands.

    ``@requires_scopes("todo:read")``, or by HTTP method or action: ``@requires_scopes(GET="todo:read",
    POST="todo:write")``, where what is not named is refused. It goes on function views above or below
    ``@api_view``, on ``APIView`` and viewset classes, on their methods and on single ``@action``s.

    Raises:
        TypeError: If it names nothing, or both forms; if the target is no view of REST framework's, or one that
            another decorator has wrapped, which would be lost.
    """
    if bool(names) == bool(by_method):
        message = "requires_scopes takes names, or names by method: ('todo:read') or (GET='todo:read')."
        raise TypeError(message)
    declared: Any = by_method or names
    demand = Demand(declared, match=match)

    def decorate(target: Any) -> Any:
        if inspect.isclass(target):
            return _on_class(target, demand)
        if hasattr(target, "cls"):
            return _on_view(target, demand)
        return _on_callable(target, demand)

    return decorate


class Demand:
    """Scopes that one decorator names."""

    def __init__(self, declared: tuple[str, ...] | Mapping[str, Any], *, match: Match) -> None:
        self.declared = declared
        self.match = match
        # A misspelt demand fails where it is written, not on the first request.
        for names in declared.values() if isinstance(declared, Mapping) else [declared]:
            HasScopes(*as_names(names), match=match)

    def check(self, request: Request, view: Any) -> None:
        """
        Pass where the caller may go on.

        Raises:
            Refused: With the status, challenge and body of the refusal.
            PermissionDenied: For a session user, to whom scopes mean nothing.
        """
        action = getattr(view, "action", None)
        names = named_scopes(self.declared, method=request.method or "", action=action)
        permission = HasScopes(*names, match=self.match)() if names else _Undeclared()
        if not permission.has_permission(request, view):
            raise PermissionDenied


class _Undeclared(HasScopes):
    """Asks for nothing, which refuses, whatever the view names."""

    def required(self, request: Request, view: APIView) -> tuple[str, ...]:
        return ()


def demands_of(callable_: Any) -> Iterator[Demand]:
    """Yield the demands on *callable_*, a view's handler or class, also where ``@api_view`` hides the function."""
    for function in functions_of(callable_):
        yield from getattr(function, "scope_demands", ())


def functions_of(callable_: Any) -> Iterator[Any]:
    """Yield *callable_*, a view's handler or class, and what ``@api_view`` hides in it."""
    yield callable_
    # REST framework makes a handler that holds the decorated function in its closure. Other closures may hold anything.
    if getattr(callable_, "__module__", None) == _API_VIEW_MODULE:
        for cell in getattr(callable_, "__closure__", None) or ():
            yield cell.cell_contents


def declares_scopes(view: Any, *, method: str) -> bool:
    """Whether *view*, an instance at work, says which keys may come in for *method*."""
    # Instances cost, and nobody but a view with rules of its own makes others than these.
    is_plain = type(view).get_permissions.__module__ == _VIEWS_MODULE
    for permission in view.permission_classes if is_plain else view.get_permissions():
        if getattr(permission, "opens_to_keys", False) or opens_to_keys(permission):
            return True
    handler = getattr(view, method.lower(), None)
    return any(list(demands_of(place)) for place in (type(view), handler))


def _on_callable(function: Callable[..., Any], demand: Demand) -> Any:
    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        # A method gets its view first, a function view the request.
        request = next((arg for arg in args[:2] if isinstance(arg, Request)), None)
        if request is None:
            message = (
                f"@requires_scopes on {function.__qualname__} needs REST framework's request: put @api_view on it."
            )
            raise TypeError(message)
        demand.check(request, None if args[0] is request else args[0])
        return function(*args, **kwargs)

    return _mark(checked, demand)


def _on_class(view_class: Any, demand: Demand) -> Any:
    from rest_framework.views import APIView  # noqa: PLC0415  # see above

    if not issubclass(view_class, APIView):
        message = f"@requires_scopes needs an APIView, and {view_class.__name__} is none."
        raise TypeError(message)
    check_permissions = view_class.check_permissions

    @functools.wraps(check_permissions)
    def check(self: APIView, request: Request) -> None:
        check_permissions(self, request)
        demand.check(request, self)

    view_class.check_permissions = check
    return _mark(view_class, demand)


def _on_view(view: Any, demand: Demand) -> Any:
    # as_view() may serve the class elsewhere too: the demand goes on a subclass.
    subclass = type(view.cls.__name__, (view.cls,), {"__module__": view.cls.__module__, "__doc__": view.cls.__doc__})
    initkwargs = dict(view.initkwargs)
    if hasattr(view, "actions"):
        initkwargs["actions"] = view.actions
    checked = _on_class(subclass, demand).as_view(**initkwargs)
    if [layer.__code__ for layer in _layers(view)] != [layer.__code__ for layer in _layers(checked)]:
        message = f"@requires_scopes would take other decorators off {view.cls.__name__}: put it below them."
        raise TypeError(message)
    return checked


def _layers(view: Any) -> Iterator[Any]:
    while inspect.isfunction(view):
        yield view
        view = getattr(view, "__wrapped__", None)


def _mark(target: Any, demand: Demand) -> Any:
    target.scope_demands = (*getattr(target, "scope_demands", ()), demand)
    if not inspect.isclass(target):
        # For schemas; on a class the name belongs to what ``HasScopes`` asks for.
        target.required_scopes = demand.declared
    return target
