"""
System checks of the views that ``drf.endpoints`` finds.

They read ``permission_classes``, ``requires_scopes`` and ``required_scopes``. What ``get_permissions()`` would return
is known only on a request, so of a view that has its own nothing is said but what its decorators say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import NOT, OR
from rest_framework.settings import api_settings

from ..checks import TAG
from ..checks.rules import did_you_mean
from ..conf import settings
from ..core.claims import Claim
from ..core.scopes import ScopeRegistry, as_names
from ..registry import declared_claims, scope_registry
from .claims import HasClaim
from .endpoints import (
    Endpoint,
    endpoints,
    is_always_satisfied,
    is_kind,
    is_subclass,
    joins_by,
    nodes,
    takes_our_credentials,
)
from .permissions import AnyOf, HasScopes, IsSessionUser, NoneOf, named_scopes, opens_to_keys, operands_of

#: Where views are that declare what they mean to, or that the project can't make declare anything.
NOT_THE_PROJECTS = ("apikeys.", "rest_framework.")
#: What asks an authority is there.
_API_SERVERS = "apikeys.resource_server."


@register(Tags.security, TAG)
def check_views(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find views that ask for what nobody has (E002, E003, E021), let too many in (E005) or too few (W102, W103)."""
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


def _readable_registry() -> ScopeRegistry | None:
    try:
        return scope_registry()
    except Exception:  # noqa: BLE001  # an app's api_scopes.py may fail in any way; E004 tells how
        return None


def _check(endpoint: Endpoint, scopes: ScopeRegistry | None) -> Iterator[CheckMessage]:
    yield from _undeclared_scopes(endpoint, scopes)
    yield from _nameless_demands(endpoint)
    yield from _loose_alternatives(endpoint)
    yield from _impossible_claims(endpoint)
    if endpoint.takes_keys and not endpoint.view_class.__module__.startswith(NOT_THE_PROJECTS):
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
    for permission in nodes(*(endpoint.permissions or ())):
        if isinstance(permission, HasScopes):
            yield Error(
                "HasScopes() is an instance, and REST framework calls for classes.",
                hint="Write HasScopes without parentheses, or name scopes in them.",
                obj=str(endpoint),
                id="apikeys.E003",
            )
        elif is_subclass(permission, HasScopes) and not permission.names and _names_nothing(endpoint):
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
    for permission in nodes(*(endpoint.permissions or ())):
        is_loose = joins_by(permission, AnyOf, OR) or joins_by(permission, NoneOf, NOT)
        if is_loose and _asks_for_scopes(permission) and _admits_without_scopes(permission):
            yield Error(
                "HasScopes is joined by “|” with a permission that a key without scopes satisfies, or turned by “~”.",
                hint="Join it with IsSessionUser for people and HasScopes for keys: IsSessionUser | HasScopes('…'). "
                "To ask for more than a scope, join with “&”.",
                obj=str(endpoint),
                id="apikeys.E005",
            )


def _impossible_claims(endpoint: Endpoint) -> Iterator[CheckMessage]:
    if any(map(_asks_elsewhere, endpoint.listed("authentication_classes") or ())):
        return
    declared = declared_claims()
    for permission in nodes(*(endpoint.permissions or ())):
        if not is_kind(permission, HasClaim) or (problem := _problem_with(permission, declared)) is None:
            continue
        yield Error(
            f"The view asks for a claim that nobody can have. {problem}",
            hint="Declare it in APIKEYS['CLAIMS'], or correct it here. Turned by “~” it would let everybody in.",
            obj=str(endpoint),
            id="apikeys.E021",
        )


def _asks_elsewhere(authenticator: Any) -> bool:
    """Whether the claims that *authenticator* brings are declared by an authority on another site."""
    return any(parent.__module__.startswith(_API_SERVERS) for parent in getattr(authenticator, "__mro__", ()))


def _problem_with(permission: Any, declared: Mapping[str, Claim]) -> str | None:
    name = permission.name
    if not name:
        return "HasClaim stands there without the name of one."
    claim = declared.get(name)
    if claim is None:
        return f"There is no claim {name!r}. {did_you_mean(name, declared) if declared else 'None is declared.'}"
    for value in permission.values:
        # Of a list one item is asked for.
        if not claim.takes([value] if claim.kind == "texts" else value):
            choices = f" {did_you_mean(value, map(str, claim.choices))}" if claim.choices else ""
            return f"The claim {name!r} is never {value!r}.{choices}"
    return None


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
        message = f"The view takes keys or tokens but declares nothing for {methods}, so it refuses every one there."
    else:
        message = f"Any key or token will do for {methods}: the view names no scope and REQUIRE_DECLARED_SCOPES is off."
    yield Warning(
        message,
        hint="Require a scope with HasScopes or requires_scopes. Where any key is meant to do, write HasAPIKey and "
        "silence this warning.",
        obj=str(endpoint),
        id="apikeys.W102",
    )


def _late_authentication(endpoint: Endpoint) -> Iterator[CheckMessage]:
    classes = endpoint.listed("authentication_classes") or ()
    first = next(index for index, item in enumerate(classes) if takes_our_credentials(item))
    if any(is_subclass(item, SessionAuthentication) for item in classes[:first]):
        is_default = list(classes) == list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)
        yield Warning(
            f"{classes[first].__name__} stands after SessionAuthentication.",
            hint="Put it first: REST framework takes 401 or 403, and WWW-Authenticate, from the first class, and a "
            "session would go before a key.",
            obj="REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']" if is_default else str(endpoint),
            id="apikeys.W103",
        )


def _asks_for_scopes(permission: Any) -> bool:
    return any(is_kind(node, HasScopes) for node in nodes(permission))


def _admits_without_scopes(permission: Any) -> bool:
    """Whether a key that holds no scope could satisfy *permission*. Of what is not known here, yes."""
    operands = operands_of(permission)
    if joins_by(permission, NoneOf, NOT):
        return not any(map(is_always_satisfied, operands))
    if joins_by(permission, AnyOf, OR):
        return any(map(_admits_without_scopes, operands))
    if operands:
        return all(map(_admits_without_scopes, operands))
    return not (is_kind(permission, HasScopes) or is_kind(permission, IsSessionUser))


def _names_in(declared: Any) -> list[str]:
    values = declared.values() if isinstance(declared, Mapping) else [declared]
    found: list[Any] = []
    for value in values:
        if isinstance(value, str | list | tuple | set | frozenset):
            found += as_names(value)  # type: ignore[arg-type]  # a set will do
    return [name for name in found if isinstance(name, str)]
