from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from apikeys import limits
from apikeys.limits import storage

from .limited import admitted, caller, with_settings
from .memcached import memcached

REDIS = pytest.param("redis", marks=pytest.mark.redis)
#: Longer than any test takes, so that nothing of what was spent fades meanwhile.
LIMIT = "500/day"


@pytest.fixture(params=["memory", REDIS])
def storage_of_the_rates(request, settings):
    with_settings(settings, LIMITS_STORAGE="memory://" if request.param == "memory" else None, LIMITS_FAIL_OPEN=False)
    # Threads that wait for one another on a busy machine are no storage that is down.
    with_settings(settings, LIMITS_TIMEOUT=timedelta(seconds=10))
    assert storage.is_shared() is (request.param == "redis")


def from_threads(who, *, threads, hits):
    barrier = threading.Barrier(threads)

    def run(_number):
        barrier.wait(timeout=30)
        return admitted(who, hits=hits)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(run, range(threads)))


@pytest.mark.parametrize("strategy", ["sliding-window-counter", "moving-window", "fixed-window"])
def test_twenty_threads_get_exactly_the_limit(settings, storage_of_the_rates, strategy):
    with_settings(settings, LIMITS_STRATEGY=strategy)

    assert from_threads(caller(LIMIT), threads=20, hits=50) == 500


def test_threads_that_meet_at_one_limit_spend_exactly_as_much_of_the_others(storage_of_the_rates):
    who = caller("100/day", "1000/h")

    assert from_threads(who, threads=20, hits=10) == 100
    assert admitted(caller("1000/h", family=who.family), hits=1000) == 900


@pytest.mark.redis
@pytest.mark.parametrize("place", ["cache", "address"])
def test_more_threads_than_the_pool_of_a_cache_holds_get_exactly_the_limit(settings, place):
    # A full pool would pass for a storage that is down, and let everybody in.
    address = os.environ["APIKEYS_TEST_REDIS_URL"]
    pool = {"pool_class": "redis.BlockingConnectionPool", "timeout": 20, "max_connections": 2}
    redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": address, "OPTIONS": pool}
    in_address = f"{address}?max_connections=2&timeout=20"
    settings.CACHES = {"default": redis}
    with_settings(settings, LIMITS_STORAGE=None if place == "cache" else in_address)
    with_settings(settings, LIMITS_TIMEOUT=timedelta(seconds=10))

    assert from_threads(caller("100/day"), threads=20, hits=10) == 100


@pytest.mark.redis
def test_eight_processes_get_exactly_the_limit():
    who = caller(LIMIT)
    command = [sys.executable, "-m", "tests.spending_process", who.family, LIMIT, "200"]
    processes = [
        subprocess.Popen(  # noqa: S603  # this very interpreter, and words of this test
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(8)
    ]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 8
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        found = [int(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=10)

    assert sum(found) == 500
    assert not admitted(who, hits=1)


@pytest.mark.redis
def test_what_the_library_counts_and_what_is_counted_here_are_one():
    from limits.strategies import SlidingWindowCounterRateLimiter  # noqa: PLC0415  # only with Redis

    from apikeys.limits.windows import Item  # noqa: PLC0415

    who = caller("10/h")
    limits.spend(who, cost=3)
    item = Item(10, 3600, namespace="rate")

    hits = storage.ask(
        lambda found: [SlidingWindowCounterRateLimiter(found).hit(item, who.family, cost=4) for _ in range(2)]
    )

    assert hits == [True, False]
    assert admitted(who, hits=10) == 3


# Python 3.12 warns of every fork of a process with threads.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_counts_by_itself_from_the_start(settings):
    with_settings(settings, LIMITS_STORAGE="memory://")
    who = caller("1/day")
    assert admitted(who, hits=2) == 1

    child = os.fork()
    if child == 0:
        # Nothing of the parent's tests may go on here.
        code = 1
        try:
            code = 0 if admitted(who, hits=2) == 1 else 1
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def memcached_of_the_rates(settings):
    pytest.importorskip("pymemcache")
    with memcached() as address:
        with_settings(settings, LIMITS_FAIL_OPEN=False, LIMITS_TIMEOUT=timedelta(seconds=10))
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": address}
        }
        assert storage.is_shared()
        yield
        storage.forget()
        gc.collect()


# The library opens a connection in each thread, and leaves closing it to the thread's end.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("memcached_of_the_rates")
def test_memcached_admits_the_limit_to_one_and_never_more_to_many():
    alone = caller("50/day", "100/h")
    together = caller("100/day")

    assert admitted(alone, hits=60) == 50
    assert from_threads(together, threads=8, hits=25) <= 100


# The library opens a connection in each thread, and leaves closing it to the thread's end.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("memcached_of_the_rates")
def test_memcached_never_admits_too_many_beside_what_fades():
    # The middle of a day, so that half of the day before counts.
    start = datetime(2100, 11, 20, 12, tzinfo=UTC)
    who = caller("100/day")
    with time_machine.travel(start - timedelta(days=1), tick=False):
        assert admitted(who, hits=110) == 100

    with time_machine.travel(start, tick=False):
        assert 1 <= from_threads(who, threads=8, hits=25) <= 50
