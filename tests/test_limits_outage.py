from __future__ import annotations

import logging
import socket
import socketserver
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar

import pytest
from limits.storage import MemoryStorage

from apikeys import limits
from apikeys.core import errors
from apikeys.limits import attempts, storage
from apikeys.models import QuotaLedger
from apikeys.testing import make_key

from .drf_views import ask
from .limited import Limited, caller, with_settings
from .memcached import memcached
from .threads import at_once, at_once_without_database

pytest.importorskip("redis")
pytestmark = pytest.mark.django_db


@contextmanager
def silent_server():
    """Give a server that takes connections and never says anything, and the list of those that it took."""
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take():
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield f"redis://:password@127.0.0.1:{listening.getsockname()[1]}", taken
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)
            for connection in taken:
                connection.close()


@pytest.fixture(params=["closed", "silent"])
def down(request, settings):
    """The rates are counted in a Redis that is not there, or hangs."""
    with silent_server() as (silent, _), socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"redis://:password@127.0.0.1:{unused.getsockname()[1]}"
        address = closed if request.param == "closed" else silent
        with_settings(settings, RATES=["2/h"], LIMITS_STORAGE=address, LIMITS_TIMEOUT=timedelta(milliseconds=100))
        yield


def warnings_in(caplog):
    records = [record for record in caplog.records if record.name == "apikeys.auth"]
    return [record.getMessage() for record in records if record.levelno >= logging.WARNING]


def pass_time(seconds):
    # What counts here is a clock that nothing sets, so that it can't be frozen either.
    storage._line.ask_again_at -= seconds  # noqa: SLF001
    storage._line.log_again_at -= seconds  # noqa: SLF001


@pytest.mark.usefixtures("down")
def test_requests_are_let_in_and_one_warning_is_logged(caplog):
    key = make_key()
    # The hash of a new key asks it for a turn.
    caplog.clear()

    responses = [ask(Limited, key=key) for _ in range(5)]

    assert [response.status_code for response in responses] == [200] * 5
    assert "RateLimit" not in responses[0]
    [warning] = warnings_in(caplog)
    assert warning.startswith("The storage of the limits does not answer (")
    assert "password" not in warning


@pytest.mark.usefixtures("down")
def test_the_log_says_again_after_a_minute_that_rates_do_not_count(caplog):
    for _ in range(3):
        limits.spend(caller("1/h"))
        pass_time(59)
        limits.spend(caller("1/h"))
        pass_time(1)

    assert len(warnings_in(caplog)) == 3
    assert "ClosedForNowError" not in caplog.text


@pytest.mark.usefixtures("down")
def test_requests_are_refused_where_the_project_wants_that(settings):
    with_settings(settings, LIMITS_FAIL_OPEN=False)
    key = make_key()

    responses = [ask(Limited, key=key) for _ in range(3)]

    assert [response.status_code for response in responses] == [503] * 3
    assert responses[0].json()["code"] == "limits_unavailable"
    assert responses[0]["Retry-After"] == "5"


@pytest.mark.usefixtures("down")
@pytest.mark.parametrize(("is_open", "statuses"), [(True, [200, 200, 429]), (False, [503] * 3)], ids=["open", "closed"])
def test_quotas_hold_all_the_same(settings, is_open, statuses):
    with_settings(settings, LIMITS_FAIL_OPEN=is_open, QUOTAS=["2/month"], QUOTA_BLOCK=1)
    key = make_key()

    found = [ask(Limited, key=key).status_code for _ in range(3)]

    assert found == statuses


@pytest.mark.usefixtures("down")
def test_a_request_that_is_refused_for_it_gets_its_quota_back(settings):
    with_settings(settings, LIMITS_FAIL_OPEN=False, QUOTAS=["10/month"], QUOTA_BLOCK=1)
    key = make_key()
    for _ in range(3):
        ask(Limited, key=key)

    with_settings(settings, RATES=[], LIMITS_STORAGE=None)
    response = ask(Limited, key=key)

    assert '"quota-month";r=9;' in response["RateLimit"]
    assert QuotaLedger.objects.get().taken >= 1


def test_a_storage_that_hangs_holds_up_one_request_for_the_time_limit(settings):
    with silent_server() as (address, taken):
        with_settings(settings, LIMITS_STORAGE=address, LIMITS_TIMEOUT=timedelta(milliseconds=400))
        waits = []
        for _ in range(5):
            started = time.monotonic()
            limits.spend(caller("1/h", "2/day"))
            waits.append(time.monotonic() - started)

        assert waits[0] >= 0.2
        assert waits[0] < 0.4 + 0.5  # what a busy machine adds
        assert max(waits[1:]) < 0.2
        assert len(taken) == 1


SEVERAL = [
    pytest.param("redis+sentinel://{}/main", id="Sentinel"),
    pytest.param("redis+cluster://{}", id="cluster"),
]


@pytest.mark.parametrize("written", [pytest.param("redis://{}", id="Redis"), *SEVERAL])
def test_a_server_that_hangs_holds_nobody_up_for_long(settings, written):
    with silent_server() as (address, _):
        with_settings(
            settings,
            LIMITS_STORAGE=written.format(address.rpartition("@")[2]),
            LIMITS_TIMEOUT=timedelta(milliseconds=100),
        )
        spending = threading.Thread(target=limits.spend, args=[caller("1/h")], daemon=True)

        spending.start()
        # Clients wait for two minutes where nobody stops them.
        spending.join(timeout=20)

        assert not spending.is_alive()


def test_who_waits_for_a_cluster_that_another_connects_to_in_vain_connects_to_none(settings):
    with silent_server() as (address, taken):
        with_settings(
            settings,
            LIMITS_STORAGE=f"redis+cluster://{address.rpartition('@')[2]}",
            LIMITS_TIMEOUT=timedelta(milliseconds=400),
        )
        limits.spend(caller("1/h"))
        of_one = len(taken)
        storage.forget()

        at_once_without_database(*[lambda: limits.spend(caller("1/h"))] * 8)

        assert len(taken) == 2 * of_one


class LateRedis(socketserver.StreamRequestHandler):
    """A Redis that answers each command in time, and too late all together."""

    seconds = 0.12
    answers: ClassVar[dict[bytes, bytes]] = {b"EVALSHA": b"$15\r\n1 0 0 1 7200000\r\n"}

    def handle(self):
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2])
            time.sleep(self.seconds)
            try:
                self.wfile.write(self.answers.get(words[0], b"+OK\r\n"))
            except OSError:
                return


@pytest.mark.parametrize(
    ("commands_in_time", "is_counted"), [(1, False), (20, True)], ids=["slower than the limit", "quick enough"]
)
def test_a_server_that_is_late_with_each_answer_is_waited_for_as_long_as_for_one(
    settings, commands_in_time, is_counted
):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), LateRedis) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        # Half of it is for an answer.
        limit = timedelta(seconds=2 * LateRedis.seconds * 1.25 * commands_in_time)
        with_settings(settings, LIMITS_STORAGE=f"redis://127.0.0.1:{server.server_address[1]}/1", LIMITS_TIMEOUT=limit)

        standings = limits.spend(caller("2/h"))

        assert bool(standings) == is_counted
        assert storage._line.is_down != is_counted  # noqa: SLF001
        server.shutdown()


class FaultyStorage(MemoryStorage):
    """A storage of the library with a fault in it."""

    STORAGE_SCHEME = ["faulty"]  # as the library has it

    def get_sliding_window(self, key, expiry):
        raise TypeError("a fault of the library")


def test_a_fault_that_is_not_the_storages_lets_nobody_in(settings):
    with_settings(settings, RATES=["1/h"], LIMITS_STORAGE="faulty://")
    key = make_key()

    for _ in range(2):
        with pytest.raises(TypeError, match="a fault of the library"):
            ask(Limited, key=key)


def test_a_name_that_a_storage_does_not_take_is_counted_and_stops_no_rates(settings):
    with memcached() as address:
        with_settings(settings, LIMITS_STORAGE=f"memcached://{address}", LIMITS_TIMEOUT=timedelta(seconds=30))

        tries = [attempts.count("of a person called Zoë Ng " + "x" * 300) for _ in range(2)]

        assert tries == [1, 2]
        assert not storage._line.is_down  # noqa: SLF001


def test_all_threads_count_by_one_lock_from_the_first_request_on(settings):
    with_settings(settings, LIMITS_STORAGE="memory://")

    counters = at_once_without_database(*[lambda: storage.ask(storage.counter_in)] * 8)

    assert len(set(map(id, counters))) == 1


def test_one_request_at_a_time_finds_out_whether_it_is_back(settings):
    with silent_server() as (address, taken):
        with_settings(settings, LIMITS_STORAGE=address, LIMITS_TIMEOUT=timedelta(seconds=1))
        limits.spend(caller("1/h"))
        pass_time(storage.PAUSE_SECONDS)

        at_once(*[lambda: limits.spend(caller("1/h"))] * 10)

        assert len(taken) == 2


@pytest.mark.redis
def test_a_storage_that_is_back_counts_again_and_says_so_once(settings, caplog):
    caplog.set_level(logging.INFO, logger="apikeys.auth")
    who = caller("1/h")

    def fail(found):
        raise OSError("redis://:password@127.0.0.1 is gone")

    assert storage.asked(fail) is None
    assert [limits.spend(who) for _ in range(2)] == [(), ()]
    pass_time(storage.PAUSE_SECONDS)
    limits.spend(who)

    with pytest.raises(errors.LimitExceededError):
        limits.spend(who)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert told == ["The storage of the limits answers again."]


@pytest.mark.usefixtures("down")
def test_what_asks_the_storage_for_itself_goes_on_without():
    assert storage.is_shared()
    assert [storage.asked(lambda found: found.incr("name", 60)) for _ in range(2)] == [None, None]
