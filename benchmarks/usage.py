"""
What counting costs a request, a forged key and memory.

``python -m benchmarks.usage`` prints a table. It needs no server: the database is in memory, and is not what is
measured.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django
from django.conf import settings

from .findings import Findings, add_options, tell
from .targets import Target

_REQUESTS = 1_000
_ROUNDS = 41
_KEYS = 100_000
_MIDDLEWARE = "apikeys.middleware.UsageMiddleware"
_BUDGET_MICROSECONDS = 15


def set_up() -> None:
    """Set Django up with one view that takes keys."""
    settings.configure(
        SECRET_KEY="signs nothing",  # noqa: S106  # it is said here that it is none
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "apikeys"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        ROOT_URLCONF="apikeys.urls",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        LOGGING={"version": 1, "loggers": {"django": {"level": "CRITICAL"}, "apikeys": {"level": "CRITICAL"}}},
        APIKEYS={"SCOPES": {"todo:read": "View to-dos"}, "USAGE_FLUSH_INTERVAL": timedelta(days=1)},
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def microseconds(act: Callable[[], object], *, rounds: int) -> float:
    """Return how much processor time *act* takes. Others on the machine slow it down, but do not count as its time."""
    times = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            began = time.process_time()
            for _ in range(_REQUESTS):
                act()
            times.append((time.process_time() - began) / _REQUESTS * 1e6)
    finally:
        gc.enable()
    return statistics.median(times)


def request_with(key: str) -> Any:
    """Return a request with a verified *key*, as it comes back from a view."""
    from django.test import RequestFactory
    from django.urls import resolve

    import apikeys

    request = RequestFactory().get(
        "/whoami/", secure=True, headers={"Authorization": f"Bearer {key}", "User-Agent": "python-requests/2.32"}
    )
    request.resolver_match = resolve("/whoami/")
    apikeys.verify(request)
    return request


def microseconds_of_the_middleware(request: Any, *, rounds: int) -> float:
    """Return what the middleware adds to *request*, with the layer that Django puts around each."""
    from django.core.handlers.exception import convert_exception_to_response
    from django.http import HttpResponse

    from apikeys.middleware import UsageMiddleware

    response = HttpResponse()
    without: Any = convert_exception_to_response(lambda _request: response)
    counted: Any = convert_exception_to_response(UsageMiddleware(without))
    more = microseconds(lambda: counted(request), rounds=rounds)
    return more - microseconds(lambda: without(request), rounds=rounds)


def queries_of_the_middleware(request: Any) -> int:
    """Return how many queries the middleware makes while *request* runs."""
    from django.db import connection
    from django.http import HttpResponse
    from django.test.utils import CaptureQueriesContext

    from apikeys.middleware import UsageMiddleware

    counted = UsageMiddleware(lambda _request: HttpResponse())
    with CaptureQueriesContext(connection) as queries:
        counted(request)
    return len(queries)


def bytes_of_a_count(*, keys: int) -> float:
    """Return how much memory one of *keys* takes until it is written, each used once, from its own network."""
    from django.utils import timezone

    from apikeys import counting
    from apikeys.core.calls import Call
    from apikeys.core.networks import parse_address
    from apikeys.core.principals import Principal

    now = timezone.now()
    counting.start_anew()
    gc.collect()
    tracemalloc.start()
    for number in range(keys):
        key_id = f"{number:012}"
        principal = Principal(
            kind="api_key",
            client_id="0123456789ABCDEF",
            client_name="",
            key_id=key_id,
            key_name="",
            family=key_id,
            scopes=frozenset(),
            user=None,
            acts_for_user=False,
        )
        call = Call(principal, address=parse_address(f"10.{number >> 8 & 255}.{number & 255}.1"))
        counting.count_call(call, route="orders", method="GET", outcome="ok", user_agent="curl/8.5.0", now=now)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counting.start_anew()
    return held / keys


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--keys", type=int, default=_KEYS)
    add_options(parser)
    options = parser.parse_args()
    set_up()

    from django.utils import timezone

    from apikeys import counting, usage
    from apikeys.core.networks import parse_address
    from apikeys.testing import make_key

    request = request_with(make_key().plaintext)
    address = parse_address("192.0.2.10")
    with usage.by_hand():
        queries = queries_of_the_middleware(request)
        added = microseconds_of_the_middleware(request, rounds=options.rounds)
        refusal = microseconds(
            lambda: counting.count_refusal("key_invalid", address=address, now=timezone.now()), rounds=options.rounds
        )
        size = bytes_of_a_count(keys=options.keys)
    found = Findings(
        name="usage",
        title=f"What counting adds; median of {options.rounds} rounds of {_REQUESTS:,}, in processor time",
        columns=("", "takes"),
        rows=[
            ("a request with a key", f"{added:.1f} µs, {queries} queries"),
            ("a request with a forged key", f"{refusal:.1f} µs"),
            (f"each of {options.keys:,} different counts, until the next flush", f"{size:,.0f} bytes"),
            (f"all {options.keys:,}", f"{size * options.keys / 2**20:,.0f} MiB"),
        ],
        targets=[
            Target(subject="a request with a key", figure="µs added", limit=_BUDGET_MICROSECONDS, measured=added),
            Target(subject="a request with a key", figure="queries", limit=0, measured=queries, kind="exactly"),
        ],
    )
    tell([found], options)


if __name__ == "__main__":
    main()
