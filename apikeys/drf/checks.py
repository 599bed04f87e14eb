"""
System checks of the views: every view that the URL configuration leads to, read without a request.

They read ``permission_classes``, ``requires_scopes`` and ``required_scopes``. What ``get_permissions()`` would return
is known only on a request, so of a view that has its own nothing is said but what its decorators say.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import NOT, OR, AllowAny, IsAuthenticated
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from ..checks import TAG
from ..conf import settings
from ..core.scopes import ScopeRegistry, as_names
from ..registry import scope_registry
from .authentication import APIKeyAuthentication
from .decorators import demands_of
from .permissions import AnyOf, HasAPIKey, HasScopes, IsSessionUser, NoneOf, named_scopes, opens_to_keys, operands_of

#: Where views are that declare what they mean to, or that the project can't make declare anything.
_NOT_THE_PROJECTS = ("apikeys.", "rest_framework.")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A view as one URL pattern serves it."""

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
        """Whether a key authenticates here."""
        return any(_is_subclass(item, APIKeyAuthentication) for item in self.listed("authentication_classes") or ())

    def demands(self, method: str) -> list[Any]:
        """Return what ``requires_scopes`` demands of *method*, on the class and on its handler."""
        handler = getattr(self.view_class, self.actions[method] or method.lower(), None)
        return [*demands_of(self.view_class), *demands_of(handler)]

    def declared_scopes(self) -> Iterator[Any]:
        """Yield each declaration of scopes: a name, names, or a dict of these."""
        for permission in _nodes(*(self.permissions or ())):
            if _is_subclass(permission, HasScopes):
                yield permission.names or self.attribute("required_scopes")
        for method in self.actions:
            yield from (demand.declared for demand in self.demands(method))


@register(Tags.security, TAG)
def check_views(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find views that require what nobody can hold (E002, E003), let too many in (E005) or too few (W102, W103)."""
    scopes = _readable_registry()
    messages: list[CheckMessage] = []
    for endpoint in endpoints():
        for message in _check(endpoint, scopes):
            # A view has several addresses, and its fault is one.
            if message not in messages:
                messages.append(message)
    return messages


@register(Tags.security, TAG, deploy=True)
def check_unused_scopes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find declared scopes that open no endpoint (W101)."""
    scopes = _readable_registry()
    used = {name for endpoint in endpoints() for declared in endpoint.declared_scopes() for name in _names_in(declared)}
    return [
        Warning(
            f"Scope {scope.name!r} is declared, but no view requires it.",
            hint="Require it with HasScopes or requires_scopes, or take the declaration away.",
            id="apikeys.W101",
        )
        for scope in (scopes or {}).values()
        if scope.name not in used and not scope.is_reserved
    ]


def endpoints() -> list[Endpoint]:
    """Return every REST framework view of the URL configuration; none if that can't be imported."""
    try:
        return list(_endpoints(get_resolver().url_patterns))
    except Exception:  # noqa: BLE001  # the project's URL modules may fail in any way, and Django's own check tells how
        return []


def _endpoints(patterns: Any) -> Iterator[Endpoint]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _endpoints(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            view_class = getattr(pattern.callback, "cls", None)
            if inspect.isclass(view_class) and issubclass(view_class, APIView):
                yield Endpoint(
                    view_class=view_class,
                    initkwargs=getattr(pattern.callback, "initkwargs", {}),
                    actions=_actions(view_class, getattr(pattern.callback, "actions", None)),
                )


def _actions(view_class: type[APIView], bound: Any) -> dict[str, str | None]:
    if isinstance(bound, Mapping):
        return {method.upper(): action for method, action in bound.items() if method != "head"}
    methods = (method for method in view_class.http_method_names if method not in {"head", "options"})
    return {method.upper(): None for method in methods if hasattr(view_class, method)}


def _readable_registry() -> ScopeRegistry | None:
    try:
        return scope_registry()
    except Exception:  # noqa: BLE001  # an app's api_scopes.py may fail in any way; E004 tells how
        return None


def _check(endpoint: Endpoint, scopes: ScopeRegistry | None) -> Iterator[CheckMessage]:
    yield from _undeclared_scopes(endpoint, scopes)
    yield from _nameless_demands(endpoint)
    yield from _loose_alternatives(endpoint)
    if endpoint.takes_keys and not endpoint.view_class.__module__.startswith(_NOT_THE_PROJECTS):
        yield from _undeclared_or_open(endpoint)
        yield from _late_authentication(endpoint)


def _undeclared_scopes(endpoint: Endpoint, scopes: ScopeRegistry | None) -> Iterator[CheckMessage]:
    if scopes is None:
        return
    for declared in endpoint.declared_scopes():
        for name in _names_in(declared):
            if name not in scopes:
                yield Error(
                    f"The view requires a scope that nobody can hold. {scopes.explain_unknown(name)}",
                    hint="Declare it in APIKEYS['SCOPES'] or in an api_scopes.py, or correct the name.",
                    obj=str(endpoint),
                    id="apikeys.E002",
                )


def _nameless_demands(endpoint: Endpoint) -> Iterator[CheckMessage]:
    for permission in _nodes(*(endpoint.permissions or ())):
        if isinstance(permission, HasScopes):
            yield Error(
                "HasScopes() is an instance, and REST framework calls for classes.",
                hint="Write HasScopes without parentheses, or name scopes in them.",
                obj=str(endpoint),
                id="apikeys.E003",
            )
        elif _is_subclass(permission, HasScopes) and not permission.names and _names_nothing(endpoint):
            yield Error(
                "HasScopes is here, but no scope is named, so every key is refused.",
                hint="Write HasScopes('todo:read'), or set required_scopes: names, or a dict of names by HTTP method "
                "or action.",
                obj=str(endpoint),
                id="apikeys.E003",
            )


def _names_nothing(endpoint: Endpoint) -> bool:
    declared = endpoint.attribute("required_scopes")
    if isinstance(declared, property):
        return False
    try:
        named = [named_scopes(declared, method=method, action=action) for method, action in endpoint.actions.items()]
    except TypeError:
        return True
    return not any(named)


def _loose_alternatives(endpoint: Endpoint) -> Iterator[CheckMessage]:
    for permission in _nodes(*(endpoint.permissions or ())):
        is_loose = _joins_by(permission, AnyOf, OR) or _joins_by(permission, NoneOf, NOT)
        if is_loose and _asks_for_scopes(permission) and _admits_without_scopes(permission):
            yield Error(
                "HasScopes is joined by “|” with a permission that a key without scopes satisfies, or turned by “~”.",
                hint="Join it with IsSessionUser for people and HasScopes for keys: IsSessionUser | HasScopes('…'). "
                "To ask for more than a scope, join with “&”.",
                obj=str(endpoint),
                id="apikeys.E005",
            )


def _undeclared_or_open(endpoint: Endpoint) -> Iterator[CheckMessage]:
    permissions = endpoint.permissions
    if permissions is None:
        return
    undemanded = [method for method in endpoint.actions if not endpoint.demands(method)]
    # Of trees that ask for scopes in one branch only, E005 speaks. IsSessionUser closes a view to keys by name.
    is_settled = any(_asks_for_scopes(item) or not _admits_without_scopes(item) for item in permissions)
    if is_settled or not undemanded:
        return
    methods = ", ".join(undemanded)
    if any(map(opens_to_keys, permissions)):
        message = f"Any key will do for {methods}, whatever its scopes."
    elif settings.REQUIRE_DECLARED_SCOPES:
        message = f"The view takes keys but declares nothing for {methods}, so it refuses every key there."
    else:
        message = f"Any key will do for {methods}: the view names no scope and REQUIRE_DECLARED_SCOPES is off."
    yield Warning(
        message,
        hint="Require a scope with HasScopes or requires_scopes. Where any key is meant to do, write HasAPIKey and "
        "silence this warning.",
        obj=str(endpoint),
        id="apikeys.W102",
    )


def _late_authentication(endpoint: Endpoint) -> Iterator[CheckMessage]:
    classes = endpoint.listed("authentication_classes") or ()
    first_key = next(index for index, item in enumerate(classes) if _is_subclass(item, APIKeyAuthentication))
    if any(_is_subclass(item, SessionAuthentication) for item in classes[:first_key]):
        is_default = list(classes) == list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)
        yield Warning(
            "APIKeyAuthentication stands after SessionAuthentication.",
            hint="Put it first: REST framework takes 401 or 403, and WWW-Authenticate, from the first class, and a "
            "session would go before a key.",
            obj="REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']" if is_default else str(endpoint),
            id="apikeys.W103",
        )


def _nodes(*permissions: Any) -> Iterator[Any]:
    """Yield *permissions* and all that their trees join."""
    for permission in permissions:
        yield permission
        yield from _nodes(*operands_of(permission))


def _asks_for_scopes(permission: Any) -> bool:
    return any(_is_kind(node, HasScopes) for node in _nodes(permission))


def _admits_without_scopes(permission: Any) -> bool:
    """Whether a key that holds no scope could satisfy *permission*. Of what is not known here, yes."""
    operands = operands_of(permission)
    if _joins_by(permission, NoneOf, NOT):
        # What every key satisfies, none satisfies the reverse of. A subclass may be stricter.
        return not any(operand in _ALWAYS_SATISFIED or type(operand) in _ALWAYS_SATISFIED for operand in operands)
    if _joins_by(permission, AnyOf, OR):
        return any(map(_admits_without_scopes, operands))
    if operands:
        return all(map(_admits_without_scopes, operands))
    return not (_is_kind(permission, HasScopes) or _is_kind(permission, IsSessionUser))


_ALWAYS_SATISFIED = (HasAPIKey, IsAuthenticated, AllowAny)


def _joins_by(permission: Any, ours: type, theirs: type) -> bool:
    return _is_kind(permission, ours) or getattr(permission, "operator_class", None) is theirs


def _names_in(declared: Any) -> list[str]:
    values = declared.values() if isinstance(declared, Mapping) else [declared]
    found: list[Any] = []
    for value in values:
        if isinstance(value, str | list | tuple | set | frozenset):
            found += as_names(value)  # type: ignore[arg-type]  # a set will do
    return [name for name in found if isinstance(name, str)]


def _is_kind(permission: Any, kind: type) -> bool:
    return isinstance(permission, kind) or _is_subclass(permission, kind)


def _is_subclass(item: Any, kind: type) -> bool:
    return inspect.isclass(item) and issubclass(item, kind)
