from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.utils import timezone

from apikeys import clients, keys
from apikeys.core.credentials import Credential, RequestParts, SecretProof
from apikeys.core.schemes import Scheme
from apikeys.models import APIKey, Client, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key

from .factories import ClientFactory, UserFactory
from .request_path import code_of, statements, whoami, with_right_tag

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def issued():
    """A key that this process has proven."""
    issued = make_key(scopes=["todo:read", "todo:write"])
    assert whoami(issued).status_code == 200
    return issued


def raw(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        assert cursor.rowcount == 1


def person_of(issued):
    return get_user_model().objects.get(api_keys=issued.key)


def ago(seconds=1):
    return timezone.now() - timedelta(seconds=seconds)


def delete_owner(key):
    key.owner.delete()


def revoke_by_hand(key):
    KeyRevocation.objects.bulk_create([KeyRevocation(key=key, reason="other")])


CHANGES = {
    "revoked": (lambda key: keys.revoke(key, reason="leaked"), 401, "key_revoked"),
    "revoked by hand": (revoke_by_hand, 401, "key_revoked"),
    "expired by update": (
        lambda key: APIKey.objects.filter(pk=key.pk).update(expires_at=ago()),
        401,
        "key_expired",
    ),
    "expired by SQL": (
        lambda key: raw("UPDATE apikeys_apikey SET expires_at = %s WHERE id = %s", ago(3600), key.pk),
        401,
        "key_expired",
    ),
    "rotated without overlap": (lambda key: keys.rotate(key, overlap=timedelta(0)), 401, "key_rotated"),
    "overlap cut short by update": (
        lambda key: APIKey.objects.filter(pk=key.pk).update(overlap_ends_at=ago()),
        401,
        "key_rotated",
    ),
    "client disabled": (lambda key: clients.disable(key.client), 403, "client_disabled"),
    "client disabled by update": (
        lambda key: Client.objects.filter(pk=key.client_id).update(is_active=False),
        403,
        "client_disabled",
    ),
    "client disabled by SQL": (
        lambda key: raw("UPDATE apikeys_client SET is_active = %s WHERE id = %s", False, key.client_id),
        403,
        "client_disabled",
    ),
    "owner disabled by update": (
        lambda key: type(key.owner).objects.filter(pk=key.owner_id).update(is_active=False),
        403,
        "owner_disabled",
    ),
    "owner disabled by SQL": (
        lambda key: raw("UPDATE auth_user SET is_active = %s WHERE id = %s", False, key.owner_id),
        403,
        "owner_disabled",
    ),
    "owner deleted": (delete_owner, 403, "owner_disabled"),
    "owner taken away by SQL": (
        lambda key: raw("UPDATE apikeys_apikey SET owner_id = NULL WHERE id = %s", key.pk),
        403,
        "owner_disabled",
    ),
    "key's networks closed by update": (
        lambda key: APIKey.objects.filter(pk=key.pk).update(allowed_networks=[]),
        403,
        "ip_not_allowed",
    ),
    "client's networks closed": (
        lambda key: clients.edit(key.client, allowed_networks=["192.0.2.0/24"]),
        403,
        "ip_not_allowed",
    ),
    "verifier emptied by SQL": (
        lambda key: raw("UPDATE apikeys_apikey SET verifier = '' WHERE id = %s", key.pk),
        401,
        "key_invalid",
    ),
}


@pytest.mark.parametrize(("change", "status_code", "code"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_state_holds_on_the_very_next_request(issued, change, status_code, code):
    change(issued.key)

    response = whoami(issued)

    assert (response.status_code, response.json()["code"]) == (status_code, code)


def test_a_deleted_key_is_an_unknown_key(issued):
    issued.key.events.all().delete()
    APIKey.objects.filter(pk=issued.key.pk).delete()

    assert code_of(whoami(issued)) == "key_invalid"


@pytest.mark.parametrize(
    "change",
    [
        lambda key: clients.set_ceiling(key.client, scopes=["todo:write"]),
        lambda key: Client.objects.filter(pk=key.client_id).update(allowed_scopes=["todo:write"]),
        lambda key: keys.narrow(key, scopes=["todo:write"]),
        lambda key: APIKey.objects.filter(pk=key.pk).update(scopes=["todo:write"]),
        lambda key: raw("UPDATE apikeys_apikey SET scopes = '' WHERE id = %s", key.pk),
    ],
    ids=["ceiling", "ceiling by update", "narrowed", "narrowed by update", "emptied by SQL"],
)
@pytest.mark.urls("tests.request_path_urls")
def test_a_lost_scope_is_lost_on_the_very_next_request(issued, change):
    before = ApiKeyClient(issued).get("/reads/")
    change(issued.key)

    after = ApiKeyClient(issued).get("/reads/")

    assert before.status_code == 200
    assert (after.status_code, code_of(after)) == (403, "insufficient_scope")


@pytest.mark.urls("tests.request_path_urls")
def test_a_scope_that_is_no_longer_declared_grants_nothing(settings, issued):
    declared = {name: scope for name, scope in settings.APIKEYS["SCOPES"].items() if name != "todo:read"}
    settings.APIKEYS = {**settings.APIKEYS, "SCOPES": declared}

    response = ApiKeyClient(issued).get("/reads/")

    assert code_of(response) == "insufficient_scope"
    assert response.json()["granted_scopes"] == ["todo:write"]


def test_a_scope_above_the_ceiling_grants_nothing_though_the_row_names_it(issued):
    Client.objects.filter(pk=issued.key.client_id).update(allowed_scopes=["todo:read"])
    APIKey.objects.filter(pk=issued.key.pk).update(scopes=["todo:read", "todo:write", "usage:read"])

    assert whoami(issued).json()["scopes"] == ["todo:read"]


def test_an_orphaned_key_never_becomes_a_service_key(issued):
    issued.key.owner.delete()

    assert APIKey.objects.get(pk=issued.key.pk).owner_id is None
    assert code_of(whoami(issued)) == "owner_disabled"


def test_the_person_who_answers_for_a_client_does_not_stop_it(issued):
    person = UserFactory(is_active=False)
    Client.objects.filter(pk=issued.key.client_id).update(owner=person)

    assert whoami(issued).status_code == 200


@pytest.mark.parametrize(
    ("column", "code"), [("expires_at", "key_expired"), ("overlap_ends_at", "key_rotated")], ids=["expiry", "overlap"]
)
@pytest.mark.parametrize(
    ("now", "works"),
    [(NOON - INSTANT, True), (NOON, False), (NOON + INSTANT, False)],
    ids=["just before", "at the instant", "just after"],
)
def test_at_its_end_a_key_is_already_dead(time_machine, column, code, now, works):
    time_machine.move_to(NOON - timedelta(days=1), tick=False)
    issued = make_key()
    APIKey.objects.filter(pk=issued.key.pk).update(**{column: NOON})
    time_machine.move_to(now, tick=False)

    response = whoami(issued)

    assert code_of(response) == (None if works else code)


def test_an_enabled_client_serves_again(issued):
    clients.disable(issued.key.client)
    whoami(issued)
    clients.enable(issued.key.client)

    assert whoami(issued).status_code == 200


def test_a_stale_object_saved_after_a_revocation_does_not_revive_the_key(issued):
    stale = APIKey.objects.get(pk=issued.key.pk)
    keys.revoke(issued.key, reason="leaked")
    stale.save()

    assert code_of(whoami(issued)) == "key_revoked"


def test_use_of_a_key_does_not_revive_it(issued):
    keys.revoke(issued.key, reason="leaked")
    whoami(issued)
    keys.record_use(issued.key.pk, at=timezone.now() + timedelta(hours=1))

    assert code_of(whoami(issued)) == "key_revoked"


@pytest.fixture
def moderated(settings):
    """A scope that asks for a Django permission of the person."""
    scopes = {
        **settings.APIKEYS["SCOPES"],
        "todo:moderate": {"label": "Moderate", "text": "Moderate to-dos.", "permissions": ["apikeys.view_client"]},
    }
    settings.APIKEYS = {**settings.APIKEYS, "SCOPES": scopes}
    return Permission.objects.get(content_type__app_label="apikeys", codename="view_client")


def test_a_scope_with_permissions_grants_nothing_to_a_person_without_them(moderated):
    issued = make_key(scopes=["todo:read", "todo:moderate"])

    assert whoami(issued).json()["scopes"] == ["todo:read"]


def test_a_scope_with_permissions_grants_to_a_person_with_them(moderated):
    issued = make_key(scopes=["todo:read", "todo:moderate"])
    person_of(issued).user_permissions.add(moderated)

    assert whoami(issued).json()["scopes"] == ["todo:moderate", "todo:read"]


def test_a_scope_with_permissions_grants_to_a_person_whose_group_has_them(moderated):
    issued = make_key(scopes=["todo:moderate"])
    group = Group.objects.create(name="Moderators")
    group.permissions.add(moderated)
    person_of(issued).groups.add(group)

    assert whoami(issued).json()["scopes"] == ["todo:moderate"]


def test_a_person_who_leaves_the_group_loses_the_scope_on_the_very_next_request(moderated):
    issued = make_key(scopes=["todo:moderate"])
    group = Group.objects.create(name="Moderators")
    group.permissions.add(moderated)
    person_of(issued).groups.add(group)
    whoami(issued)
    person_of(issued).groups.clear()

    assert whoami(issued).json()["scopes"] == []


def test_a_scope_with_permissions_grants_to_a_superuser(moderated):
    issued = make_key(scopes=["todo:moderate"], owner=UserFactory(is_superuser=True))

    assert whoami(issued).json()["scopes"] == ["todo:moderate"]


def test_a_scope_with_permissions_is_no_matter_of_persons_for_a_service_key(moderated):
    issued = make_key(scopes=["todo:moderate"], owner=None)

    assert whoami(issued).json()["scopes"] == ["todo:moderate"]


@pytest.mark.parametrize(
    ("scopes", "queries"),
    [(["todo:read"], 1), (["todo:read", "todo:moderate"], 3)],
    ids=["without permissions", "with permissions"],
)
@pytest.mark.urls("tests.request_path_urls")
def test_permissions_cost_two_queries_and_only_where_a_held_scope_names_them(moderated, scopes, queries):
    issued = make_key(scopes=scopes)
    whoami(issued)

    with statements() as sql:
        response = ApiKeyClient(issued).get("/reads/")

    assert response.status_code == 200
    assert len(sql) == queries


@pytest.mark.urls("tests.request_path_urls")
def test_permissions_of_a_scope_above_the_ceiling_cost_nothing(moderated):
    issued = make_key(scopes=["todo:read", "todo:moderate"])
    clients.set_ceiling(issued.key.client, scopes=["todo:read"])
    whoami(issued)

    with statements() as sql:
        ApiKeyClient(issued).get("/reads/")

    assert len(sql) == 1


class Tagless(Scheme):
    """A credential without a tag, as an extension may bring one."""

    def read(self, parts: RequestParts) -> Credential | None:
        value = parts.headers.get("x-api-key", "")
        if not value.startswith("tagless "):
            return None
        key_id, _, secret = value.removeprefix("tagless ").partition(" ")
        return Credential(key_id=key_id, proof=SecretProof(text=secret))


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda key: None, None),
        (lambda key: keys.revoke(key, reason="left"), "key_revoked"),
        (lambda key: clients.disable(key.client), "client_disabled"),
    ],
    ids=["working", "revoked", "client disabled"],
)
def test_a_credential_without_tag_proves_itself_before_its_state_is_told(settings, issued, end, code):
    settings.APIKEYS = {**settings.APIKEYS, "SCHEMES": ["tests.test_verification_state.Tagless"]}
    end(issued.key)
    proof = issued.plaintext[:-8]

    guessed = ApiKeyClient().get("/apikeys/whoami/", HTTP_X_API_KEY=f"tagless {issued.key.key_id} {proof[:-1]}-")
    proven = ApiKeyClient().get("/apikeys/whoami/", HTTP_X_API_KEY=f"tagless {issued.key.key_id} {proof}")

    assert code_of(guessed) == "key_invalid"
    assert code_of(proven) == code


@pytest.mark.parametrize(
    ("mode", "other", "sentence"),
    [
        ("live", "test", "This is a test key; this server takes live keys."),
        ("test", "live", "This is a live key; this server takes test keys."),
    ],
    ids=["live server", "test server"],
)
def test_a_key_of_the_other_mode_is_refused(settings, mode, other, sentence):
    settings.APIKEYS = {**settings.APIKEYS, "MODE": other}
    issued = make_key()
    settings.APIKEYS = {**settings.APIKEYS, "MODE": mode}

    with statements() as sql:
        response = whoami(issued)

    assert (response.status_code, code_of(response)) == (401, "wrong_mode")
    assert response.json()["detail"] == sentence
    assert sql == []


def test_keys_of_one_client_are_told_apart():
    client = ClientFactory(allowed_scopes=["todo:read"])
    first, second = make_key(client=client), make_key(client=client)

    assert [whoami(one).json()["key_id"] for one in (first, second)] == [first.key.key_id, second.key.key_id]


def test_a_key_id_that_differs_in_case_alone_is_another_id(issued):
    assert code_of(whoami(with_right_tag(issued.key.key_id.swapcase()))) == "key_invalid"
