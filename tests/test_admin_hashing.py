from __future__ import annotations

import pytest
from django.db import connection

from apikeys.testing import make_key

from .admin_pages import ADD, issue_fields, page_of, rotate_fields
from .factories import ClientFactory, PersonFactory
from .test_middleware import RecordingHasher

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _signed_in(client):
    ClientFactory(name="Web app")
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))


@pytest.fixture(params=[True, False], ids=["atomic requests", "usual requests"])
def recorded(request, settings, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", request.param)
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.test_middleware.RecordingHasher"]}
    return RecordingHasher.in_transaction


def test_the_page_that_issues_hashes_outside_of_transactions(client, recorded):
    recorded.clear()

    response = client.post(ADD, issue_fields())

    assert "Copy your new key" in response.content.decode()
    assert recorded == [False]


def test_the_page_that_rotates_hashes_outside_of_transactions(client, recorded):
    key = make_key().key
    recorded.clear()

    response = client.post(page_of(key, "rotate"), rotate_fields())

    assert "Copy the replacement key" in response.content.decode()
    assert recorded == [False]
