"""Two runs at once share the work."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings
from django.utils import timezone

from apikeys.conf import settings
from apikeys.models import APIKey, Client, KeyEvent, KeyRevocation
from apikeys.testing import make_key
from tests.commands import run_at_once
from tests.factories import ClientFactory

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

MANY = 12
SINK: list = []


def store(issued):
    SINK.append(issued)


@pytest.fixture(autouse=True)
def sink():
    SINK.clear()
    with override_settings(APIKEYS={**settings.given(), "SECRET_SINK": "tests.test_commands_at_once.store"}):
        yield


@pytest.fixture
def many_keys():
    client = ClientFactory(name="Web app")
    return [make_key(client=client, owner=None).key for _ in range(MANY)]


def total(results, name):
    return sum(result.json["counts"][name] for result in results)


def test_each_key_is_rotated_exactly_once(many_keys):
    results = run_at_once("rotate_keys", "--client", "Web app", "--no-input", "--json", times=3)

    assert {result.code for result in results} == {0}
    assert total(results, "rotated") == MANY
    assert total(results, "rotated") + total(results, "no_longer_due") == total(results, "due")
    assert sorted(issued.key.replaces.pk for issued in SINK) == sorted(key.pk for key in many_keys)
    assert APIKey.objects.count() == 2 * MANY


def test_each_end_is_recorded_exactly_once(many_keys):
    APIKey.objects.update(expires_at=timezone.now() - timedelta(hours=1))

    results = run_at_once("expire_keys", "--json", times=3)

    assert total(results, "expired") == MANY
    assert KeyEvent.objects.filter(kind="expired").count() == MANY


def test_each_key_is_revoked_exactly_once(many_keys):
    results = run_at_once("revoke_key", *(key.key_id for key in many_keys), "--reason", "leaked", "--json")

    assert {result.code for result in results} == {0}
    assert total(results, "revoked") == KeyRevocation.objects.count() == MANY
    assert total(results, "already_revoked") == MANY


def test_new_owner_is_made_once():
    options = ("--owner", "admin", "--create-owner", "--name", "First", "--scope", "todo:read", "--json")

    results = run_at_once("issue_key", *options)

    assert sorted(result.code for result in results) == [0, 1]
    assert get_user_model().objects.count() == 1


def test_first_two_keys_share_one_default_client():
    results = run_at_once("issue_key", "--service", "--name", "First", "--scope", "todo:read", "--json")

    # One name, one client: the second key is refused for its name alone.
    assert sorted(result.code for result in results) == [0, 1]
    assert [result.json["error"]["code"] for result in results if result.code] == ["name_taken"]
    assert Client.objects.count() == 1
    assert APIKey.objects.count() == 1
