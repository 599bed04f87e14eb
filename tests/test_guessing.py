from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys import counting, usage
from apikeys.core.networks import parse_address
from apikeys.models import EventKind, KeyEvent, UsageCount
from apikeys.testing import make_key
from apikeys.usage import networks

from .request_path import statements, whoami

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ATTACKER = "203.0.113.66"


@pytest.fixture(autouse=True)
def noon(settings, time_machine):
    settings.APIKEYS = {**settings.APIKEYS, "GUESSES_PER_NETWORK_PER_MINUTE": 5}
    time_machine.move_to(NOON, tick=False)
    return time_machine


def guess(times, *, address=ATTACKER, key="ak_live_wrong"):
    for _ in range(times):
        assert whoami(key, REMOTE_ADDR=address).status_code == 401


def events():
    usage.flush()
    return list(KeyEvent.objects.filter(kind=EventKind.GUESSING).order_by("pk"))


@pytest.mark.parametrize(("times", "is_told"), [(4, False), (5, True), (50, True)], ids=str)
def test_many_wrong_keys_of_a_network_in_a_minute_leave_one_event(times, is_told):
    guess(times)

    assert len(events()) == is_told


def test_the_event_says_from_where_and_names_no_key():
    guess(6)

    event = events()[0]
    assert (event.key, event.client, event.source) == (None, None, "request")
    assert event.details == {"network": "203.0.113.0/24", "count": 6, "minute": "2026-11-20T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        pytest.param(ATTACKER, "203.0.113.1", True, id="same /24"),
        pytest.param(ATTACKER, "203.0.114.1", False, id="other /24"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="same /64"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="other /64"),
    ],
)
def test_wrong_keys_are_summed_by_network(first, second, is_told):
    guess(3, address=first)
    guess(3, address=second)

    assert len(events()) == is_told


def test_wrong_keys_are_summed_over_processes():
    guess(3)
    assert events() == []
    networks.forget_all()
    guess(3)

    assert len(events()) == 1


def test_wrong_keys_of_two_minutes_are_not_summed(noon):
    guess(3)
    noon.move_to(NOON + timedelta(minutes=1), tick=False)
    guess(3)

    assert events() == []


def test_a_network_that_goes_on_leaves_one_event_in_an_hour(noon):
    for minute in range(0, 120, 20):
        noon.move_to(NOON + timedelta(minutes=minute), tick=False)
        guess(5)
        usage.flush()
        networks.forget_all()

    assert len(events()) == 2


def test_dead_and_refused_keys_are_no_guesses():
    issued = make_key(allowed_networks=["192.0.2.0/24"])

    for _ in range(9):
        whoami(issued, REMOTE_ADDR=ATTACKER)

    assert events() == []


def test_a_good_key_behind_the_same_address_is_never_refused():
    issued = make_key()
    guess(50)
    assert len(events()) == 1

    assert {whoami(issued, REMOTE_ADDR=ATTACKER).status_code for _ in range(20)} == {200}


def test_a_flood_costs_no_query_before_the_flush():
    guess(1)

    with statements() as sql:
        guess(20, key="ak_live_another")

    assert sql == []


def test_a_flood_from_everywhere_is_told_as_one(monkeypatch):
    monkeypatch.setattr(counting, "_MOST_NETWORKS_HELD", 2)
    for number in range(8):
        guess(1, address=f"10.0.{number}.1")

    assert [event.details["network"] for event in events()] == ["other"]
    assert UsageCount.objects.get(network="other").count == 6


def test_networks_beyond_the_most_that_are_told_of_in_an_hour_leave_one_event_together(monkeypatch, noon):
    monkeypatch.setattr(networks, "_MOST_GUESSING", 2)
    for number in range(6):
        guess(5, address=f"2001:db8:0:{number}::1")
        usage.flush()
        networks.forget_all()

    found = [event.details["network"] for event in events()]
    assert found == ["2001:db8::/64", "2001:db8:0:1::/64", "other"]

    noon.move_to(NOON + timedelta(hours=1), tick=False)
    guess(5, address="2001:db8:0:9::1")
    assert events()[-1].details["network"] == "2001:db8:0:9::/64"


def test_addresses_that_are_not_known_are_counted_together():
    guess(5, address="")

    assert parse_address("") is None
    assert [event.details["network"] for event in events()] == [""]
