"""System checks of the declared scopes and of what a project must know; ``drf.checks`` has those of the views."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_permission_codename, get_user_model
from django.core.cache.backends.redis import RedisCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from ..conf import settings
from ..core.errors import ScopeSyntaxError
from ..core.scopes import Scope, scope_from_declaration
from ..policy import service_keys_available
from ..registry import declared_scopes
from . import TAG
from .rules import imported

_MIDDLEWARE = "apikeys.middleware.ProofMiddleware"


@register(Tags.security, TAG)
def check_scopes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find scopes that can't be read, are declared twice or name Django permissions that nobody has (E004)."""
    scopes: Any = settings.SCOPES
    if not isinstance(scopes, Mapping):
        return []  # E001 says so
    messages: list[CheckMessage] = []
    known = _django_permissions()
    places: dict[str, str] = {}
    try:
        for place, name, declaration in declared_scopes():
            if name in places:
                messages.append(_bad_scope(f"{place}: scope {name!r} is declared in {places[name]} already."))
                continue
            places[name] = place
            try:
                scope = scope_from_declaration(name, declaration)
            except ScopeSyntaxError as error:
                messages.append(_bad_scope(f"{place}: {error}"))
            else:
                messages += _unknown_permissions(scope, place=place, known=known)
    except ScopeSyntaxError as error:
        messages.append(_bad_scope(str(error)))
    except Exception as error:  # noqa: BLE001  # an app's api_scopes.py may fail in any way, and the rest still counts
        messages.append(_bad_scope(f"An api_scopes.py can't be imported: {type(error).__name__}: {error}"))
    return messages


@register(Tags.security, TAG)
def check_service_keys(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find a user model beside which keys that act for nobody can't exist (W104)."""
    try:
        is_available = service_keys_available()
    except ImproperlyConfigured:
        return []  # AUTH_USER_MODEL names no model: Django says so
    if is_available:
        return []
    return [
        Warning(
            f"Keys that act for nobody are unavailable: the primary key of {get_user_model()._meta.label} is text.",
            hint="A person's key could read “client:…” and pass for a client. Give every key an owner, or use a "
            "primary key that is a number or a UUID.",
            id="apikeys.W104",
        )
    ]


@register(Tags.security, TAG, deploy=True)
def check_staleness(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find what makes a revocation late: a bound above zero (W203), a replica (W209)."""
    messages: list[CheckMessage] = []
    bound: Any = settings.MAX_STALENESS
    if isinstance(bound, timedelta) and bound:
        messages.append(
            Warning(
                f"A revocation reaches other processes within {bound.total_seconds():g} seconds, not at once: "
                "APIKEYS['MAX_STALENESS'] is above zero.",
                hint="Silence it if that is meant. The page that revokes a key states the bound.",
                id="apikeys.W203",
            )
        )
    if settings.READ_REPLICA:
        messages.append(
            Warning(
                "A revocation counts only when the replica has caught up: APIKEYS['READ_REPLICA'] is on.",
                hint="Silence it if that is meant. Nobody knows the bound of a replica.",
                id="apikeys.W209",
            )
        )
    return messages


@register(Tags.security, TAG, deploy=True)
def check_cache_timeout(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find a shared cache that requests could wait for without end (W207)."""
    alias: Any = settings.CACHE
    cache = django_settings.CACHES.get(alias) if isinstance(alias, str) else None
    if cache is None:
        return []  # E001 speaks of a name that is not there
    backend, _problem = imported(cache.get("BACKEND"))
    if not (inspect.isclass(backend) and issubclass(backend, RedisCache)) or _names_timeout(cache):
        return []
    return [
        Warning(
            f"CACHES[{alias!r}] names no socket_timeout, so that a Redis that hangs holds requests up: for 5 seconds "
            "with redis-py 8, without end with older versions.",
            hint='Add "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1}, in seconds. Requests go on '
            "without the cache then.",
            id="apikeys.W207",
        )
    ]


@register(Tags.security, TAG, deploy=True)
def check_atomic_requests(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find transactions around views, in which keys that are new to a process would be hashed (W208)."""
    atomic = [alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]]
    if not atomic or _MIDDLEWARE in django_settings.MIDDLEWARE:
        return []
    return [
        Warning(
            f"ATOMIC_REQUESTS is on for the database {atomic[0]!r}, so that Argon2 runs inside of the view's "
            "transaction for each key that is new to a process.",
            hint=f"Add {_MIDDLEWARE!r} to MIDDLEWARE. It checks keys before the transaction begins.",
            id="apikeys.W208",
        )
    ]


def _bad_scope(text: str) -> Error:
    hint = "Declare a scope as 'todo:read': 'View your to-dos.', or as a dict with resource, label, text."
    return Error(text, hint=hint, id="apikeys.E004")


def _unknown_permissions(scope: Scope, *, place: str, known: list[str]) -> Iterator[CheckMessage]:
    for name in scope.permissions:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            suggestion = f"Did you mean {near[0]!r}? " if near else ""
            yield Error(
                f"{place}: scope {scope.name!r} names the Django permission {name!r}, which no installed model has.",
                hint=f"{suggestion}Write 'app_label.codename', as in 'auth.view_user'.",
                id="apikeys.E004",
            )


def _names_timeout(cache: Mapping[str, Any]) -> bool:
    # Django hands OPTIONS to redis-py's connection pool, which takes the same names from the address.
    location = cache.get("LOCATION", "")
    addresses = re.split("[;,]", location) if isinstance(location, str) else location
    return "socket_timeout" in cache.get("OPTIONS", {}) or all(
        "socket_timeout" in parse_qs(urlsplit(address).query) for address in addresses
    )


def _django_permissions() -> list[str]:
    # As Django names them when it makes their rows, which a check must not ask for.
    names = []
    for model in apps.get_models():
        meta = model._meta
        codenames = [get_permission_codename(action, meta) for action in meta.default_permissions]
        codenames += [codename for codename, _ in meta.permissions]
        names += [f"{meta.app_label}.{codename}" for codename in codenames]
    return names
