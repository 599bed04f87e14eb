"""Changes that meet on the same rows wait for each other, and none is lost. On every database."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from apikeys import keys
from apikeys.core import errors
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.factories import ClientFactory, UserFactory
from tests.races import fresh, of_type, race

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(partial(keys.revoke, reason="leaked"), id="revoke"),
        pytest.param(keys.rotate, id="rotate"),
        pytest.param(partial(keys.narrow, scopes=["todo:read"]), id="narrow"),
    ],
)
def test_an_edit_at_the_same_time_costs_neither_change(change):
    for number in range(ROUNDS):
        key = make_key(scopes=["todo:read", "todo:write"]).key
        edit = partial(keys.edit, fresh(key), name=f"Renamed {number}", note="moved")

        results = race(edit, partial(change, fresh(key)))

        assert of_type(results, errors.APIKeysError) == []
        assert fresh(key).note == "moved"


def test_undoing_a_rotation_during_a_revocation_leaves_the_revoked_key_dead():
    for turn in range(ROUNDS):
        seen = make_key().key
        old = fresh(seen)
        new = keys.rotate(old).key
        calls = [
            partial(keys.revoke, seen, reason="leaked"),
            partial(keys.withdraw_undelivered, new),
        ]

        race(*(calls if turn % 2 else reversed(calls)))

        assert not APIKey.objects.working().filter(family=seen.family).exists()


def test_two_people_may_issue_keys_for_each_other_race():
    for number in range(ROUNDS):
        monica, erlich = UserFactory(is_superuser=True), UserFactory(is_superuser=True)
        calls = [
            partial(
                keys.issue,
                ClientFactory(),
                name=f"Key {number}",
                scopes="todo:read",
                owner=owner,
                by=by,
                lifetime=timedelta(days=1),
            )
            for owner, by in [(monica, erlich), (erlich, monica)]
        ]

        results = race(*calls)

        assert len(of_type(results, keys.IssuedKey)) == 2
