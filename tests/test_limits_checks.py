from __future__ import annotations

import importlib.util

import pytest
from django.core.checks import run_checks
from django.urls import path
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.settings import api_settings

from apikeys.drf import HasScopes, KeyRateThrottle, counts_as

from .drf_views import Plain, PlainViewSet, derived
from .limited import with_settings

# None of these tests may use the database: pytest-django makes a query fail.

DUMMY = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
READ = HasScopes("todo:read")


@pytest.fixture
def ids(settings):
    """Return a function: the ids of the checks' messages about limits, on a site that consists of these views."""

    def check(*views, deploy=True):
        callbacks = [getattr(item, "as_view", lambda item=item: item)() for item in views]
        settings.ROOT_URLCONF = tuple(path(f"{number}/", item) for number, item in enumerate(callbacks))
        messages = run_checks(tags=["apikeys"], include_deployment_checks=deploy)
        found = [message.id.removeprefix("apikeys.") for message in messages]
        return [name for name in found if name in {"E001", "E006", "E007", "E008", "W210", "W211", "W231"}]

    return check


def key_view(**attributes):
    return derived(Plain, permission_classes=[READ], **{"__module__": __name__, **attributes})


def counting(**attributes):
    return key_view(throttle_classes=[KeyRateThrottle], **attributes)


@pytest.fixture
def redis(settings):
    pytest.importorskip("redis")
    with_settings(settings, LIMITS_STORAGE="redis://127.0.0.1:1")


@pytest.mark.usefixtures("redis")
def test_views_that_count_in_redis_are_fine(ids):
    assert ids(counting()) == []


@pytest.mark.parametrize("by_default", [False, True], ids=["on the view", "by default"])
def test_a_cache_that_cannot_count_is_an_error(settings, ids, monkeypatch, by_default):
    settings.CACHES = DUMMY
    if by_default:
        monkeypatch.setattr(api_settings, "DEFAULT_THROTTLE_CLASSES", [KeyRateThrottle])

    assert ids(key_view() if by_default else counting()) == ["E006"]


def test_a_cache_that_cannot_count_is_fine_where_nothing_counts(settings, ids):
    settings.CACHES = DUMMY

    assert ids(key_view()) == []


def test_an_address_that_cannot_be_read_is_an_error(settings, ids):
    with_settings(settings, LIMITS_STORAGE="redis://:pass/word@127.0.0.1:6379")

    assert ids(counting()) == ["E006"]


def test_a_missing_library_is_an_error(ids, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "limits" else find_spec(name))

    assert ids(counting(), deploy=False) == ["E007"]


def test_local_memory_is_warned_of_on_deployment(settings, ids):
    with_settings(settings, LIMITS_STORAGE="memory://")

    assert ids(counting()) == ["W210"]
    assert ids(counting(), deploy=False) == []
    assert ids(key_view()) == []


def test_local_memory_is_not_warned_of_where_settings_cannot_be_read(settings, ids):
    with_settings(settings, LIMITS_STORAGE=7)

    assert ids(counting()) == ["E001"]


@counts_as(scope="serach")
def searching(self, request):
    """A handler with a misspelt scope."""


class Searching(PlainViewSet):
    permission_classes = [READ]
    throttle_classes = [KeyRateThrottle]

    @action(detail=False)
    @counts_as(scope="serach")
    def search(self, request):
        return Response()


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("view", "found"),
    [
        pytest.param(counting(limit_scope="search"), [], id="known"),
        pytest.param(counting(limit_scope="serach"), ["E008"], id="unknown"),
        pytest.param(counting(limit_scope=property(lambda self: "serach")), [], id="a property"),
        pytest.param(counting(get=searching), ["E008"], id="on a method"),
        pytest.param(Searching.as_view({"get": "search"}), ["E008"], id="on an action"),
    ],
)
def test_a_scope_without_rates_is_an_error(settings, ids, view, found):
    with_settings(settings, LIMIT_SCOPES={"search": ["1/min"]})

    assert ids(view) == found


@pytest.mark.parametrize("name", ["quota", "10"])
def test_a_scope_may_not_be_called_as_limits_of_callers_are(settings, ids, name):
    with_settings(settings, LIMIT_SCOPES={name: ["5/day"]})

    assert ids(counting()) == ["E001"]


def own_throttles(self):
    return []


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("given", "view", "found"),
    [
        pytest.param({"RATES": ["1/min"]}, key_view(), ["W211"], id="rates"),
        pytest.param({"QUOTAS": ["1/day"]}, key_view(), ["W211"], id="quotas"),
        pytest.param({"LIMIT_SCOPES": {"search": ["1/min"]}}, key_view(), ["W211"], id="scopes"),
        pytest.param({}, key_view(), [], id="no limits"),
        pytest.param({"RATES": ["1/min"]}, counting(), [], id="counted"),
        pytest.param({"RATES": ["1/min"]}, key_view(get_throttles=own_throttles), [], id="by a method"),
    ],
)
def test_limits_that_a_view_does_not_count_are_warned_of(settings, ids, given, view, found):
    with_settings(settings, **given)

    assert ids(view) == found


def by_verify(request):
    """A view that is not REST framework's."""


WITHOUT_KEYS = key_view(authentication_classes=[])


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    "limits", [{"RATES": ["1/min"]}, {"QUOTAS": ["1/day"]}, {"LIMIT_SCOPES": {"search": ["1/min"]}}]
)
@pytest.mark.parametrize(
    "views", [[], [by_verify], [WITHOUT_KEYS, by_verify]], ids=["none", "by verify", "without keys"]
)
def test_limits_that_no_view_counts_are_warned_of(settings, ids, limits, views):
    with_settings(settings, **limits)

    assert ids(*views) == ["W231"]


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("limits", "counting_view"),
    [
        pytest.param({"RATES": ["1/min"]}, counting(), id="on a view"),
        pytest.param({"QUOTAS": ["1/day"]}, key_view(get_throttles=own_throttles), id="perhaps by a method"),
        pytest.param({}, WITHOUT_KEYS, id="no limits"),
        pytest.param({"RATES": [], "QUOTAS": [], "LIMIT_SCOPES": {}}, WITHOUT_KEYS, id="empty limits"),
    ],
)
def test_limits_that_one_view_counts_are_fine(settings, ids, limits, counting_view):
    with_settings(settings, **limits)

    assert ids(by_verify, WITHOUT_KEYS, counting_view) == []


@pytest.mark.usefixtures("redis")
def test_limits_are_not_warned_of_where_the_url_configuration_cannot_be_imported(settings):
    with_settings(settings, RATES=["1/min"])
    settings.ROOT_URLCONF = "tests.no_such_module"

    assert "apikeys.W231" not in {message.id for message in run_checks(tags=["apikeys"])}
