"""What says where people were is forgotten with the days that it is of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys import keys, usage
from apikeys.models import KeyNetwork, LastUse
from apikeys.testing import make_key

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_month_is_kept(settings, time_machine):
    time_machine.move_to(NOW, tick=False)
    settings.APIKEYS = {**settings.APIKEYS, "USAGE_DAYS_KEPT": 30 * DAY}


@pytest.fixture
def key():
    return make_key().key


def test_last_use_is_forgotten_with_the_days_of_it(key):
    midnight = NOW.replace(hour=0, minute=0)
    other = make_key().key
    LastUse.objects.create(key_id=key.key_id, at=midnight - 30 * DAY - timedelta(seconds=1), address="192.0.2.7")
    LastUse.objects.create(key_id=other.key_id, at=midnight - 30 * DAY, address="192.0.2.7")

    done = usage.rollup()

    assert list(LastUse.objects.values_list("key_id", flat=True)) == [other.key_id]
    assert done.rows_deleted == 1


def test_networks_of_a_family_are_forgotten_once_none_of_its_keys_works(key):
    dead = make_key().key
    keys.revoke(dead, reason="leaked")
    for each in (key, dead):
        for days, network in ((31, "192.0.2.0/24"), (29, "203.0.113.0/24")):
            KeyNetwork.objects.create(family=each.family, network=network, first_seen_at=NOW - days * DAY)

    usage.rollup()

    kept = {(network.family, network.network) for network in KeyNetwork.objects.all()}
    assert kept == {
        (key.family, "192.0.2.0/24"),
        (key.family, "203.0.113.0/24"),
        (dead.family, "203.0.113.0/24"),
    }
