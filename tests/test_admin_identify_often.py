from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine

from apikeys.core.memory import BoundedMemory
from apikeys.limits import attempts
from apikeys.models import KeyEvent
from apikeys.testing import make_key
from tests.identifying import identify, somebody

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    person = somebody(username="gilfoyle", rights=["view_apikey", "revoke_apikey"])
    client.force_login(person)
    return person


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.mark.usefixtures("clock")
def test_more_than_thirty_look_ups_a_minute_are_refused(client):
    client.force_login(somebody(rights=["view_apikey"]))
    issued = make_key(name="Nightly export")

    answers = [identify(client, "nothing" if number % 2 else issued.plaintext) for number in range(31)]

    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    page = answers[-1].content.decode()
    assert "You may look up 30 texts a minute. Wait a minute, then try again." in page
    assert answers[-1]["Retry-After"] == "60"
    assert "Nightly export" not in page
    assert KeyEvent.objects.filter(kind="identified").count() == 30


@pytest.mark.usefixtures("clock")
def test_one_person_uses_up_no_other_ones_look_ups(client):
    for _ in range(31):
        refused = identify(client, "nothing")
    client.force_login(somebody(rights=["view_apikey"]))

    assert (refused.status_code, identify(client, "nothing").status_code) == (429, 200)


def test_the_next_minute_has_look_ups_again(client, clock, settings):
    settings.APIKEYS = {**settings.APIKEYS, "LIMITS_STORAGE": "memory://"}  # a server would have a clock of its own
    for _ in range(31):
        refused = identify(client, "nothing")
    clock.shift(60)

    assert (refused.status_code, identify(client, "nothing").status_code) == (429, 200)


@pytest.mark.redis
def test_look_ups_in_other_processes_count_too(client, monkeypatch):
    for _ in range(30):
        identify(client, "nothing")
    # Another process has counted none of them itself.
    monkeypatch.setattr(attempts, "_tries", BoundedMemory())

    assert identify(client, "nothing").status_code == 429
