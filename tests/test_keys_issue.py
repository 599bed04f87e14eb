from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apikeys import clients, keys, signals
from apikeys.conf import settings as apikeys_settings
from apikeys.core import errors
from apikeys.models import APIKey, Client, KeyEvent, TagSecret
from apikeys.testing import make_key
from tests.factories import ClientFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return ClientFactory(allowed_scopes=["todo:read", "todo:write"])


def test_a_key_is_stored_without_its_secret(client):
    issued = make_key(client=client)

    row = APIKey.objects.filter(pk=issued.key.pk).values().get()
    assert issued.plaintext.startswith(f"ak_live_{row['key_id']}_")
    assert row["verifier"].startswith("argon2id$v=19$")
    assert issued.plaintext[21:] not in repr(row)


def test_no_repr_of_an_issued_key_shows_its_plaintext(client):
    issued = make_key(client=client)

    assert issued.plaintext[21:] not in f"{issued!r} {issued} {issued.key!r} {issued.key}"


def test_a_key_is_hashed_at_the_cost_that_owasp_names_by_default(client, settings):
    settings.APIKEYS = {"SCOPES": settings.APIKEYS["SCOPES"]}

    issued = keys.issue(client, name="Export", scopes="todo:read")

    assert issued.key.verifier.startswith("argon2id$v=19$m=19456,t=2,p=1$")


def test_scopes_are_a_list_of_names_however_they_are_stored(client):
    issued = make_key(client=client, scopes=("todo:write", "todo:read"))

    assert APIKey.objects.get(pk=issued.key.pk).scopes == ["todo:read", "todo:write"]
    assert Client.objects.get(pk=client.pk).allowed_scopes == ["todo:read", "todo:write"]


def test_a_key_knows_who_and_what_it_is_for(client):
    richard, gilfoyle = UserFactory(), UserFactory(is_superuser=True)

    key = make_key(client=client, owner=richard, name=" Export ", note="On the build server", by=gilfoyle).key

    key.refresh_from_db()
    assert (key.owner, key.acts_for_user, key.created_by) == (richard, True, gilfoyle)
    assert (key.name, key.note, key.mode, key.family) == ("Export", "On the build server", "live", key.key_id)


def test_a_key_without_owner_is_a_service_key_and_acts_for_nobody(client):
    assert not make_key(client=client, owner=None).key.acts_for_user


def test_issuing_leaves_one_event_with_actor_and_source_and_no_secret(client):
    gilfoyle = UserFactory(username="gilfoyle", is_superuser=True)
    issued = make_key(client=client, scopes="todo:read", by=gilfoyle, source="admin")

    event = KeyEvent.objects.get(key=issued.key)
    assert (event.kind, event.actor, event.actor_name, event.source) == ("issued", gilfoyle, "gilfoyle", "admin")
    assert event.details["scopes"] == ["todo:read"]
    assert issued.plaintext[21:] not in repr(KeyEvent.objects.filter(pk=event.pk).values().get())


def test_the_signal_follows_the_commit_and_carries_no_secret(client, django_capture_on_commit_callbacks):
    told = []

    def receive(**kwargs):
        told.append(kwargs)

    signals.key_issued.connect(receive)
    with django_capture_on_commit_callbacks(execute=True):
        issued = make_key(client=client)
        assert told == []
    signals.key_issued.disconnect(receive)

    assert [kwargs["key"] for kwargs in told] == [issued.key]
    assert issued.plaintext[21:] not in repr(told)


def test_a_receiver_that_raises_does_not_lose_the_secret(client, django_capture_on_commit_callbacks):
    def receive(**kwargs):
        raise RuntimeError

    signals.key_issued.connect(receive)
    with django_capture_on_commit_callbacks(execute=True):
        issued = make_key(client=client)
    signals.key_issued.disconnect(receive)

    assert issued.plaintext


@pytest.mark.parametrize(
    ("scopes", "error", "names"),
    [
        pytest.param(["todo:raed"], errors.UndeclaredScopeError, ("todo:raed",), id="undeclared"),
        pytest.param(["usage:read"], errors.ScopeAboveCeilingError, ("usage:read",), id="above the ceiling"),
        pytest.param([], errors.NoScopesError, (), id="none"),
    ],
)
def test_a_scope_that_the_client_may_not_hold_is_refused_by_name(client, scopes, error, names):
    with pytest.raises(error) as caught:
        keys.issue(client, name="Export", scopes=scopes)

    assert caught.value.names == names
    assert not APIKey.objects.exists()


def test_a_misspelt_scope_is_refused_with_what_was_meant(client):
    with pytest.raises(errors.UndeclaredScopeError, match="Did you mean 'todo:read'"):
        keys.issue(client, name="Export", scopes=["todo:raed"])


def test_the_ceiling_that_counts_is_the_stored_one(client):
    stale = Client.objects.get(pk=client.pk)
    clients.set_ceiling(client, scopes=["todo:read"])

    with pytest.raises(errors.ScopeAboveCeilingError):
        keys.issue(stale, name="Export", scopes=["todo:write"])


@pytest.mark.parametrize(
    ("lifetime", "reason"),
    [
        pytest.param(timedelta(0), "past", id="none at all"),
        pytest.param(timedelta(days=-1), "past", id="past"),
        pytest.param(timedelta(days=365, seconds=1), "too_long", id="too long"),
        pytest.param(None, "endless", id="endless"),
    ],
)
def test_a_lifetime_outside_the_policy_is_refused(client, lifetime, reason):
    with pytest.raises(errors.LifetimeRefusedError) as caught:
        keys.issue(client, name="Export", scopes="todo:read", lifetime=lifetime)

    assert caught.value.reason == reason


def test_a_key_lives_ninety_days_by_default(client):
    key = make_key(client=client).key

    assert key.expires_at - key.created_at == timedelta(days=90)


def test_a_clients_own_limit_shortens_the_default_and_refuses_more(client):
    clients.edit(client, max_key_lifetime=timedelta(days=7))

    assert make_key(client=client).key.expires_at - timezone.now() <= timedelta(days=7)
    with pytest.raises(errors.LifetimeRefusedError, match="may live at most 7 days"):
        keys.issue(client, name="Export", scopes="todo:read", lifetime=timedelta(days=8))


def test_an_endless_key_is_issued_where_the_site_allows_it(client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "ALLOW_NO_EXPIRY": True}

    assert make_key(client=client, lifetime=None).key.expires_at is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="space"),
        pytest.param("a" * 81, id="81 characters"),
        pytest.param("Ex\x00port", id="NUL"),
        pytest.param("Ex\nport", id="line feed"),
        pytest.param("Ex\u202eport", id="reading direction turned"),
        pytest.param("Ex\ud800port", id="lone surrogate"),
        pytest.param("ak_live_4Qm9ZtR1xVb7_HYiNs9S555GCGeAmWM", id="a key"),
    ],
)
def test_a_name_that_hides_something_is_refused(client, name):
    with pytest.raises(errors.NameRefusedError):
        keys.issue(client, name=name, scopes="todo:read")


@pytest.mark.parametrize("name", ["<b>{}</b>", "مفتاح", "a" * 80, "%s%(x)s", 'O\'Brien "q" \\', "🙂"])
def test_any_other_name_is_kept_as_it_is(client, name):
    key = make_key(client=client, name=name).key

    assert APIKey.objects.get(pk=key.pk).name == name


def test_a_note_that_holds_a_key_is_refused(client):
    with pytest.raises(errors.NameRefusedError, match="Never paste it here"):
        keys.issue(client, name="Export", note=f"it is {make_key().plaintext}", scopes="todo:read")


def test_a_name_is_unique_among_the_clients_working_keys(client):
    first = make_key(client=client, name="Export").key

    with pytest.raises(errors.DuplicateNameError, match="“Export” already has a working key") as caught:
        make_key(client=client, name="Export")

    assert caught.value.key == first


def test_a_name_is_free_again_when_its_key_is_revoked(client):
    keys.revoke(make_key(client=client, name="Export").key, reason="unneeded")

    assert make_key(client=client, name="Export").key.pk


def test_another_client_may_use_the_name(client):
    make_key(client=client, name="Export")

    assert make_key(client=ClientFactory(), name="Export").key.pk


def test_an_owner_holds_at_most_as_many_families_as_the_setting_says(client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_KEYS_PER_OWNER": 2}
    richard = UserFactory(username="richard")
    first = make_key(client=client, owner=richard)
    keys.rotate(first.key)
    make_key(client=ClientFactory(), owner=richard)

    with pytest.raises(errors.TooManyKeysError, match="richard already has 2 working keys, the limit"):
        make_key(client=client, owner=richard)


def test_a_revoked_key_makes_room_for_another(client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_KEYS_PER_OWNER": 1}
    richard = UserFactory()
    keys.revoke(make_key(client=client, owner=richard).key, reason="unneeded")

    assert make_key(client=client, owner=richard).key.pk


def test_a_disabled_client_gets_no_key(client):
    clients.disable(client)

    with pytest.raises(errors.ClientNotActiveError):
        make_key(client=client)


def test_a_disabled_person_gets_no_key(client):
    with pytest.raises(errors.OwnerNotActiveError):
        make_key(client=client, owner=UserFactory(is_active=False))


def test_a_bad_network_is_refused_with_its_line(client):
    with pytest.raises(errors.NetworkSyntaxError, match="Line 2"):
        make_key(client=client, allowed_networks=["10.0.0.0/8", "10.0.0"])


def test_no_restriction_and_no_network_at_all_stay_different(client):
    free, closed = make_key(client=client), make_key(client=client, allowed_networks=[])

    assert APIKey.objects.get(pk=free.key.pk).allowed_networks is None
    assert APIKey.objects.get(pk=closed.key.pk).allowed_networks == []


def test_one_form_makes_one_key_however_often_it_is_sent(client):
    form_id = uuid4()
    first = make_key(client=client, form_id=form_id).key

    with pytest.raises(errors.AlreadyIssuedError) as caught:
        make_key(client=client, form_id=form_id)

    assert caught.value.key == first
    assert APIKey.objects.count() == 1


def test_a_refused_issue_leaves_neither_key_nor_event(client):
    make_key(client=client, name="Export")
    before = (APIKey.objects.count(), KeyEvent.objects.count())

    with pytest.raises(errors.DuplicateNameError):
        make_key(client=client, name="Export")

    assert (APIKey.objects.count(), KeyEvent.objects.count()) == before


def test_a_rolled_back_issue_takes_its_tag_secret_away(client):
    with transaction.atomic():
        make_key(client=client)
        transaction.set_rollback(True)

    assert not TagSecret.objects.exists()


def test_the_first_key_makes_a_tag_secret_and_later_ones_share_it(client):
    make_key(client=client)
    make_key(client=client)

    assert TagSecret.objects.count() == 1


def test_the_database_holds_key_ids_unique(client):
    first, second = make_key(client=client).key, make_key(client=client).key

    with pytest.raises(IntegrityError), transaction.atomic():
        APIKey.objects.filter(pk=second.pk).update(key_id=first.key_id)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"mode": "prod"}, id="mode"),
        pytest.param({"acts_for_user": False}, id="a service key with an owner"),
    ],
)
def test_the_database_refuses_impossible_keys(client, values):
    key = make_key(client=client).key

    with pytest.raises(IntegrityError), transaction.atomic():
        APIKey.objects.filter(pk=key.pk).update(**values)


def test_a_deleted_person_leaves_the_keys(client):
    richard = UserFactory()
    key = make_key(client=client, owner=richard).key

    richard.delete()

    key.refresh_from_db()
    assert (key.owner, key.acts_for_user, key.is_orphaned) == (None, True, True)


def test_the_mode_of_a_new_key_is_that_of_the_deployment(client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MODE": "test", "PREFIX": "pp"}

    assert make_key(client=client).plaintext.startswith("pp_test_")
    assert apikeys_settings.MODE == "test"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("\u200b", id="zero width"),
        pytest.param("Export\u200b", id="zero width inside"),
        pytest.param("Export\u200f", id="direction mark"),
        pytest.param("\u3164", id="a letter that shows nothing"),
        pytest.param("\u0301", id="an accent alone"),
    ],
)
def test_a_name_that_can_not_be_seen_or_told_apart_is_refused(client, name):
    with pytest.raises(errors.NameRefusedError):
        keys.issue(client, name=name, scopes="todo:read")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        pytest.param("Nightly  export", "Nightly export", id="two spaces"),
        pytest.param("Nightly\u00a0export", "Nightly export", id="no-break space"),
        pytest.param("Cafe\u0301", "Café", id="accent apart"),
    ],
)
def test_names_that_look_the_same_are_stored_the_same(client, name, stored):
    assert make_key(client=client, name=name).key.name == stored


def test_more_networks_than_a_request_can_compare_are_refused(client):
    with pytest.raises(errors.TooManyNetworksError, match="At most 100 networks"):
        make_key(client=client, allowed_networks=[f"10.0.{number}.0/24" for number in range(101)])
