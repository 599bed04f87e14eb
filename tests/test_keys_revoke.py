from __future__ import annotations

from functools import partial

import pytest
from django.contrib.auth.models import Permission

from apikeys import keys
from apikeys.core import errors
from apikeys.models import APIKey, KeyEvent, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.factories import ClientFactory, UserFactory
from tests.races import fresh, race

pytestmark = pytest.mark.django_db

#: Each race is run often enough that both orders are seen.
ROUNDS = 12


def status(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/").status_code


def code(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/").json()["code"]


def grant(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return type(user).objects.get(pk=user.pk)


def kinds(key):
    return [event.kind for event in KeyEvent.objects.filter(key=key).order_by("pk")]


@pytest.mark.parametrize("reason", ["leaked", "unneeded", "replaced", "left", "undelivered", "other"])
def test_a_revoked_key_stops_on_the_next_request_and_says_why_it_was(reason):
    gilfoyle = UserFactory(is_superuser=True)
    issued = make_key()
    assert status(issued) == 200

    keys.revoke(issued.key, reason=reason, note="seen in a log", by=gilfoyle)

    assert code(issued) == "key_revoked"
    revocation = KeyRevocation.objects.get(key=issued.key)
    assert (revocation.reason, revocation.note, revocation.by) == (reason, "seen in a log", gilfoyle)


def test_an_unknown_reason_is_refused():
    with pytest.raises(ValueError, match="bored"):
        keys.revoke(make_key().key, reason="bored")


def test_a_second_revocation_says_when_the_first_was_and_changes_nothing():
    key = make_key().key
    keys.revoke(key, reason="leaked")

    with pytest.raises(errors.AlreadyRevokedError, match="Already revoked on"):
        keys.revoke(key, reason="unneeded")

    assert KeyRevocation.objects.get(key=key).reason == "leaked"
    assert kinds(key) == ["issued", "revoked"]


def test_nobody_revokes_without_the_right():
    issued = make_key()

    with pytest.raises(errors.NotPermittedError):
        keys.revoke(issued.key, reason="leaked", by=UserFactory())

    assert status(issued) == 200


def test_the_right_to_revoke_is_enough_to_revoke():
    issued = make_key()

    keys.revoke(issued.key, reason="leaked", by=grant(UserFactory(), "revoke_apikey"))

    assert status(issued) == 401


@pytest.mark.parametrize("way", ["save", "update", "bulk_update", "raw"])
def test_no_stale_object_and_no_update_revives_a_revoked_key(way):
    issued = make_key()
    stale = APIKey.objects.get(pk=issued.key.pk)
    keys.revoke(issued.key, reason="leaked")

    if way == "save":
        stale.save()
    elif way == "update":
        APIKey.objects.filter(pk=stale.pk).update(expires_at=None, overlap_ends_at=None, end_recorded_at=None)
    elif way == "bulk_update":
        APIKey.objects.bulk_update([stale], ["expires_at", "name"])
    else:
        APIKey.objects.raw("SELECT * FROM apikeys_apikey")[0].save()

    assert code(issued) == "key_revoked"


def test_revoking_a_key_that_was_rotated_meanwhile_stops_the_replacement_too():
    old = make_key()
    seen = APIKey.objects.get(pk=old.key.pk)
    new = keys.rotate(old.key)
    newer = keys.rotate(new.key)

    stopped = keys.revoke(seen, reason="leaked")

    assert [key.pk for key in stopped] == [old.key.pk, new.key.pk, newer.key.pk]
    assert [code(issued) for issued in (old, new, newer)] == ["key_revoked"] * 3


def test_revoking_a_key_known_to_be_rotated_leaves_its_replacement():
    old = make_key()
    new = keys.rotate(old.key)

    keys.revoke(APIKey.objects.get(pk=old.key.pk), reason="leaked")

    assert (code(old), status(new)) == ("key_revoked", 200)


@pytest.mark.django_db(transaction=True)
def test_issuing_for_the_same_client_by_the_same_person_at_the_same_time_costs_neither_change():
    for turn in range(ROUNDS):
        gilfoyle, app = UserFactory(is_superuser=True), ClientFactory()
        key = make_key(client=app).key
        calls = [
            partial(keys.revoke, key, reason="leaked", by=gilfoyle),
            partial(keys.issue, app, name="Next", scopes="todo:read", owner=gilfoyle, by=gilfoyle),
        ]

        race(*(calls if turn % 2 else reversed(calls)))

        assert KeyRevocation.objects.filter(key=key).exists()
        assert app.keys.working().count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_edit_of_the_unseen_replacement_at_the_same_time_costs_neither_change():
    for turn in range(ROUNDS):
        key = make_key().key
        seen = fresh(key)
        replacement = keys.rotate(key).key
        calls = [
            partial(keys.revoke, seen, reason="leaked"),
            partial(keys.edit, fresh(replacement), name=f"Renamed {turn}", note=""),
        ]

        race(*(calls if turn % 2 else reversed(calls)))

        assert KeyRevocation.objects.filter(key__in=[key, replacement]).count() == 2
        assert fresh(replacement).name == f"Renamed {turn}"
