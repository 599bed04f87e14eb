"""Two writers at once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.utils import timezone

from apikeys import clients, issuance, keys
from apikeys.core import errors
from apikeys.models import APIKey, Client, KeyEvent, KeyRevocation
from apikeys.testing import make_key
from tests.factories import ClientFactory, UserFactory
from tests.races import fresh, of_type, race

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

#: Each race is run often enough that both orders are seen.
ROUNDS = 8


def working():
    return APIKey.objects.working()


def fresh_client(client):
    return Client.objects.get(pk=client.pk)


def test_two_rotations_at_once_give_one_replacement():
    for _ in range(ROUNDS):
        key = make_key().key

        results = race(partial(keys.rotate, fresh(key)), partial(keys.rotate, fresh(key)))

        assert len(of_type(results, keys.IssuedKey)) == 1
        assert len(of_type(results, errors.AlreadyRotatedError)) == 1
        assert APIKey.objects.filter(family=key.family).count() == 2
        assert KeyEvent.objects.filter(key__family=key.family, kind="rotated").count() == 1


def test_a_revoke_during_a_rotate_leaves_no_working_key():
    for turn in range(3 * ROUNDS):
        key = make_key().key
        calls = [partial(keys.rotate, fresh(key)), partial(keys.revoke, fresh(key), reason="leaked")]

        race(*(calls if turn % 2 else reversed(calls)))

        assert not APIKey.objects.working().filter(family=key.family).exists()


def test_a_narrowing_during_a_rotate_leaves_no_key_with_the_lost_scope():
    for turn in range(3 * ROUNDS):
        key = make_key(scopes=["todo:read", "todo:write"]).key
        calls = [partial(keys.rotate, fresh(key)), partial(keys.narrow, fresh(key), scopes=["todo:read"])]

        race(*(calls if turn % 2 else reversed(calls)))

        assert [k.scopes for k in APIKey.objects.filter(family=key.family)] == [["todo:read"]] * 2


def test_a_ceiling_that_is_narrowed_during_an_issue_covers_the_new_key_or_refuses_it():
    for turn in range(3 * ROUNDS):
        client = ClientFactory(allowed_scopes=["todo:read", "todo:write"])
        issue = partial(
            keys.issue, client, name="New", scopes=["todo:write"], owner=UserFactory(), secret=issuance.new_secret()
        )
        calls = [issue, partial(clients.narrow_ceiling, fresh_client(client), without="todo:write")]

        results = race(*(calls if turn % 2 else reversed(calls)))

        is_issued = APIKey.objects.filter(client=client).exists()
        assert len(of_type(results, errors.ScopeAboveCeilingError)) == (not is_issued)
        assert ("todo:write" in fresh_client(client).allowed_scopes) == is_issued


def test_two_revocations_at_once_leave_one_row_and_one_event():
    for _ in range(ROUNDS):
        key = make_key().key

        results = race(
            partial(keys.revoke, fresh(key), reason="leaked"), partial(keys.revoke, fresh(key), reason="left")
        )

        assert len(of_type(results, errors.AlreadyRevokedError)) == 1
        assert KeyRevocation.objects.filter(key=key).count() == 1
        assert KeyEvent.objects.filter(key=key, kind="revoked").count() == 1


def test_one_form_sent_twice_at_once_makes_one_key():
    client, owner = ClientFactory(), UserFactory()
    for number in range(ROUNDS):
        form_id = uuid4()
        issue = partial(keys.issue, client, name=f"Key {number}", scopes="todo:read", owner=owner, form_id=form_id)

        results = race(issue, issue)

        assert len(of_type(results, keys.IssuedKey)) == 1
        assert APIKey.objects.filter(form_id=form_id).count() == 1


def test_one_rotation_form_sent_twice_at_once_makes_one_replacement():
    for _ in range(ROUNDS):
        key, form_id = make_key().key, uuid4()

        results = race(
            partial(keys.rotate, fresh(key), form_id=form_id), partial(keys.rotate, fresh(key), form_id=form_id)
        )

        assert len(of_type(results, keys.IssuedKey)) == 1
        assert APIKey.objects.filter(family=key.family).count() == 2


def test_one_name_issued_twice_at_once_makes_one_key():
    client = ClientFactory()
    for number in range(ROUNDS):
        issue = partial(keys.issue, client, name=f"Key {number}", scopes="todo:read")

        results = race(issue, issue)

        assert len(of_type(results, keys.IssuedKey)) == 1
        assert len(of_type(results, errors.DuplicateNameError)) == 1


def test_an_owner_never_gets_more_keys_than_the_limit_across_clients(settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_KEYS_PER_OWNER": 2}
    for _ in range(ROUNDS // 2):
        owner = UserFactory()

        results = race(
            *[partial(keys.issue, ClientFactory(), name="Key", scopes="todo:read", owner=owner) for _ in range(4)]
        )

        assert len(of_type(results, keys.IssuedKey)) == 2
        assert len(of_type(results, errors.TooManyKeysError)) == 2


def test_a_key_that_ran_out_is_recorded_by_one_of_two_runs(time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    made = [make_key(lifetime=timedelta(seconds=1)).key for _ in range(ROUNDS)]
    time_machine.shift(timedelta(seconds=1))

    def run() -> int:
        return sum(keys.expire(key) for key in keys.due_to_expire())

    results = race(run, run)

    assert sum(of_type(results, int)) == len(made)
    assert KeyEvent.objects.filter(kind="expired").count() == len(made)
