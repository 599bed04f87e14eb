from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError

from apikeys import counting, keys, usage
from apikeys.models import EventKind, KeyEvent, KeyNetwork
from apikeys.signals import key_used_from_new_network
from apikeys.testing import make_key
from apikeys.usage import networks

from .request_path import statements, whoami
from .test_usage_flushing import failing
from .threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def heard():
    told = []

    def receive(**what):
        told.append(what)

    key_used_from_new_network.connect(receive)
    yield told
    key_used_from_new_network.disconnect(receive)


@pytest.fixture
def noon(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


def use(issued, *addresses):
    for address in addresses:
        assert whoami(issued, REMOTE_ADDR=address).status_code == 200
    usage.flush()


def events():
    return list(KeyEvent.objects.filter(kind=EventKind.NEW_NETWORK).order_by("pk"))


def on_record():
    return sorted(KeyNetwork.objects.values_list("network", flat=True))


@pytest.fixture
def at_home():
    """A key that was used from 192.0.2.0/24 before."""
    issued = make_key()
    use(issued, "192.0.2.1")
    return issued


def test_the_first_use_from_a_network_leaves_an_event_and_tells(heard, at_home):
    heard.clear()
    use(at_home, "203.0.113.7")

    event = events()[-1]
    assert (event.key, event.client) == (at_home.key, at_home.key.client)
    assert (event.address, event.source) == ("203.0.113.7", "request")
    assert event.details == {"network": "203.0.113.0/24"}
    assert [(told["key"], told["event"], told["network"]) for told in heard] == [(at_home.key, event, "203.0.113.0/24")]


def test_the_very_first_network_of_a_family_says_so(at_home):
    assert [event.details for event in events()] == [{"network": "192.0.2.0/24", "is_first": True}]


@pytest.mark.parametrize(
    ("first", "second", "are_two"),
    [
        pytest.param("203.0.113.7", "203.0.113.200", False, id="same /24"),
        pytest.param("203.0.113.7", "203.0.114.7", True, id="other /24"),
        pytest.param("2001:db8:1::1", "2001:db8:1:ffff::1", False, id="same /48"),
        pytest.param("2001:db8:1::1", "2001:db8:2::1", True, id="other /48"),
        pytest.param("203.0.113.7", "::ffff:203.0.113.8", False, id="same /24, in IPv6"),
    ],
)
def test_networks_are_told_apart_by_their_prefix(at_home, first, second, are_two):
    before = len(events())

    use(at_home, first)
    use(at_home, second)

    assert len(events()) - before == 1 + are_two


def test_a_network_is_new_once(at_home):
    use(at_home, "203.0.113.7", "203.0.113.8")
    use(at_home, "203.0.113.9")
    networks.forget_all()  # as a new process
    use(at_home, "203.0.113.10")

    assert len(events()) == 2


def test_a_replacement_is_used_from_where_its_family_is_known(at_home):
    new = keys.rotate(at_home.key)

    use(new, "192.0.2.99")

    assert len(events()) == 1


def test_another_key_is_not_known_there(at_home):
    use(make_key(), "192.0.2.1")

    assert len(events()) == 2


def test_an_address_that_is_not_known_is_no_network(at_home):
    use(at_home, "")

    assert len(events()) == 1


def test_the_list_has_an_end_and_the_oldest_goes(settings, noon):
    settings.APIKEYS = {**settings.APIKEYS, "NETWORKS_PER_KEY": 3}
    issued = make_key()

    for number in range(5):
        noon.move_to(NOON + timedelta(days=number), tick=False)
        use(issued, f"10.0.{number}.1")

    assert on_record() == ["10.0.2.0/24", "10.0.3.0/24", "10.0.4.0/24"]


def test_a_family_that_moves_about_gets_one_event_in_an_hour(settings, noon):
    settings.APIKEYS = {**settings.APIKEYS, "NETWORKS_PER_KEY": 2}
    issued = make_key()
    use(issued, "10.0.0.1", "10.0.1.1")

    for minute in range(0, 120, 10):
        noon.move_to(NOON + timedelta(minutes=minute), tick=False)
        use(issued, f"10.1.{minute}.1")

    assert len(events()) == 2 + 2


def test_a_family_that_is_everywhere_at_once_costs_no_more_queries_than_one_that_moves_a_little(settings, noon):
    settings.APIKEYS = {**settings.APIKEYS, "NETWORKS_PER_KEY": 3}
    queries = []
    for number in (5, 80):
        issued = make_key()
        for place in range(number):
            assert whoami(issued, REMOTE_ADDR=f"10.{number}.{place}.1").status_code == 200
        with statements() as sql:
            usage.flush()
        queries.append(len(sql))

    # Older SQLite takes the rows of one INSERT in two.
    assert queries[1] - queries[0] <= 1
    assert len(events()) == 2 * (3 + 1)
    assert len(on_record()) == 2 * 3


def test_flushes_at_once_tell_once(heard, at_home):
    heard.clear()
    networks.forget_all()

    def arrive():
        # Each as a process of its own that has not flushed yet.
        whoami(at_home, REMOTE_ADDR="203.0.113.7")
        counts = counting.take()
        networks.forget_all()
        networks.note_networks(counts)

    at_once(*[arrive] * 4)

    assert len(events()) == 2
    assert len(heard) == 1
    assert on_record() == ["192.0.2.0/24", "203.0.113.0/24"]


def test_nobody_is_refused_for_a_new_network(at_home):
    use(at_home, "203.0.113.7")

    assert whoami(at_home, REMOTE_ADDR="203.0.113.7").status_code == 200


def test_networks_of_many_keys_are_written_in_one_statement():
    for _ in range(5):
        whoami(make_key())

    with statements() as sql:
        usage.flush()

    assert KeyNetwork.objects.count() == 5
    assert len([each for each in sql if each.startswith("INSERT") and "apikeys_keynetwork" in each]) == 1


def test_a_network_that_could_not_be_recorded_is_recorded_by_the_next_flush(at_home):
    with failing("INSERT", "apikeys_keynetwork"):
        use(at_home, "198.51.100.1")
    assert on_record() == ["192.0.2.0/24"]

    usage.flush()

    assert on_record() == ["192.0.2.0/24", "198.51.100.0/24"]
    assert [event.details["network"] for event in events()] == ["192.0.2.0/24", "198.51.100.0/24"]


def test_networks_that_could_not_be_recorded_fill_no_memory(at_home, monkeypatch):
    monkeypatch.setattr(networks, "_MOST_UNWRITTEN", 2)
    with failing("INSERT", "apikeys_keynetwork"):
        use(at_home, *(f"198.51.{number}.1" for number in range(4)))

    usage.flush()

    assert on_record() == ["192.0.2.0/24", "198.51.0.0/24", "198.51.1.0/24"]


def test_a_network_that_the_database_can_not_store_holds_up_no_other(at_home):
    with failing("INSERT", "apikeys_keynetwork", error=DataError):
        use(at_home, "198.51.100.1")

    use(at_home, "203.0.113.1")

    assert on_record() == ["192.0.2.0/24", "203.0.113.0/24"]
