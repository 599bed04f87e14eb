"""What a key and its replacements may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from .. import events, policy, signals
from ..models import APIKey, EventKind
from . import rows


def set_limits(
    key: APIKey,
    *,
    rates: str | Sequence[str],
    quotas: str | Sequence[str],
    by: Any = None,
    source: str = "python",
) -> list[APIKey]:
    """
    Give *key* and every working key of its family these *rates* and *quotas*, and return those that had others.

    They count for the family, so all of its keys have the same, and what was used of them stays used. The strictest
    of the project, the client and the key counts: nothing here gives a key more than these allow.

    Raises:
        RateSyntaxError: If a line is no rate, or no quota.
        TooManyLimitsError: If there are too many of either.
        NotPermittedError: If *by* may not edit.
    """
    policy.require(permitted=policy.may_edit(by))
    rates, quotas = policy.clean_rates(rates), policy.clean_quotas(quotas)
    with transaction.atomic(using=rows.database()):
        now = timezone.now()
        changed = [
            each
            for each in rows.locked_family(key)
            if (each.rates, each.quotas) != (rates, quotas) and (each.pk == key.pk or each.is_working(now=now))
        ]
        client = rows.client_of(key) if changed else None
        for each in changed:
            old_rates, old_quotas = each.rates, each.quotas
            each.rates, each.quotas = rates, quotas
            each.save(update_fields=["rates", "quotas"])
            events.record(
                EventKind.LIMITS_CHANGED,
                client=client,
                key=each,
                by=by,
                source=source,
                details={"rates": rates, "quotas": quotas, "old_rates": old_rates, "old_quotas": old_quotas},
                signal=signals.limits_changed,
            )
    key.rates, key.quotas = rates, quotas
    return changed
