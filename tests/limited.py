"""Limits for tests: callers without a row, and views that count."""

from __future__ import annotations

from typing import Any

from apikeys import limits
from apikeys.core import errors, keyformat
from apikeys.core.principals import Principal
from apikeys.core.rates import strictest_rates
from apikeys.drf import HasScopes, KeyRateThrottle

from .drf_views import view

Limited = view(permission_classes=[HasScopes("todo:read")], throttle_classes=[KeyRateThrottle])


def limited(**attributes: Any) -> Any:
    """Return a class of views like ``Limited``."""
    return view(**{"permission_classes": [HasScopes("todo:read")], "throttle_classes": [KeyRateThrottle], **attributes})


def caller(*rates: str, family: str | None = None) -> Principal:
    """Return somebody who may use *rates*, for calls of ``limits.spend``."""
    key_id = keyformat.generate(prefix="ak", mode="live").key_id
    return Principal(
        kind="api_key",
        client_id="client",
        client_name="Client",
        key_id=key_id,
        key_name="Key",
        family=family or key_id,
        scopes=frozenset(),
        user=None,
        acts_for_user=False,
        rates=strictest_rates(rates),
    )


def is_admitted(principal: Principal, **options: Any) -> bool:
    try:
        limits.spend(principal, **options)
    except errors.LimitExceededError:
        return False
    return True


def admitted(principal: Principal, *, hits: int, **options: Any) -> int:
    return sum(is_admitted(principal, **options) for _ in range(hits))


def refusal_of(principal: Principal, **options: Any) -> errors.LimitExceededError:
    try:
        limits.spend(principal, **options)
    except errors.LimitExceededError as error:
        return error
    raise AssertionError("It was admitted.")


def with_settings(settings: Any, **given: Any) -> None:
    settings.APIKEYS = {**settings.APIKEYS, **given}
