"""What becomes of tokens when the keys that signed them are rotated: as clients and API servers see it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from apikeys.testing import make_key
from tests.exchanges import exchange, token_text
from tests.introspection import is_active, make_app, make_server
from tests.signing_keys import AHEAD, KEPT, NOW, kids, rotate, served, with_settings

pytestmark = pytest.mark.django_db

SWITCH = NOW + AHEAD
TOKEN_LIFETIME = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def server():
    return make_server()


@pytest.fixture
def issued(server):
    return make_key(client=make_app(server), owner=None, scopes=["todo:read"])


@pytest.fixture
def two_keys():
    """Return the ids of a key and of the one that takes over at SWITCH."""
    rotate()
    rotate("--force")
    return kids()


def test_a_token_of_the_last_moment_of_a_key_lives_as_long_as_others(two_keys, issued, server, clock):
    clock.move_to(SWITCH - timedelta(seconds=1))
    token = token_text(exchange(issued))

    clock.move_to(SWITCH - timedelta(seconds=1) + TOKEN_LIFETIME - timedelta(seconds=1))
    rotate()

    assert is_active(server, token)


def test_a_token_lives_on_when_the_setting_is_lowered_and_its_key_retires(two_keys, issued, server, clock):
    clock.move_to(SWITCH - timedelta(seconds=1))
    with with_settings(SIGNED_TOKEN_LIFETIME=timedelta(hours=2)):
        token = token_text(exchange(issued))

    clock.move_to(SWITCH + timedelta(hours=1, minutes=59))
    assert rotate("--json").json["counts"]["deleted"] == 0
    assert is_active(server, token)


def test_a_token_of_a_compromised_key_is_dead_at_once(issued, server):
    rotate()
    token = token_text(exchange(issued))
    assert is_active(server, token)

    rotate("--compromised", kids()[0])

    assert not is_active(server, token)
    assert is_active(server, token_text(exchange(issued)))


def test_a_token_of_a_waiting_key_is_checked_with_what_was_published_before(two_keys, issued, server, clock):
    known = {key["kid"] for key in served()}

    clock.move_to(SWITCH)
    token_text(exchange(issued))

    assert two_keys[1] in known


def test_without_a_signing_key_nothing_is_exchanged(issued):
    response = exchange(issued)

    assert response.status_code == 503
    assert response.json()["error"] == "temporarily_unavailable"
    assert response["Retry-After"] == "60"


def test_old_keys_are_gone_when_nothing_they_signed_can_be_in_use(two_keys, clock):
    clock.move_to(SWITCH + KEPT)

    assert [key["kid"] for key in served()] == [two_keys[1]]
