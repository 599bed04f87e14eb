"""
The project's one scope registry: the setting ``SCOPES`` and each installed app's ``api_scopes.py``.

And its claims, which the setting ``CLAIMS`` declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.utils.module_loading import module_has_submodule

from .conf import settings
from .core.claims import Claim, readable
from .core.errors import ScopeSyntaxError
from .core.scopes import Scope, ScopeRegistry, scope_from_declaration

#: The module that an app declares its scopes in, as ``SCOPES = {…}``.
MODULE = "api_scopes"


@lru_cache(maxsize=1)
def scope_registry() -> ScopeRegistry:
    """
    Return all declared scopes: the project's first, then each app's in the order of ``INSTALLED_APPS``.

    Raises:
        ScopeSyntaxError: If a declaration can't be read, or two declare one name.
    """
    return ScopeRegistry(scope_from_declaration(name, declaration) for _, name, declaration in declared_scopes())


@lru_cache(maxsize=1)
def declared_claims() -> Mapping[str, Claim]:
    """Return the declared claims by name. One that can't be read, which E016 tells, is none: nobody has it."""
    return MappingProxyType(readable(settings.CLAIMS))


@lru_cache(maxsize=1)
def rights_count() -> bool:
    """Whether any scope names Django permissions, so that a person's rights count."""
    return any(scope.permissions for scope in scope_registry().values())


def declared_scopes() -> Iterator[tuple[str, str, Any]]:
    """Yield where each scope is declared, its name and its declaration, unchecked."""
    for name, declaration in settings.SCOPES.items():
        yield "APIKEYS['SCOPES']", name, declaration
    for config in apps.get_app_configs():
        if config.module is None or not module_has_submodule(config.module, MODULE):
            continue
        path = f"{config.name}.{MODULE}"
        scopes = getattr(import_module(path), "SCOPES", None)
        if not isinstance(scopes, Mapping):
            message = f"{path} needs SCOPES, a dict of scopes by name."
            raise ScopeSyntaxError(message)
        for name, declaration in scopes.items():
            yield path, name, declaration


def unreserved_scopes() -> list[str]:
    """Return the names of all declared scopes but those of this app's own endpoints, which are granted one by one."""
    return [scope.name for scope in scope_registry().values() if not scope.is_reserved]


def declared(names: Iterable[str]) -> list[Scope]:
    """Return those of *names* that are still declared, as scopes."""
    registry = scope_registry()
    return [registry[name] for name in names if name in registry]


@lru_cache(maxsize=4096)
def effective(held: tuple[str, ...], ceiling: tuple[str, ...]) -> tuple[frozenset[str], tuple[Scope, ...]]:
    """
    Return what counts of *held*: declared, and under *ceiling*.

    First the names that count by themselves, then the scopes that count only for who has their Django permissions.
    """
    scopes = [scope for scope in declared(held) if scope.name in ceiling]
    by_right = tuple(scope for scope in scopes if scope.permissions)
    return frozenset(scope.name for scope in scopes if not scope.permissions), by_right


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "INSTALLED_APPS"}:
        scope_registry.cache_clear()
        declared_claims.cache_clear()
        rights_count.cache_clear()
        effective.cache_clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.registry")
