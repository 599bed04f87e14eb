from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from apikeys import keys
from apikeys.core import errors
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.factories import ClientFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return ClientFactory(allowed_scopes=["todo:read", "todo:write"])


def grant(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return type(user).objects.get(pk=user.pk)


@pytest.fixture
def guarded_scopes(settings):
    settings.APIKEYS = {
        **settings.APIKEYS,
        "SCOPES": {
            "todo:read": "View",
            "users:read": {"text": "See people", "permissions": ["auth.view_user"]},
        },
    }
    return ClientFactory(allowed_scopes=["todo:read", "users:read", "apikeys:introspect"])


@pytest.mark.parametrize(
    ("rights", "owner", "permitted"),
    [
        pytest.param([], "self", False, id="nobody for oneself"),
        pytest.param(["issue_apikey"], "self", True, id="for oneself"),
        pytest.param(["issue_apikey"], "other", False, id="for others without the right"),
        pytest.param(["issue_apikey_for_others"], "other", True, id="for others"),
        pytest.param(["issue_apikey_for_others"], "richer", False, id="for somebody with more rights"),
        pytest.param(["issue_apikey_for_others", "view_user"], "richer", True, id="for somebody with the same rights"),
        pytest.param(["issue_apikey_for_others"], "superuser", False, id="for a superuser"),
        pytest.param(["issue_apikey", "issue_apikey_for_others"], "nobody", False, id="for nobody without the right"),
        pytest.param(["issue_service_apikey"], "nobody", True, id="for nobody"),
    ],
)
def test_who_may_issue_depends_on_whom_the_key_acts_for(client, rights, owner, permitted):
    by = grant(UserFactory(), *rights)
    owners = {
        "self": by,
        "other": UserFactory(),
        "richer": grant(UserFactory(), "view_user"),
        "superuser": UserFactory(is_superuser=True),
        "nobody": None,
    }

    if permitted:
        assert make_key(client=client, owner=owners[owner], by=by).key.pk
    else:
        with pytest.raises(errors.NotPermittedError):
            make_key(client=client, owner=owners[owner], by=by)


def test_a_disabled_superuser_may_issue_nothing(client):
    with pytest.raises(errors.NotPermittedError):
        make_key(client=client, by=UserFactory(is_superuser=True, is_active=False))


@pytest.mark.parametrize("scope", ["users:read", "apikeys:introspect"])
def test_a_scope_beyond_the_issuers_own_rights_is_refused(guarded_scopes, scope):
    by = grant(UserFactory(), "issue_apikey")

    with pytest.raises(errors.ScopeNotGrantableError) as caught:
        make_key(client=guarded_scopes, owner=by, by=by, scopes=["todo:read", scope])

    assert caught.value.names == (scope,)


def test_a_scope_within_the_issuers_rights_is_granted(guarded_scopes):
    by = grant(UserFactory(), "issue_apikey", "view_user")

    assert make_key(client=guarded_scopes, owner=by, by=by, scopes=["users:read"]).key.scopes == ["users:read"]


def test_a_superuser_grants_the_apps_own_scopes(guarded_scopes):
    by = UserFactory(is_superuser=True)

    assert make_key(client=guarded_scopes, owner=by, by=by, scopes="apikeys:introspect").key.pk


def test_nobody_gets_the_key_of_a_disabled_person_with_more_rights(client):
    boss = grant(UserFactory(), "view_user")
    key = make_key(client=client, owner=boss).key
    boss.is_active = False
    boss.save()

    with pytest.raises(errors.NotPermittedError):
        keys.rotate(APIKey.objects.get(pk=key.pk), by=grant(UserFactory(), "rotate_apikey"))


def test_who_made_a_key_may_take_it_back_without_any_other_right(client):
    by = grant(UserFactory(), "issue_apikey")
    issued = make_key(client=client, owner=by, by=by)

    keys.withdraw_undelivered(issued.key, by=by)

    assert issued.key.revocation.reason == "undelivered"


def test_who_may_revoke_may_take_back_what_another_made(client):
    issued = make_key(client=client)

    keys.withdraw_undelivered(issued.key, by=grant(UserFactory(), "revoke_apikey"))

    assert issued.key.revocation.reason == "undelivered"


@pytest.mark.parametrize("made_by", [None, "another"])
def test_who_neither_made_a_key_nor_may_revoke_leaves_it_as_it_is(client, made_by):
    maker = made_by and UserFactory(is_superuser=True)
    old = make_key(client=client, by=maker).key
    new = keys.rotate(old, by=maker).key

    with pytest.raises(errors.NotPermittedError):
        keys.withdraw_undelivered(new, by=grant(UserFactory(), "rotate_apikey", "issue_apikey"))

    new = APIKey.objects.get(pk=new.pk)
    assert (new.is_revoked(), new.replaces_id) == (False, old.pk)


def test_a_scope_that_is_not_declared_for_a_while_is_nothing_to_hand_on(client, settings):
    settings.APIKEYS = {"SCOPES": {**settings.APIKEYS["SCOPES"], "apikeys:manage": "Manage keys"}}
    key = make_key().key
    settings.APIKEYS = {"SCOPES": {"todo:read": "View to-dos"}}

    with pytest.raises(errors.NotPermittedError):
        keys.rotate(APIKey.objects.get(pk=key.pk), by=grant(UserFactory(), "rotate_apikey"))
