from __future__ import annotations

import json
import logging
import socket
import threading

import pytest
from django.db import connection

from apikeys import shared_proofs
from apikeys.testing import make_key

from .request_path import CountingHasher, whoami
from .shared_cache import SharedCache, as_new_process, use_fake_cache
from .threads import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def hasher(settings):
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.request_path.CountingHasher"]}
    return CountingHasher.start()


@pytest.fixture
def fake_cache(settings):
    return use_fake_cache(settings)


def warnings_in(caplog):
    # The same server counts for the guard, and its storage has a warning of its own.
    told = [record for record in caplog.records if record.name == "apikeys.auth" and not hasattr(record, "reason")]
    return [record.getMessage() for record in told if record.levelno >= logging.WARNING]


def closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def unreachable_redis():
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"redis://:password@127.0.0.1:{closed_port()}",
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }


def missing_backend():
    return {"BACKEND": "nowhere.Cache"}


def failing_cache():
    SharedCache.start()
    SharedCache.cut_off.update({"get", "set"})
    return {"BACKEND": "tests.shared_cache.SharedCache"}


@pytest.mark.parametrize("configured", [unreachable_redis, missing_backend, failing_cache])
def test_a_cache_that_fails_costs_hashes_and_one_warning(settings, hasher, caplog, configured):
    settings.CACHES = {"default": configured()}
    issued = [make_key() for _ in range(5)]

    statuses = [as_new_process(one).status_code for one in (*issued, *issued)]

    assert statuses == [200] * 10
    assert len(hasher.checks) == 10
    [warning] = warnings_in(caplog)
    assert "'default' can't be read" in warning
    assert "password" not in warning


def test_a_cache_that_failed_is_left_alone_for_ten_seconds(fake_cache):
    fake_cache.cut_off.add("get")
    for _ in range(3):
        whoami(make_key())

    assert fake_cache.calls == ["get"]


def pass_ten_seconds():
    # What counts here is a clock that nothing sets, so that it can't be frozen either.
    for line in (shared_proofs._reading, shared_proofs._writing):  # noqa: SLF001
        line.ask_again_at -= 10


def test_a_cache_that_is_still_gone_after_ten_seconds_is_asked_once_and_warns_no_more(fake_cache, caplog):
    fake_cache.cut_off.add("get")
    whoami(make_key())
    pass_ten_seconds()

    for _ in range(3):
        whoami(make_key())

    assert fake_cache.calls == ["get", "get"]
    assert len(warnings_in(caplog)) == 1


def test_a_cache_that_is_back_is_used_again_and_says_so_once(fake_cache, hasher, caplog):
    caplog.set_level(logging.INFO, logger="apikeys.auth")
    fake_cache.cut_off.add("get")
    whoami(make_key())
    fake_cache.cut_off.clear()
    pass_ten_seconds()
    issued = make_key()
    whoami(issued)
    hasher.start()

    response = as_new_process(issued)

    assert response.status_code == 200
    assert hasher.checks == []
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert told == ["The cache 'default' can be read again."]


def test_a_cache_that_can_only_be_read_is_read_and_costs_one_warning(fake_cache, hasher, caplog):
    known = make_key()
    whoami(known)
    fake_cache.cut_off.add("set")
    for _ in range(3):
        whoami(make_key())
    hasher.start()

    response = as_new_process(known)

    assert response.status_code == 200
    assert hasher.checks == []
    [warning] = warnings_in(caplog)
    assert "can't be written" in warning


@pytest.mark.django_db(transaction=True)
def test_while_one_request_tries_a_cache_that_failed_the_others_go_on_without(fake_cache, monkeypatch):
    # On SQLite a transaction around the request that is held up would hold up all others.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    fake_cache.cut_off.add("get")
    tries, passes = make_key(), make_key()
    whoami(make_key())
    fake_cache.cut_off.clear()
    pass_ten_seconds()
    fake_cache.calls.clear()
    fake_cache.gate.clear()
    first = []
    thread = threading.Thread(target=lambda: first.extend(at_once(lambda: whoami(tries))))
    thread.start()
    assert fake_cache.entered.wait(timeout=60)

    response = whoami(passes)

    asked = list(fake_cache.calls)
    fake_cache.gate.set()
    thread.join()
    assert response.status_code == 200
    assert asked == ["get"]
    assert [response.status_code for response in first] == [200]


def test_an_outage_is_told_without_the_key(settings, caplog):
    settings.CACHES = {"default": failing_cache()}
    issued = make_key()

    whoami(issued)

    records = [{name: str(value) for name, value in record.__dict__.items()} for record in caplog.records]
    text = json.dumps(records)
    assert "can't be read" in text
    assert not [part for part in (issued.key.key_id, issued.plaintext[21:31], issued.key.verifier) if part in text]
