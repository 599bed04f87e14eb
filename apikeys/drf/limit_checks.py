"""System checks of the limits: of the storage that views count in, and of what views count."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  # Django's name
from django.core.exceptions import ImproperlyConfigured
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from ..checks import TAG
from ..checks.rules import RULES, did_you_mean
from ..conf import settings
from ..limits import address as addresses
from ..limits import storage
from .checks import NOT_THE_PROJECTS
from .endpoints import Endpoint, endpoints, known_endpoints
from .throttling import KeyRateThrottle, limit_scope_of

_LIMITS = ("RATES", "QUOTAS", "LIMIT_SCOPES")
#: What E001 must have nothing against before anything here can be told.
_READ = (*_LIMITS, "CACHE", "LIMITS_STORAGE", "LIMITS_TIMEOUT")
#: Of a view that takes keys and counts nothing.
_UNCOUNTED = "apikeys.W211"


@register(Tags.security, TAG)
def check_limits(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find rates that can't be counted (E006, E007), scopes without rates (E008), and what counts none (W211, W231)."""
    if not _is_readable():
        return []
    messages: list[CheckMessage] = []
    known = known_endpoints()
    found = known or []
    for endpoint in found:
        for message in _check(endpoint):
            # A view has several addresses and methods, and its fault is one.
            if message not in messages:
                messages.append(message)
    if _counts(found):
        messages += _unusable_storage()
    # Views that take keys have their own message, and what can't be imported may count.
    if known is not None and not any(message.id == _UNCOUNTED for message in messages):
        messages += _counted_nowhere(known)
    return messages


@register(Tags.security, TAG, deploy=True)
def check_local_memory(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find rates that each process counts by itself (W210)."""
    if not _is_readable():
        return []
    try:
        is_shared = not _counts(endpoints()) or storage.address().is_shared
    except ImproperlyConfigured:
        return []  # E006 and E007 say so
    if is_shared:
        return []
    return [
        Warning(
            "Rates are counted in local memory, so that each process counts by itself: four processes let four times "
            "as much in.",
            hint="Name a Redis in CACHES, or as APIKEYS['LIMITS_STORAGE']. Silence this where one process serves all.",
            id="apikeys.W210",
        )
    ]


def _is_readable() -> bool:
    return not any(RULES[name](value) for name, value in settings.given().items() if name in _READ)


def _counts(found: list[Endpoint]) -> bool:
    listed = [*api_settings.DEFAULT_THROTTLE_CLASSES, *(item for view in found for item in _throttles(view) or ())]
    return any(map(_is_ours, listed))


def _unusable_storage() -> list[CheckMessage]:
    if not addresses.is_library_installed():
        return [
            Error(
                "KeyRateThrottle needs the limits library, which is not installed.",
                hint=addresses.INSTALL,
                id="apikeys.E007",
            )
        ]
    try:
        storage.address()
    except ImproperlyConfigured as error:
        return [
            Error(
                f"KeyRateThrottle has nowhere to count: {error}",
                hint="Name a Redis, Memcached or local memory in CACHES and as APIKEYS['CACHE'], or a storage of the "
                "limits library as APIKEYS['LIMITS_STORAGE'], such as 'redis://127.0.0.1:6379'.",
                id="apikeys.E006",
            )
        ]
    return []


def _check(endpoint: Endpoint) -> Iterator[CheckMessage]:
    scopes = settings.LIMIT_SCOPES
    for name in _limit_scopes(endpoint):
        if name not in scopes:
            yield Error(
                f"The view's limit_scope is {name!r}, for which APIKEYS['LIMIT_SCOPES'] has no rates.",
                hint=did_you_mean(name, scopes) if scopes else "Add it, with a list of rates.",
                obj=str(endpoint),
                id="apikeys.E008",
            )
    if endpoint.takes_keys and not endpoint.view_class.__module__.startswith(NOT_THE_PROJECTS):
        yield from _uncounted(endpoint)


def _uncounted(endpoint: Endpoint) -> Iterator[CheckMessage]:
    limits = _limits()
    throttles = _throttles(endpoint)
    if limits and throttles is not None and not any(map(_is_ours, throttles)):
        yield Warning(
            f"The view takes keys, but does not count what they may use: APIKEYS[{limits[0]!r}] has no effect here.",
            hint="Add apikeys.drf.KeyRateThrottle to its throttle_classes, or to DEFAULT_THROTTLE_CLASSES.",
            obj=str(endpoint),
            id=_UNCOUNTED,
        )


def _counted_nowhere(found: list[Endpoint]) -> list[CheckMessage]:
    limits = _limits()
    throttles = [_throttles(endpoint) for endpoint in found]
    if not limits or any(listed is None or any(map(_is_ours, listed)) for listed in throttles):
        return []
    return [
        Warning(
            f"APIKEYS[{limits[0]!r}] limits nobody: no view of the URL configuration counts with KeyRateThrottle.",
            hint="REST framework views count with apikeys.drf.KeyRateThrottle in DEFAULT_THROTTLE_CLASSES or in their "
            "throttle_classes. Other views call apikeys.limits.spend, which no check sees: silence this where they do.",
            id="apikeys.W231",
        )
    ]


def _limits() -> list[str]:
    return [name for name in _LIMITS if getattr(settings, name)]


def _limit_scopes(endpoint: Endpoint) -> Iterator[str]:
    for method, action in endpoint.actions.items():
        handler = getattr(endpoint.view_class, action or method.lower(), None)
        name: Any = limit_scope_of(None, handler) or endpoint.attribute("limit_scope")
        # A property is known only on a request.
        if name and isinstance(name, str):
            yield name


def _throttles(endpoint: Endpoint) -> tuple[Any, ...] | None:
    # What get_throttles() would return is known only on a request.
    if endpoint.view_class.get_throttles is not APIView.get_throttles:
        return None
    return endpoint.listed("throttle_classes")


def _is_ours(item: Any) -> bool:
    return inspect.isclass(item) and issubclass(item, KeyRateThrottle)
