"""Every REST framework view that the URL configuration leads to, read without a request."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.schemas.generators import EndpointEnumerator
from rest_framework.views import APIView

from .decorators import demands_of
from .permissions import HasAPIKey, HasScopes, operands_of

#: What writes a route as a template. Its patterns are not used, and without any it would import the project's.
_TEMPLATES = EndpointEnumerator(patterns=())
_ALWAYS_SATISFIED = (HasAPIKey, IsAuthenticated, AllowAny)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A view as one URL pattern serves it."""

    #: Its address as a template: ``/api/todos/{id}/``.
    path: str
    view_class: type[APIView]
    #: What ``as_view()`` was called with, which goes before what the class says.
    initkwargs: Mapping[str, Any]
    #: HTTP method, in upper case, to viewset action; None as the action of other views.
    actions: Mapping[str, str | None]

    def __str__(self) -> str:
        return f"{self.view_class.__module__}.{self.view_class.__name__}"

    def listed(self, name: str) -> tuple[Any, ...] | None:
        """Return the list in attribute *name*; None where that can't be told, as of a property."""
        value = self.attribute(name)
        return tuple(value) if isinstance(value, list | tuple) else None

    def attribute(self, name: str) -> Any:
        """Return what an instance of the view would have as *name*; None for nothing."""
        return self.initkwargs.get(name, getattr(self.view_class, name, None))

    @property
    def permissions(self) -> tuple[Any, ...] | None:
        """The permission classes and trees; None where they can't be told."""
        if self.view_class.get_permissions is not APIView.get_permissions:
            return None
        return self.listed("permission_classes")

    @property
    def takes_keys(self) -> bool:
        """Whether a key or a token of this app authenticates here."""
        return any(map(takes_our_credentials, self.listed("authentication_classes") or ()))

    @property
    def ways_in(self) -> frozenset[tuple[str, ...]]:
        """What may come in here, each way as what a request holds: ``("key",)``, ``("token",)``, both at once."""
        listed = self.listed("authentication_classes") or ()
        ours = [item for item in listed if takes_our_credentials(item)]
        others = {getattr(item, "otherwise", ()) for item in ours} - {()}
        return frozenset(item.credentials for item in ours) | others

    def demands(self, method: str) -> list[Any]:
        """Return what ``requires_scopes`` demands of *method*, on the class and on its handler."""
        return demands_on(self.view_class, self.actions[method] or method.lower())

    def declared_scopes(self) -> Iterator[Any]:
        """Yield each declaration of scopes: a name, names, or a dict of these."""
        for permission in nodes(*(self.permissions or ())):
            if is_subclass(permission, HasScopes):
                yield permission.names or self.attribute("required_scopes")
        for method in self.actions:
            yield from (demand.declared for demand in self.demands(method))


def endpoints() -> list[Endpoint]:
    """Return every REST framework view of the URL configuration; none if that can't be imported."""
    return known_endpoints() or []


def known_endpoints() -> list[Endpoint] | None:
    """Return every REST framework view of the URL configuration; None if that can't be imported."""
    try:
        return list(_endpoints(get_resolver().url_patterns, before=""))
    except Exception:  # noqa: BLE001  # the project's URL modules may fail in any way, and Django's own check tells how
        return None


def takes_our_credentials(authenticator: Any) -> bool:
    """Whether *authenticator*, a class or an instance, gives a ``Principal``."""
    return bool(getattr(authenticator, "takes_our_credentials", False))


def demands_on(view_class: type[APIView], handler_name: str) -> list[Any]:
    """Return what ``requires_scopes`` demands on *view_class* and on its handler."""
    return [*demands_of(view_class), *demands_of(getattr(view_class, handler_name, None))]


def nodes(*permissions: Any) -> Iterator[Any]:
    """Yield *permissions* and all that their trees join."""
    for permission in permissions:
        yield permission
        yield from nodes(*operands_of(permission))


def joins_by(permission: Any, ours: type, theirs: type) -> bool:
    """Whether *permission* is a tree of *ours*, or of *theirs*, which is REST framework's, as a class or at work."""
    return is_kind(permission, ours) or theirs in (getattr(permission, "operator_class", None), type(permission))


def is_always_satisfied(permission: Any) -> bool:
    """Whether every key satisfies *permission*, so that none satisfies the reverse. A subclass may be stricter."""
    return permission in _ALWAYS_SATISFIED or type(permission) in _ALWAYS_SATISFIED


def is_kind(permission: Any, kind: type) -> bool:
    """Whether *permission*, a class or an instance, is a *kind*."""
    return isinstance(permission, kind) or is_subclass(permission, kind)


def is_subclass(item: Any, kind: type) -> bool:
    """Whether *item* is a class, and a *kind*."""
    return inspect.isclass(item) and issubclass(item, kind)


def _endpoints(patterns: Any, *, before: str) -> Iterator[Endpoint]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _endpoints(pattern.url_patterns, before=route)
        elif isinstance(pattern, URLPattern):
            view_class: Any = getattr(pattern.callback, "cls", None)
            if is_subclass(view_class, APIView):
                yield Endpoint(
                    path=_path(route),
                    view_class=view_class,
                    initkwargs=getattr(pattern.callback, "initkwargs", {}),
                    actions=_actions(view_class, getattr(pattern.callback, "actions", None)),
                )


def _path(route: str) -> str:
    # As in schemas, where SCHEMA_COERCE_PATH_PK renames what is an identifier to whoever calls.
    return str(_TEMPLATES.get_path_from_regex(route)).replace("{pk}", "{id}")


def _actions(view_class: type[APIView], bound: Any) -> dict[str, str | None]:
    if isinstance(bound, Mapping):
        return {method.upper(): action for method, action in bound.items() if method != "head"}
    methods = (method for method in view_class.http_method_names if method not in {"head", "options"})
    return {method.upper(): None for method in methods if hasattr(view_class, method)}
