"""Keys that spend quotas, and what is left of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from apikeys.models import QuotaLedger
from apikeys.testing import ApiKeyClient

from .request_path import whoami


def apply_to(settings: Any) -> Callable[..., None]:
    """Return a function that changes ``APIKEYS``. Rates are counted in memory."""

    def change(**changed: Any) -> None:
        settings.APIKEYS = {**settings.APIKEYS, **changed}

    # What is slow on a busy machine must not pass for a storage that is down.
    change(LIMITS_STORAGE="memory://", LIMITS_TIMEOUT=timedelta(seconds=30))
    return change


def ask(issued: Any, *, times: int = 1, url: str = "/counted/") -> list[int]:
    """Return the status of each answer."""
    return [ApiKeyClient(issued).get(url).status_code for _ in range(times)]


def left(issued: Any) -> int:
    """Return what ``whoami`` says is left of the first quota."""
    remaining: int = whoami(issued).json()["quotas"][0]["remaining"]
    return remaining


def taken() -> list[int]:
    """Return what the ledger says is taken, of every row."""
    return list(QuotaLedger.objects.order_by("starts_at", "period").values_list("taken", flat=True))
