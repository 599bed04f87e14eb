"""Where rates are counted."""

from __future__ import annotations

import importlib.util

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import ImproperlyConfigured

from apikeys import limits
from apikeys.conf import DEFAULTS
from apikeys.limits import address as addresses
from apikeys.limits import storage
from apikeys.testing import make_key

from .drf_views import ask
from .limited import Limited, caller, with_settings

BACKENDS = "django.core.cache.backends"
REDIS = f"{BACKENDS}.redis.RedisCache"


class OwnCache(BaseCache):
    """A project's own, of which nothing is known."""


class DjangoRedisCache(BaseCache):
    """Stands for the class of django-redis, which is known by its module."""


DjangoRedisCache.__module__ = "django_redis.cache"


def use_cache(settings, backend, **configured):
    settings.CACHES = {"default": {"BACKEND": backend, **configured}}


@pytest.mark.parametrize(
    ("backend", "configured", "uri"),
    [
        pytest.param(f"{BACKENDS}.locmem.LocMemCache", {}, "memory://", id="local memory"),
        pytest.param(REDIS, {"LOCATION": "redis://h:1/2"}, "redis://h:1/2", id="Redis"),
        pytest.param(REDIS, {"LOCATION": "rediss://u:p@h:1"}, "rediss://u:p@h:1", id="Redis over TLS"),
        pytest.param(REDIS, {"LOCATION": "redis://one,redis://two"}, "redis://one", id="Redis and its replicas"),
        pytest.param(REDIS, {"LOCATION": ["redis://one", "redis://two"]}, "redis://one", id="as a list"),
        pytest.param(REDIS, {"LOCATION": "unix:///r.sock?db=3"}, "redis+unix:///r.sock?db=3", id="Redis by socket"),
        pytest.param(REDIS, {"LOCATION": "redis://h?socket_timeout=9&db=1"}, "redis://h?db=1", id="its own time-out"),
        pytest.param(f"{__name__}.DjangoRedisCache", {"LOCATION": "redis://h:1/2"}, "redis://h:1/2", id="django-redis"),
        pytest.param(
            f"{BACKENDS}.memcached.PyMemcacheCache", {"LOCATION": ["a:1", "b:2"]}, "memcached://a:1,b:2", id="Memcached"
        ),
        pytest.param(
            f"{BACKENDS}.memcached.PyLibMCCache", {"LOCATION": "unix:/m.sock"}, "memcached:///m.sock", id="by socket"
        ),
    ],
)
def test_rates_are_counted_where_the_cache_is(settings, backend, configured, uri):
    use_cache(settings, backend, **configured)

    assert addresses.address().uri == uri


def test_what_a_cache_says_of_its_server_is_taken_over_without_its_time_limits(settings):
    options = {"db": 5, "password": "secret", "ssl_ca_certs": "/ca.pem", "socket_timeout": 9, "pool_class": "redis.X"}
    options |= {"max_connections": 2, "timeout": 20}
    with_settings(settings, LIMITS_TIMEOUT=DEFAULTS["LIMITS_TIMEOUT"])
    use_cache(settings, REDIS, LOCATION="rediss://h", OPTIONS=options, KEY_PREFIX="site")

    found = addresses.address()

    assert found.options == {
        "db": 5,
        "password": "secret",
        "ssl_ca_certs": "/ca.pem",
        "key_prefix": "site:apikeys",
        "socket_timeout": 0.05,
        "socket_connect_timeout": 0.05,
    }
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("cache", "uri"),
    [
        pytest.param("second", "redis://second", id="named"),
        pytest.param(None, "redis://first", id="none"),
    ],
)
def test_the_cache_of_the_proofs_is_the_one(settings, cache, uri):
    with_settings(settings, CACHE=cache)
    settings.CACHES = {
        name: {"BACKEND": REDIS, "LOCATION": f"redis://{place}"}
        for name, place in (("default", "first"), ("second", "second"))
    }

    assert addresses.address().uri == uri


def test_the_setting_goes_before_the_cache(settings):
    with_settings(settings, LIMITS_STORAGE="redis+sentinel://h:1/main")

    assert addresses.address().uri == "redis+sentinel://h:1/main"


SENTINEL = {"OPTIONS": {"CLIENT_CLASS": "django_redis.client.SentinelClient"}}
UNSUITABLE = [
    pytest.param(f"{BACKENDS}.db.DatabaseCache", {"LOCATION": "table"}, "overwrite each other", id="database"),
    pytest.param(f"{BACKENDS}.filebased.FileBasedCache", {"LOCATION": "/tmp/x"}, "overwrite", id="files"),  # noqa: S108  # never used
    pytest.param(f"{BACKENDS}.dummy.DummyCache", {}, "overwrite", id="dummy"),
    pytest.param(f"{__name__}.OwnCache", {}, "overwrite", id="unknown"),
    pytest.param("nowhere.Cache", {}, "can't be imported", id="missing"),
    pytest.param(f"{__name__}.DjangoRedisCache", SENTINEL, "can't be taken over", id="Sentinel"),
    pytest.param(REDIS, {"LOCATION": "htp://h"}, "no storage of the limits library", id="unknown scheme"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("backend", "configured", "message"), UNSUITABLE)
def test_a_cache_that_cannot_count_fails_every_request_with_rates(settings, backend, configured, message):
    key = make_key(rates=["1/h"])
    use_cache(settings, backend, **configured)

    for _ in range(2):
        with pytest.raises(ImproperlyConfigured, match=message):
            ask(Limited, key=key)
    assert not storage.is_shared()
    assert storage.asked(lambda found: found.incr("name", 60)) is None


@pytest.mark.django_db
def test_callers_without_limits_need_no_storage(settings):
    use_cache(settings, f"{BACKENDS}.dummy.DummyCache")

    assert ask(Limited, key=make_key()).status_code == 200


@pytest.mark.parametrize("uri", ["async+memory://", "nothing://", "redis"])
def test_an_address_that_the_library_does_not_know_fails(settings, uri):
    with_settings(settings, LIMITS_STORAGE=uri)

    with pytest.raises(ImproperlyConfigured, match="no storage of the limits library"):
        limits.spend(caller("1/h"))


@pytest.mark.parametrize("uri", ["mongodb://h:1", "mongodb+srv://h"])
def test_a_storage_that_would_hold_up_requests_is_refused(settings, uri):
    with_settings(settings, LIMITS_STORAGE=uri)

    with pytest.raises(ImproperlyConfigured, match="longer than LIMITS_TIMEOUT"):
        limits.spend(caller("1/h"))


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("redis://:open/sesame@h:1", id="slash in the password"),
        pytest.param("redis://:open#sesame@h:1", id="hash in the password"),
        pytest.param("redis://:open@h:port", id="no port"),
        pytest.param("redis://:open@h:99999", id="port too large"),
        pytest.param("redis://:open@[::1", id="half an address"),
        pytest.param("redis+cluster://u:open@h:port", id="cluster"),
    ],
)
def test_an_address_that_cannot_be_read_fails_and_quotes_no_password(settings, caplog, uri):
    with_settings(settings, LIMITS_STORAGE=uri)

    for _ in range(2):
        with pytest.raises(ImproperlyConfigured, match="LIMITS_STORAGE") as caught:
            limits.spend(caller("1/h"))
        assert "open" not in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None
    assert caplog.messages == []


def test_without_the_library_the_error_says_how_to_install_it(settings, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "limits" else find_spec(name))
    storage.forget()

    with pytest.raises(ImproperlyConfigured, match=r'python -m pip install "path/to/apikeys\[limits\]"'):
        limits.spend(caller("1/h"))


def test_the_time_limit_of_memcached_is_set(settings):
    with_settings(settings, LIMITS_TIMEOUT=DEFAULTS["LIMITS_TIMEOUT"])
    use_cache(settings, f"{BACKENDS}.memcached.PyMemcacheCache", LOCATION="h:1", KEY_PREFIX="site")

    assert addresses.address().options == {"key_prefix": b"site:apikeys", "timeout": 0.05, "connect_timeout": 0.05}
