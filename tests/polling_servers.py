"""What the tests of the revocation list at an API server share: its times, and what comes of a token."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from apikeys.signed import keys

from .drf_views import ask
from .oauth_views import bearer
from .signed_requests import Summaries, make_token

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
UNIX_NOW = int(NOW.timestamp())
#: By default a server waits so long for the authority.
TIMEOUT = timedelta(seconds=3)
#: The list is asked for again by the next request once this is over, and what else a thread may wait for.
INTERVAL = timedelta(hours=1)
FORGOTTEN = INTERVAL + 4 * TIMEOUT
MOMENT = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)
LEEWAY = timedelta(seconds=30)
OK = (200, "")
DEAD = (401, "token_invalid")
LACKS_SCOPE = (403, "insufficient_scope")
ELSEWHERE = (403, "ip_not_allowed")
NOBODY_KNOWS = (503, "authority_unavailable")
OTHER_KEY = keys.generate("ES256")


def outcome_of(token: str, *, to: Any = Summaries) -> tuple[int, str]:
    response = ask(to, **bearer(token))
    return response.status_code, response.json().get("code", "")


def make_long_lived_token(**changes: Any) -> str:
    return make_token(expires_in=timedelta(days=2), **changes)


def pollers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "apikeys-revocations"]
