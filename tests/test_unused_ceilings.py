"""What is granted while ``unused_scopes`` lowers ceilings stays granted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys import clients, signals
from apikeys.models import APIKey, Client, KeyEvent
from apikeys.testing import make_key
from tests.commands import run
from tests.factories import ClientFactory
from tests.usage_rows import requests_with

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)

# Signals follow the commit.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _too_wide(time_machine):
    """Two clients, whose only keys need one of the three permissions."""
    time_machine.move_to(NOW - 200 * DAY, tick=False)
    for name in ("Web app", "Watch"):
        client = ClientFactory(name=name, allowed_scopes=["todo:read", "todo:write", "usage:read"])
        key = make_key(client=client, scopes=["todo:read"]).key
        APIKey.objects.filter(pk=key.pk).update(expires_at=NOW + DAY)
        for days_ago in (100, 1):
            requests_with(key, at=NOW - days_ago * DAY)
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def meanwhile():
    """Return a function: call *grant* with the other client once the ceiling of one is lowered."""
    receivers = []

    def meanwhile(grant):
        def receive(event, **_told):
            signals.client_changed.disconnect(receive)
            grant(Client.objects.exclude(pk=event.client_id).get())

        signals.client_changed.connect(receive)
        receivers.append(receive)

    yield meanwhile
    for receive in receivers:
        signals.client_changed.disconnect(receive)


def ceilings():
    return sorted(Client.objects.values_list("allowed_scopes", flat=True), key=len)


def lower():
    return run("unused_scopes", "--ceilings", "--narrow", "--no-input", "--json")


def test_scope_that_joins_a_ceiling_meanwhile_stays(meanwhile):
    meanwhile(lambda client: clients.set_ceiling(client, scopes=[*client.allowed_scopes, "apikeys:usage"]))

    assert lower().code == 0

    assert ceilings() == [["todo:read"], ["todo:read", "apikeys:usage"]]


def test_scope_of_a_key_that_is_issued_meanwhile_stays(meanwhile):
    meanwhile(lambda client: make_key(client=client, scopes=["usage:read"]))

    rows = lower().json["keys"]

    assert ceilings() == [["todo:read"], ["todo:read", "usage:read"]]
    assert [row["unused"] for row in rows] == [["todo:write", "usage:read"], ["todo:write"]]


def test_scope_that_somebody_else_takes_away_meanwhile_is_neither_taken_nor_kept(meanwhile):
    meanwhile(lambda client: clients.set_ceiling(client, scopes=["todo:read", "usage:read"]))

    row = lower().json["keys"][-1]

    assert ceilings() == [["todo:read"], ["todo:read"]]
    assert (row["unused"], row["kept"]) == (["usage:read"], ["todo:read"])


def test_ceiling_all_of_which_keys_hold_by_now_is_not_counted_as_narrowed(meanwhile):
    meanwhile(lambda client: make_key(client=client, scopes=["todo:write", "usage:read"]))

    body = lower().json

    assert body["counts"]["narrowed"] == 1
    assert body["keys"][-1]["advice"] == "nothing"
    assert KeyEvent.objects.filter(kind="ceiling_set").count() == 1
