from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.signals import request_finished
from django.db import connections
from django.test import AsyncClient
from django.utils import timezone

from apikeys import keys, usage
from apikeys.middleware import UsageMiddleware
from apikeys.models import Grain, Level, UsageCount
from apikeys.signals import request_counted
from apikeys.testing import ApiKeyClient, make_key
from apikeys.usage import recent

from .request_path import run_async, statements, wsgi_request
from .usage_counts import counted, get

MIDDLEWARE = "apikeys.middleware.UsageMiddleware"
NOON = datetime(2026, 11, 20, 12, 34, 56, tzinfo=UTC)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.counted_urls")]


@pytest.fixture
def noon(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def reader():
    return make_key(scopes=["todo:read"])


def test_a_request_counts_with_all_that_is_known_of_it(noon, reader):
    get(reader, REMOTE_ADDR="203.0.113.77")

    key = reader.key
    usage.flush()
    row = UsageCount.objects.get()
    assert (row.level, row.grain, row.count) == (Level.REQUEST, Grain.RAW, 1)
    assert (row.family, row.key_id, row.client_id) == (key.family, key.key_id, key.client.client_id)
    assert (row.route, row.method, row.outcome) == ("shop:orders", "GET", "ok")
    assert (row.scopes, row.network) == ("todo:read", "203.0.113.0/24")
    assert (row.bucket, row.last_at) == (NOON.replace(minute=0, second=0), NOON)


def test_requests_of_one_kind_are_one_row(noon, reader):
    for _ in range(3):
        get(reader)

    assert counted("count") == [(3,)]


def test_what_is_written_is_not_written_again(reader):
    get(reader)

    assert (usage.flush(), usage.flush()) == (1, 0)
    assert counted("count") == [(1,)]


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        pytest.param("/orders/", "ok", id="200"),
        pytest.param("/orders/?status=204", "ok", id="204"),
        pytest.param("/orders/?status=304", "ok", id="304"),
        pytest.param("/orders/?status=400", "400", id="400"),
        pytest.param("/orders/?status=403", "403", id="403 of the view"),
        pytest.param("/orders/?status=404", "404", id="404"),
        pytest.param("/orders/?status=499", "499", id="499"),
        pytest.param("/orders/?status=500", "5xx", id="500"),
        pytest.param("/orders/?status=503", "5xx", id="503"),
        pytest.param("/broken/", "5xx", id="exception"),
        pytest.param("/both/", "scope_missing", id="a scope missing"),
        pytest.param("/limited/", "limited", id="limit"),
        pytest.param("/limited/plainly/", "limited", id="limit, not of REST framework"),
        pytest.param("/throttled/", "429", id="another throttle"),
        pytest.param("/undeclared/", "403", id="nothing declared"),
        pytest.param("/plainly/", "ok", id="not of REST framework"),
        pytest.param("/streamed/", "ok", id="streamed"),
        pytest.param("/twice/", "ok", id="verified twice"),
    ],
)
def test_each_outcome_counts_once(settings, reader, url, outcome):
    settings.APIKEYS = {**settings.APIKEYS, "RATES": ["1/h"], "LIMITS_STORAGE": "memory://"}

    get(reader, url)

    assert counted("outcome", "count") == [(outcome, 1)]


@pytest.mark.parametrize(
    ("is_open", "outcome"), [(True, "limits_unavailable"), (False, "5xx")], ids=["let in", "refused"]
)
@pytest.mark.parametrize("url", ["/limited/", "/limited/plainly/"], ids=["throttle", "not of REST framework"])
def test_a_request_that_no_storage_counted_counts_once_and_was_not_denied(settings, reader, url, is_open, outcome):
    pytest.importorskip("redis")
    # A port that nobody listens on.
    outage = {"LIMITS_STORAGE": "redis://127.0.0.1:1", "LIMITS_FAIL_OPEN": is_open}
    settings.APIKEYS = {**settings.APIKEYS, "RATES": ["1/h"], **outage}

    for _ in range(3):
        get(reader, url)
    usage.flush()

    totals = usage.totals(since=timezone.now() - timedelta(hours=2), family=reader.key.family)
    assert (totals.requests, totals.denied, totals.by_outcome) == (3, 0, {outcome: 3})
    assert recent.requests_of([reader.key], now=timezone.now()) == {reader.key.key_id: 3}


@pytest.mark.parametrize(
    ("url", "scopes"),
    [
        pytest.param("/orders/", "todo:read", id="one"),
        pytest.param("/both/", "todo:read todo:write", id="two, in order"),
        pytest.param("/any/", "", id="none"),
    ],
)
def test_the_scopes_that_a_request_needed_are_noted(url, scopes):
    get(make_key(scopes=["todo:write", "todo:read", "usage:read"]), url)

    assert counted("scopes") == [(scopes,)]


@pytest.mark.parametrize(
    ("url", "route"),
    [
        pytest.param("/orders/", "shop:orders", id="name with namespace"),
        pytest.param("/orders/12/", "orders/<int:number>/", id="pattern without a name"),
        pytest.param("/any/?token=abc", "any", id="name"),
    ],
)
def test_the_route_is_that_of_the_pattern_and_never_the_address(reader, url, route):
    get(reader, url)

    assert counted("route") == [(route,)]


@pytest.mark.parametrize(("method", "noted"), [("POST", "POST"), ("BREW", "OTHER")], ids=["known", "made up"])
def test_made_up_methods_are_one(reader, method, noted):
    ApiKeyClient(reader).generic(method, "/orders/")

    assert counted("method") == [(noted,)]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("198.51.100.9", "198.51.100.0/24", id="IPv4"),
        pytest.param("2001:db8:1:2:3::4", "2001:db8:1::/48", id="IPv6"),
        pytest.param("::ffff:198.51.100.9", "198.51.100.0/24", id="IPv4 in IPv6"),
        pytest.param("", "", id="unknown"),
    ],
)
def test_addresses_are_counted_by_network(reader, address, network):
    get(reader, REMOTE_ADDR=address)

    assert counted("network") == [(network,)]


def test_an_hour_begins_where_the_clock_of_the_project_has_it(settings, noon, reader):
    settings.TIME_ZONE = "Asia/Kolkata"

    get(reader)

    # 18:04 in Kolkata.
    assert counted("bucket") == [(NOON.replace(minute=30, second=0),)]


def test_the_next_hour_is_another_row(noon, reader):
    get(reader)
    noon.move_to(NOON + timedelta(hours=1), tick=False)
    get(reader)

    hour = NOON.replace(minute=0, second=0)
    assert counted("bucket", "count") == [(hour, 1), (hour + timedelta(hours=1), 1)]


def test_people_are_not_counted(client):
    client.force_login(get_user_model().objects.create_user("ada"))

    client.get("/plainly/")

    assert counted("level") == []


def test_counting_costs_no_query(reader):
    get(reader)

    with statements() as with_counting:
        get(reader)

    assert len(with_counting) == 1


def test_a_view_that_is_rolled_back_counts(reader):
    get(reader, "/rolled-back/")

    assert counted("outcome") == [("ok",)]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_around_the_view_is_not_around_the_count(monkeypatch, reader):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)

    get(reader, "/broken/")

    assert counted("outcome", "count") == [("5xx", 1)]


@pytest.fixture
def _connections_kept():
    # The asynchronous client closes a response in a thread of its own, whose connection it forgets.
    def close(sender, **kwargs):
        connections.close_all()

    request_finished.connect(close)
    yield
    request_finished.disconnect(close)


@pytest.mark.usefixtures("_connections_kept")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("url", "scopes"), [("/async/", ""), ("/orders/", "todo:read")], ids=["async", "sync"])
def test_under_asgi_a_request_counts_once(reader, url, scopes):
    headers = {"authorization": f"Bearer {reader.plaintext}"}

    async def ask():
        return await AsyncClient().get(url, secure=True, headers=headers)

    assert run_async(ask).status_code == 200
    assert counted("outcome", "scopes", "count") == [("ok", scopes, 1)]


def test_through_a_server_a_request_counts_once(reader):
    wsgi_request("/orders/", HTTP_AUTHORIZATION=f"Bearer {reader.plaintext}")

    assert counted("outcome", "count") == [("ok", 1)]


def test_replacements_count_for_one_family_and_for_their_own_key(reader):
    new = keys.rotate(reader.key)

    get(reader)
    get(new)

    assert counted("family", "key_id") == [(reader.key.key_id, reader.key.key_id), (reader.key.key_id, new.key.key_id)]


def test_without_the_middleware_nothing_is_counted_and_deployment_says_so(settings, reader):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]

    get(reader)

    assert counted("level") == []
    messages = [message for message in run_checks(include_deployment_checks=True) if message.id == "apikeys.W212"]
    assert [MIDDLEWARE in message.hint for message in messages] == [True]


class OurMiddleware(UsageMiddleware):
    """A project's own."""


@pytest.mark.parametrize("path", [MIDDLEWARE, f"{__name__}.OurMiddleware"], ids=["ours", "derived"])
def test_with_the_middleware_deployment_is_quiet(settings, path):
    settings.MIDDLEWARE = [path]

    assert [message for message in run_checks(include_deployment_checks=True) if message.id == "apikeys.W212"] == []


def test_exporters_hear_of_each_request(reader):
    heard = []

    def receive(**told):
        heard.append(told)

    request_counted.connect(receive)
    try:
        get(reader, "/both/")
    finally:
        request_counted.disconnect(receive)

    told = heard[0]
    assert 0 < told.pop("seconds") < 60
    assert {name: told[name] for name in ("client_id", "key_id", "route", "method", "outcome")} == {
        "client_id": reader.key.client.client_id,
        "key_id": reader.key.key_id,
        "route": "both",
        "method": "GET",
        "outcome": "scope_missing",
    }
    assert len(heard) == 1


def test_an_exporter_that_fails_fails_no_request(reader):
    def receive(**told):
        raise RuntimeError("a fault of the exporter")

    request_counted.connect(receive)
    try:
        assert get(reader).status_code == 200
    finally:
        request_counted.disconnect(receive)
