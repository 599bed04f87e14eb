from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from apikeys import clients, keys
from apikeys.core import errors
from apikeys.models import APIKey, KeyEvent
from apikeys.testing import ApiKeyClient, make_key
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0)


def status(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/").status_code


def code(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/").json()["code"]


def grant(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return type(user).objects.get(pk=user.pk)


def kinds(key):
    return [event.kind for event in KeyEvent.objects.filter(key=key).order_by("pk")]


def test_both_keys_work_in_the_overlap_and_only_the_new_one_after_it(time_machine):
    time_machine.move_to(NOW, tick=False)
    old = make_key()
    new = keys.rotate(old.key, overlap=timedelta(hours=1))

    time_machine.move_to(NOW + timedelta(minutes=59, seconds=59), tick=False)
    assert (status(old), status(new)) == (200, 200)

    time_machine.move_to(NOW + timedelta(hours=1), tick=False)
    assert (code(old), status(new)) == ("key_rotated", 200)


def test_a_replacement_copies_what_the_key_may_do_and_for_whom():
    old = make_key(scopes=["todo:read"], allowed_networks=["127.0.0.1"], note="On the build server")

    new = keys.rotate(old.key).key

    copied = ("client", "name", "owner", "acts_for_user", "scopes", "allowed_networks", "note", "family", "mode")
    old.key.refresh_from_db()
    assert {name: getattr(new, name) for name in copied} == {name: getattr(old.key, name) for name in copied}
    assert new.replaces == old.key
    assert new.key_id != old.key.key_id


def test_a_replacement_lives_as_long_as_the_key_did():
    old = make_key(lifetime=timedelta(days=10)).key

    new = keys.rotate(old).key

    assert new.expires_at - new.created_at == timedelta(days=10)


def test_a_replacement_never_outlives_the_clients_limit():
    old = make_key(lifetime=timedelta(days=100)).key
    clients.edit(old.client, max_key_lifetime=timedelta(days=7))

    new = keys.rotate(old).key

    assert new.expires_at - new.created_at == timedelta(days=7)


def test_a_replacement_of_an_endless_key_ends_where_that_is_no_longer_allowed(settings):
    settings.APIKEYS = {**settings.APIKEYS, "ALLOW_NO_EXPIRY": True}
    old = make_key(lifetime=None).key
    assert keys.rotate(old).key.expires_at is None
    other = make_key(lifetime=None).key
    settings.APIKEYS = {**settings.APIKEYS, "ALLOW_NO_EXPIRY": False}

    new = keys.rotate(other).key

    assert new.expires_at - new.created_at == timedelta(days=365)


def test_a_replacement_may_be_given_another_lifetime():
    new = keys.rotate(make_key().key, lifetime=timedelta(days=3)).key

    assert new.expires_at - new.created_at == timedelta(days=3)


def test_an_overlap_never_moves_an_earlier_end(time_machine):
    time_machine.move_to(NOW, tick=False)
    old = make_key(lifetime=timedelta(hours=5)).key

    keys.rotate(old, overlap=timedelta(hours=24))

    old.refresh_from_db()
    assert old.overlap_ends_at == old.expires_at == NOW + timedelta(hours=5)


def test_the_default_overlap_is_a_day(time_machine):
    time_machine.move_to(NOW, tick=False)
    old = make_key().key

    keys.rotate(old)

    old.refresh_from_db()
    assert old.overlap_ends_at == NOW + timedelta(hours=24)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=30, seconds=1)])
def test_an_overlap_outside_the_policy_is_refused(overlap):
    with pytest.raises(errors.OverlapRefusedError):
        keys.rotate(make_key().key, overlap=overlap)


def test_without_overlap_the_old_key_stops_at_once():
    old = make_key()

    keys.rotate(old.key, overlap=timedelta(0))

    assert code(old) == "key_rotated"


def test_a_rotated_key_can_not_be_rotated_again_and_names_its_replacement():
    old = make_key().key
    new = keys.rotate(old).key

    with pytest.raises(errors.AlreadyRotatedError, match=new.masked) as caught:
        keys.rotate(APIKey.objects.get(pk=old.pk))

    assert caught.value.replacement == new


def test_a_replacement_can_be_rotated_on_within_the_family():
    first = make_key().key
    second = keys.rotate(first).key
    third = keys.rotate(second).key

    assert third.family == second.family == first.key_id


@pytest.mark.parametrize("end", ["revoked", "expired", "orphaned"])
def test_a_dead_key_can_not_be_rotated(end, time_machine):
    time_machine.move_to(NOW, tick=False)
    key = make_key(lifetime=timedelta(days=1)).key
    if end == "revoked":
        keys.revoke(key, reason="leaked")
    elif end == "expired":
        time_machine.move_to(NOW + timedelta(days=1), tick=False)
    else:
        key.owner.delete()

    with pytest.raises(errors.KeyNotWorkingError):
        keys.rotate(APIKey.objects.get(pk=key.pk))

    assert APIKey.objects.count() == 1


def test_a_rotation_form_sent_twice_makes_one_replacement():
    form_id, old = uuid4(), make_key().key
    new = keys.rotate(old, form_id=form_id).key

    with pytest.raises(errors.AlreadyIssuedError) as caught:
        keys.rotate(old, form_id=form_id)

    assert caught.value.key == new


@pytest.mark.parametrize(
    ("rights", "owner", "permitted"),
    [
        pytest.param([], "self", False, id="nobody"),
        pytest.param(["rotate_apikey"], "self", True, id="one's own"),
        pytest.param(["rotate_apikey"], "other", True, id="another's"),
        pytest.param(["rotate_apikey"], "superuser", False, id="a superuser's"),
        pytest.param(["rotate_apikey"], "nobody", True, id="a service key"),
    ],
)
def test_who_may_rotate_depends_on_the_owners_rights(rights, owner, permitted):
    by = grant(UserFactory(), *rights)
    owners = {"self": by, "other": UserFactory(), "superuser": UserFactory(is_superuser=True), "nobody": None}
    key = make_key(owner=owners[owner]).key

    if permitted:
        assert keys.rotate(key, by=by).plaintext
    else:
        with pytest.raises(errors.NotPermittedError):
            keys.rotate(key, by=by)


def test_nobody_rotates_a_key_with_a_scope_that_they_may_not_grant():
    key = make_key(scopes="apikeys:introspect").key
    by = grant(UserFactory(), "rotate_apikey")

    with pytest.raises(errors.NotPermittedError):
        keys.rotate(key, by=by)


def test_an_undelivered_replacement_is_undone_and_the_old_key_works_as_before():
    old = make_key()
    new = keys.rotate(old.key, overlap=timedelta(0))

    keys.withdraw_undelivered(new.key)

    old.key.refresh_from_db()
    assert (status(old), code(new)) == (200, "key_revoked")
    assert old.key.overlap_ends_at is None
    assert new.key.revocation.reason == "undelivered"
    assert kinds(old.key) == ["issued", "rotated", "undelivered"]


def test_a_key_whose_replacement_was_undone_can_be_rotated_again():
    old = make_key().key
    keys.withdraw_undelivered(keys.rotate(old).key)

    again = keys.rotate(APIKey.objects.get(pk=old.pk))

    assert status(again) == 200


@pytest.mark.parametrize("trace", ["used", "rotated"])
def test_a_replacement_that_somebody_has_can_not_be_undone(trace):
    old = make_key()
    new = keys.rotate(old.key, overlap=timedelta(0))
    if trace == "used":
        assert status(new) == 200
    else:
        keys.rotate(new.key)

    with pytest.raises(errors.AlreadyUsedError):
        keys.withdraw_undelivered(new.key)

    assert (code(old), status(new)) == ("key_rotated", 200)


def test_an_undelivered_first_key_is_revoked():
    issued = make_key()

    keys.withdraw_undelivered(issued.key)

    assert code(issued) == "key_revoked"


def test_a_key_of_the_other_mode_is_not_turned_into_one_that_works(settings):
    settings.APIKEYS = {**settings.APIKEYS, "MODE": "test"}
    key = make_key().key
    settings.APIKEYS = {**settings.APIKEYS, "MODE": "live"}

    with pytest.raises(errors.KeyNotWorkingError, match="This is a test key"):
        keys.rotate(key)


def test_a_switched_off_client_gets_no_replacement():
    key = make_key().key
    clients.disable(key.client)

    with pytest.raises(errors.ClientNotActiveError):
        keys.rotate(APIKey.objects.get(pk=key.pk))


def test_a_disabled_person_gets_no_replacement():
    key = make_key().key
    key.owner.is_active = False
    key.owner.save()

    with pytest.raises(errors.OwnerNotActiveError):
        keys.rotate(APIKey.objects.get(pk=key.pk))
