"""What one request spends: of every rate and quota of its caller, or of none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from ..conf import settings
from ..core.calls import note_uncounted
from ..core.errors import LimitExceededError, LimitsUnavailableError
from ..core.principals import Principal
from ..core.rates import Rate, strictest_rates
from ..core.standings import Standing
from . import ledger, storage
from .ledger import Taken

if TYPE_CHECKING:
    from django.http import HttpRequest


def spend(
    principal: Principal, *, scope: str = "", cost: int = 1, request: HttpRequest | None = None
) -> tuple[Standing, ...]:
    """
    Spend *cost* of all rates and quotas of *principal*, and return how they stand then.

    *scope* names one of ``LIMIT_SCOPES``, whose rates count as well. *request* is for the usage, which tells what was
    let in uncounted. All of it is spent or nothing; a cost of 0 spends nothing and asks nobody.

    Raises:
        LimitExceededError: If one has not enough left.
        LimitsUnavailableError: If that can't be known of a quota, or of a rate where ``LIMITS_FAIL_OPEN`` is off.
        ImproperlyConfigured: If the settings don't name the scope, or no storage that rates can be counted in.
    """
    given: Any = cost
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ImproperlyConfigured(f"A request can't cost {cost!r}: a cost is a whole number of at least 0.")
    # Also where nothing is spent: a misspelt name must not wait for the first caller with a rate.
    scoped = _rates_of(scope)
    if cost == 0 or not (principal.rates or principal.quotas or scoped):
        return ()
    bucket = principal.bucket
    taken = _take_quotas(principal, bucket, cost=cost)
    try:
        standings = _spend_rates(principal, bucket, scope=scope, scoped=scoped, cost=cost, request=request)
    except BaseException:
        if taken is not None:
            _ledger().give_back(taken)
        raise
    return standings if taken is None else (*standings, *taken.standings)


def _take_quotas(principal: Principal, bucket: str, *, cost: int) -> Taken | None:
    # First: most of the time they are in this process, and can be given back.
    if not principal.quotas:
        return None
    taken = _ledger().take(bucket, principal.quotas, cost=cost, now=timezone.now())
    if taken.refused is not None:
        raise _exceeded(principal, taken.standings, violated=[taken.refused.name], cost=cost)
    return taken


def _spend_rates(
    principal: Principal,
    bucket: str,
    *,
    scope: str,
    scoped: tuple[Rate, ...],
    cost: int,
    request: HttpRequest | None,
) -> tuple[Standing, ...]:
    if not (principal.rates or scoped):
        return ()
    # Before anything of the library is imported: this says how to install it.
    storage.address()
    from .windows import Window  # noqa: PLC0415  # the library is an extra

    windows = [Window(rate, bucket, name) for rate, name in _named(principal.rates)]
    windows += [Window(rate, f"{bucket}/{scope}", f"{scope}-{name}") for rate, name in _named(scoped)]
    timeout = settings.LIMITS_TIMEOUT.total_seconds()
    try:
        outcome = storage.ask(lambda found: storage.counter_in(found).take(windows, cost=cost, timeout_seconds=timeout))
    except storage.UnansweredError as error:
        if settings.LIMITS_FAIL_OPEN:
            # A storage that is down must not take the API down with it. Quotas were spent already, elsewhere.
            note_uncounted(request)
            return ()
        raise LimitsUnavailableError(retry_after_seconds=math.ceil(storage.PAUSE_SECONDS)) from error
    if outcome.violated:
        raise _exceeded(principal, outcome.standings, violated=outcome.violated, cost=cost)
    return outcome.standings


def _exceeded(
    principal: Principal, standings: Sequence[Standing], *, violated: Sequence[str], cost: int
) -> LimitExceededError:
    waits = [standing.reset_whole_seconds for standing in standings if standing.name in violated]
    is_ever_enough = all(standing.amount >= cost for standing in standings)
    return LimitExceededError(
        retry_after_seconds=max(1, *waits) if is_ever_enough else None,
        standings=standings,
        violated=violated,
        key_id=principal.key_id,
        family=principal.family,
        client_id=principal.client_id,
    )


@lru_cache(maxsize=1024)
def _named(rates: tuple[Rate, ...]) -> tuple[tuple[Rate, str], ...]:
    return tuple((rate, rate.name) for rate in rates)


def _rates_of(scope: str) -> tuple[Rate, ...]:
    if not scope:
        return ()
    rates = settings.LIMIT_SCOPES.get(scope)
    if not rates:
        raise ImproperlyConfigured(f"APIKEYS['LIMIT_SCOPES'] has no rates for {scope!r}.")
    return strictest_rates(rates)


def _ledger() -> ledger.Ledger:
    found = ledger.current()
    if found is None:
        raise ImproperlyConfigured("There are quotas, but nothing that counts them: 'apikeys' is not installed.")
    return found
