"""What a credential may do: of its scopes those that client, consent, declaration and the person's rights allow."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from oauth2_provider.models import get_access_token_model

from apikeys import clients
from apikeys.drf import HasScopes
from apikeys.oauth import consents
from apikeys.oauth.models import Consent
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .drf_views import ask
from .factories import UserFactory
from .oauth_views import KEY_FIRST, quiet_view, send
from .request_path import statements

pytestmark = pytest.mark.django_db


@pytest.fixture
def editing(settings):
    """A scope that asks for a Django permission of the person."""
    scopes = {
        **settings.APIKEYS["SCOPES"],
        "todo:edit": {"label": "Edit", "text": "Edit to-dos.", "permissions": ["apikeys.change_client"]},
    }
    settings.APIKEYS = {**settings.APIKEYS, "SCOPES": scopes}
    return Permission.objects.get(content_type__app_label="apikeys", codename="change_client")


def needing(scope):
    return quiet_view(authentication_classes=KEY_FIRST, permission_classes=[HasScopes(scope)])


def send_key(issued, *, to):
    return ask(to, key=issued)


CREDENTIALS: dict[str, tuple[Any, Any]] = {
    "key": (lambda person, scopes: make_key(owner=person, scopes=scopes), send_key),
    "token": (lambda person, scopes: make_token(user=person, scopes=scopes), send),
}


@pytest.fixture(params=list(CREDENTIALS.values()), ids=list(CREDENTIALS))
def credential_of(request):
    """Return a function that makes a credential of a person, and returns one that asks with it."""
    make, present = request.param

    def made(person, *, scopes=("todo:read", "todo:edit")):
        credential = make(person, scopes)
        return lambda scope: present(credential, to=needing(scope)).status_code

    return made


def test_person_without_the_right_reaches_the_scope_by_no_credential(editing, credential_of):
    asks = credential_of(UserFactory())

    assert (asks("todo:edit"), asks("todo:read")) == (403, 200)


def join(person, permission):
    group = Group.objects.create(name="Editors")
    group.permissions.add(permission)
    person.groups.add(group)


def leave(person, permission):
    person.groups.clear()


def empty(person, permission):
    Group.objects.get().permissions.clear()


def allow(person, permission):
    person.user_permissions.add(permission)


def disallow(person, permission):
    person.user_permissions.clear()


def promote(person, permission):
    person.is_superuser = True
    person.save()


def demote(person, permission):
    person.is_superuser = False
    person.save()


@pytest.mark.parametrize(
    ("give", "take"),
    [
        pytest.param(join, leave, id="group left"),
        pytest.param(join, empty, id="group without the right"),
        pytest.param(allow, disallow, id="right taken"),
        pytest.param(promote, demote, id="no superuser any more"),
    ],
)
def test_role_counts_from_one_request_to_the_next(editing, credential_of, give, take):
    person = UserFactory()
    asks = credential_of(person)

    found = []
    for change in (give, take, allow):
        change(person, editing)
        found.append(asks("todo:edit"))

    assert found == [200, 403, 200]


def test_what_the_role_has_nothing_to_do_with_is_kept(editing, credential_of):
    person = UserFactory()
    asks = credential_of(person)
    join(person, editing)
    leave(person, editing)

    assert asks("todo:read") == 200


@pytest.mark.parametrize(
    ("scopes", "queries"),
    [
        pytest.param(["todo:read"], 1, id="without permissions"),
        pytest.param(["todo:read", "todo:edit"], 3, id="with permissions"),
    ],
)
def test_rights_cost_two_queries_and_only_where_a_held_scope_names_them(editing, credential_of, scopes, queries):
    asks = credential_of(UserFactory(), scopes=scopes)
    asks("todo:read")

    with statements() as sql:
        status = asks("todo:read")

    assert (status, len(sql)) == (200, queries)


def test_rights_of_a_superuser_cost_no_query(editing, credential_of):
    asks = credential_of(UserFactory(is_superuser=True))
    asks("todo:edit")

    with statements() as sql:
        status = asks("todo:edit")

    assert (status, len(sql)) == (200, 1)


def test_scope_with_permissions_is_no_matter_of_persons_for_a_clients_own_token(editing):
    made = make_token(user=None, scopes=["todo:edit"])

    assert send(made, to=needing("todo:edit")).status_code == 200


def lower_ceiling(made, settings):
    clients.set_ceiling(made.client, scopes=["todo:write"])


def narrow_consent(made, settings):
    Consent.objects.update(scopes=["todo:write"])


def undeclare(made, settings):
    scopes = {name: scope for name, scope in settings.APIKEYS["SCOPES"].items() if name != "todo:read"}
    settings.APIKEYS = {**settings.APIKEYS, "SCOPES": scopes}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lower_ceiling, id="ceiling"),
        pytest.param(narrow_consent, id="consent"),
        pytest.param(undeclare, id="declaration"),
    ],
)
def test_scope_that_one_of_them_takes_away_is_gone_on_the_next_request(change, settings):
    made = make_token(scopes=["todo:read", "todo:write"])
    before = send(made)

    change(made, settings)

    after = send(made)
    assert (before.status_code, after.status_code, after.json()["code"]) == (200, 403, "insufficient_scope")
    assert after.json()["granted_scopes"] == ["todo:write"]


def test_raised_ceiling_and_wider_consent_give_a_token_no_more_than_it_has():
    made = make_token(scopes=["todo:read"])
    consents.give(made.user, made.client, scopes=["todo:write"])

    assert send(made, to=needing("todo:write")).status_code == 403


def test_scopes_of_the_apps_own_endpoints_are_for_no_token():
    client = make_key().key.client
    clients.set_ceiling(client, scopes=["todo:read", "apikeys:usage"])
    made = make_token(client=client, user=None, scopes=["todo:read", "apikeys:usage"])

    response = send(made, to=needing("apikeys:usage"))

    assert (response.status_code, response.json()["granted_scopes"]) == (403, ["todo:read"])


def test_token_without_scopes_reaches_nothing():
    made = make_token(scopes=["todo:read"])
    get_access_token_model().objects.update(scope="")

    assert send(made).json()["code"] == "insufficient_scope"
