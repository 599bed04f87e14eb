"""What a key and its replacements say besides scopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from .. import events, policy, signals
from ..models import APIKey, EventKind
from . import rows


def set_claims(key: APIKey, *, claims: Mapping[str, Any], by: Any = None, source: str = "python") -> list[APIKey]:
    """
    Have *key* and every working key of its family say *claims* and nothing else, and return those that said others.

    They go before what the client says. Nobody is left with more because the key was rotated in the meantime.

    Raises:
        ClaimRefusedError: If one is not declared, or not as its declaration wants it.
        NotPermittedError: If *by* may not set claims.
    """
    policy.require(permitted=policy.may_set_claims(by))
    cleaned = policy.clean_claims(claims)
    with transaction.atomic(using=rows.database()):
        now = timezone.now()
        changed = [
            each
            for each in rows.locked_family(key)
            if each.claims != cleaned and (each.pk == key.pk or each.is_working(now=now))
        ]
        client = rows.client_of(key) if changed else None
        for each in changed:
            old, each.claims = each.claims, cleaned
            each.save(update_fields=["claims"])
            events.record(
                EventKind.CLAIMS_SET,
                client=client,
                key=each,
                by=by,
                source=source,
                details=events.of_claims(old, cleaned),
                signal=signals.claims_set,
            )
    key.claims = cleaned
    return changed
