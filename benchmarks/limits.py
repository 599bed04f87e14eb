"""
What one rate costs a request on Redis, and how much more than a limit gets in, beside REST framework's throttle.

``python -m benchmarks.limits`` prints two tables. It needs a Redis, ``--redis`` says where, and no database.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import multiprocessing
import random
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from typing import Any

import django
from django.conf import settings

from .findings import Findings, add_options, tell
from .targets import Target

_RATE = "600/min"
_HALF = 300
_REQUESTS = 100
_ROUNDS = 41
_PROCESSES = 8
_HITS = 200
_AMOUNT = 500
_LIMIT = f"{_AMOUNT}/day"
#: Of the cost of REST framework's own throttle.
_SHARE = 0.4
_THROTTLES = ("KeyRateThrottle", "KeyRateThrottle, large rate", "KeyRateThrottle, three rates", "UserRateThrottle")
_RATES = {
    "KeyRateThrottle, large rate": ("1000000/min",),
    "KeyRateThrottle, three rates": ("100/s", _RATE, "100000/day"),
}


def set_up(redis_url: str) -> None:
    """Set Django up for throttles: a cache in Redis, and nothing else."""
    settings.configure(
        SECRET_KEY="signs nothing",  # noqa: S106  # it is said here that it is none
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}},
        # What is measured is who counts, also where this machine is slow.
        APIKEYS={"LIMITS_TIMEOUT": timedelta(seconds=10), "LIMITS_FAIL_OPEN": False},
        USE_TZ=True,
    )
    django.setup()


class Asking:
    """A throttle, and a caller with a history of its own."""

    def __init__(self, name: str, *, caller: str, rate: str) -> None:
        from rest_framework.throttling import UserRateThrottle
        from rest_framework.views import APIView

        from apikeys.core.principals import ClientUser, Principal
        from apikeys.core.rates import strictest_rates
        from apikeys.drf import KeyRateThrottle

        user = ClientUser(client_id=caller, name=caller)
        self.principal = Principal(
            kind="api_key",
            client_id=caller,
            client_name=caller,
            key_id=caller,
            key_name=caller,
            family=caller,
            scopes=frozenset(),
            user=user,
            acts_for_user=False,
            rates=strictest_rates(_RATES.get(name, (rate,))),
        )
        self.view = APIView()
        self.view.headers = {}
        theirs = type("Theirs", (UserRateThrottle,), {"rate": rate})
        self.throttle: Any = KeyRateThrottle if name.startswith("KeyRateThrottle") else theirs

    def requests(self, number: int) -> list[Any]:
        """Return so many requests, that nobody has counted."""
        from django.http import HttpRequest
        from rest_framework.request import Request

        made = []
        for _ in range(number):
            request = Request(HttpRequest())
            request.user, request.auth = self.principal.user, self.principal
            made.append(request)
        return made

    def admitted(self, requests: list[Any]) -> int:
        """Return how many of *requests* get in."""
        from rest_framework.exceptions import Throttled

        count = 0
        for request in requests:
            try:
                count += self.throttle().allow_request(request, self.view)
            except Throttled:
                continue
        return count


def microseconds(name: str, *, caller: str) -> float:
    """Return what a request costs that finds its limit half used."""
    asking = Asking(name, caller=caller, rate=_RATE)
    asking.admitted(asking.requests(_HALF))
    requests = asking.requests(_REQUESTS)
    gc.collect()
    started = time.perf_counter()
    asking.admitted(requests)
    return (time.perf_counter() - started) / _REQUESTS * 1e6


def admitted_in_process(redis_url: str, name: str, caller: str, start_at: float) -> int:
    """Return how many of this process's requests get in, sent from *start_at* on."""
    if not settings.configured:
        set_up(redis_url)
    asking = Asking(name, caller=caller, rate=_LIMIT)
    requests = asking.requests(_HITS)
    time.sleep(max(0.0, start_at - time.time()))
    return asking.admitted(requests)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What rates cost on Redis, beside REST framework's throttle.")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/15", help="address of a Redis (%(default)s)")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    add_options(parser)
    given = parser.parse_args()
    redis_url = given.redis
    set_up(redis_url)
    run = random.SystemRandom().getrandbits(64)
    numbers = itertools.count()

    figures: dict[str, list[float]] = {name: [] for name in _THROTTLES}
    for _ in range(given.rounds):
        for name in random.sample(_THROTTLES, len(_THROTTLES)):
            figures[name].append(microseconds(name, caller=f"{run:x}-{next(numbers)}"))
    medians = {name: statistics.median(found) for name, found in figures.items()}
    theirs = medians["UserRateThrottle"]
    shares = {name: median / theirs for name, median in medians.items()}
    cost = Findings(
        name="limits",
        title=f"One request, {_RATE} on Redis, half used; median of {given.rounds} rounds of {_REQUESTS}",
        columns=("throttle", "µs", "of UserRateThrottle"),
        rows=[(name, f"{median:.0f}", f"{shares[name]:.2f}") for name, median in medians.items()],
        targets=[
            Target(
                subject="KeyRateThrottle",
                figure="cost, as a share of REST framework's UserRateThrottle",
                limit=_SHARE,
                measured=shares["KeyRateThrottle"],
            )
        ],
    )

    admitted: dict[str, int] = {}
    with ProcessPoolExecutor(_PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        for name in ("KeyRateThrottle", "UserRateThrottle"):
            caller, start_at = f"{run:x}-{next(numbers)}", time.time() + 5
            tasks = [pool.submit(admitted_in_process, redis_url, name, caller, start_at) for _ in range(_PROCESSES)]
            admitted[name] = sum(task.result() for task in tasks)
    at_once = Findings(
        name="limits-at-once",
        title=f"{_PROCESSES} processes at once, each with {_HITS} requests, a limit of {_AMOUNT}",
        columns=("throttle", "admitted"),
        rows=[(name, str(count)) for name, count in admitted.items()],
        targets=[
            Target(
                subject="KeyRateThrottle, eight processes",
                figure=f"admitted of a limit of {_AMOUNT}",
                limit=_AMOUNT,
                measured=admitted["KeyRateThrottle"],
                kind="exactly",
            )
        ],
    )
    tell([cost, at_once], given)


if __name__ == "__main__":
    main()
