from __future__ import annotations

import pytest

from apikeys import events
from apikeys.models import EventKind
from apikeys.testing import make_key
from tests.admin_pages import page_of
from tests.factories import PersonFactory

pytestmark = pytest.mark.django_db

EVENTS = "/admin/apikeys/keyevent/"


@pytest.fixture(autouse=True)
def _signed_in(client):
    client.force_login(PersonFactory(is_superuser=True))


@pytest.mark.parametrize(
    ("details", "sentence"),
    [
        pytest.param({"network": "192.0.2.0/24"}, "From 192.0.2.0/24.", id="another"),
        pytest.param({"network": "192.0.2.0/24", "is_first": True}, "First use, from 192.0.2.0/24.", id="the-first"),
    ],
)
def test_a_new_network_is_named_in_the_history_of_the_key(client, details, sentence):
    key = make_key().key
    events.record(EventKind.NEW_NETWORK, client=key.client, key=key, source="request", details=details)

    assert f"<td>{sentence}</td>" in client.get(page_of(key)).content.decode()


def test_guessing_is_told_in_the_list_with_its_network_and_number(client):
    details = {"network": "192.0.2.0/24", "count": 120}
    events.record(EventKind.GUESSING, client=None, source="request", details=details)

    assert "120 wrong keys in a minute from 192.0.2.0/24." in client.get(EVENTS).content.decode()
