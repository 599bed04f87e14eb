from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction

from apikeys import clients, keys, signals
from apikeys.core import errors
from apikeys.models import Client, KeyEvent
from apikeys.testing import ApiKeyClient, make_key
from tests.factories import ClientFactory, UserFactory

pytestmark = pytest.mark.django_db


def whoami(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/")


def grant(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return type(user).objects.get(pk=user.pk)


def events(client):
    return list(KeyEvent.objects.filter(client=client, key=None).order_by("pk").values_list("kind", "details"))


def test_a_client_gets_a_public_id_of_its_own():
    first, second = ClientFactory(), ClientFactory()

    assert len(first.client_id) == 16
    assert first.client_id != second.client_id


def test_a_client_made_without_its_writer_takes_a_list_of_scopes():
    Client.objects.create(name="Web app", allowed_scopes=["todo:read"])

    assert Client.objects.get(name="Web app").allowed_scopes == ["todo:read"]


def test_a_client_holds_what_it_was_made_with():
    monica = UserFactory()

    client = clients.create(
        name="Summariser",
        kind="third_party",
        description="Sums up.\nDaily.",
        contact="ops@example.com",
        owner=monica,
        allowed_scopes=["todo:read"],
        max_key_lifetime=timedelta(days=30),
        allowed_networks=["10.1.2.3/8"],
    )

    client.refresh_from_db()
    assert (client.kind, client.owner, client.max_key_lifetime) == ("third_party", monica, timedelta(days=30))
    assert (client.description, client.allowed_networks) == ("Sums up.\nDaily.", ["10.0.0.0/8"])
    assert events(client) == [("client_created", {"allowed_scopes": ["todo:read"]})]


def test_a_disabled_client_stops_its_keys_on_the_next_request_and_enabling_revives_them():
    issued = make_key()
    assert whoami(issued).status_code == 200

    clients.disable(issued.key.client)
    assert (whoami(issued).status_code, whoami(issued).json()["code"]) == (403, "client_disabled")

    clients.enable(issued.key.client)
    assert whoami(issued).status_code == 200


def test_disabling_twice_leaves_one_event():
    client = ClientFactory()

    clients.disable(client)
    clients.disable(Client.objects.get(pk=client.pk))

    assert [kind for kind, _ in events(client)] == ["client_created", "client_disabled"]


def test_a_disabled_owner_of_record_does_not_stop_the_client():
    monica = UserFactory()
    issued = make_key(client=ClientFactory(owner=monica))

    monica.is_active = False
    monica.save()

    assert whoami(issued).status_code == 200


def test_a_lowered_ceiling_takes_only_the_lost_scope_on_the_next_request():
    issued = make_key(scopes=["todo:read", "todo:write"])

    clients.set_ceiling(issued.key.client, scopes=["todo:read"])

    assert whoami(issued).json()["scopes"] == ["todo:read"]
    assert events(issued.key.client)[-1] == ("ceiling_set", {"added": [], "removed": ["todo:write", "usage:read"]})


def test_a_raised_ceiling_gives_a_key_back_what_it_holds():
    issued = make_key(scopes=["todo:read", "todo:write"])
    clients.set_ceiling(issued.key.client, scopes=["todo:read"])

    clients.set_ceiling(issued.key.client, scopes=["todo:read", "todo:write"])

    assert whoami(issued).json()["scopes"] == ["todo:read", "todo:write"]


def test_an_unchanged_ceiling_leaves_no_event():
    client = ClientFactory(allowed_scopes=["todo:read"])

    clients.set_ceiling(client, scopes=["todo:read"])

    assert len(events(client)) == 1


def test_a_narrowed_ceiling_keeps_what_a_working_key_holds():
    client = ClientFactory(allowed_scopes=["todo:read", "todo:write", "usage:read"])
    make_key(client=client, scopes=["todo:write"])
    gone = make_key(client=client, scopes=["usage:read"]).key
    keys.revoke(gone, reason="unneeded")

    removed = clients.narrow_ceiling(client, without=["usage:read", "todo:write"], source="command")

    assert removed == ["usage:read"]
    assert client.allowed_scopes == Client.objects.get(pk=client.pk).allowed_scopes == ["todo:read", "todo:write"]
    assert events(client)[-1] == ("ceiling_set", {"added": [], "removed": ["usage:read"]})


@pytest.mark.parametrize("without", ["todo:write", "usage:read", ""], ids=["held", "not in it", "nothing"])
def test_a_ceiling_that_is_narrowed_by_nothing_leaves_no_event(without):
    client = ClientFactory(allowed_scopes=["todo:read", "todo:write"])
    make_key(client=client, scopes=["todo:write"])
    before = events(client)

    assert clients.narrow_ceiling(client, without=without) == []

    assert events(client) == before


def test_an_undeclared_scope_can_not_join_a_ceiling_but_one_that_was_declared_may_stay(settings):
    client = ClientFactory(allowed_scopes=["todo:read", "usage:read"])
    settings.APIKEYS = {**settings.APIKEYS, "SCOPES": {"todo:read": "View", "todo:write": "Change"}}

    with pytest.raises(errors.UndeclaredScopeError):
        clients.set_ceiling(client, scopes=["todo:read", "todo:delete"])
    clients.set_ceiling(client, scopes=["usage:read", "todo:write"])

    assert Client.objects.get(pk=client.pk).allowed_scopes == ["usage:read", "todo:write"]


@pytest.mark.parametrize(
    ("right", "change"),
    [
        pytest.param("add_client", lambda by, client: clients.create(name="New", by=by), id="create"),
        pytest.param("change_client", lambda by, client: clients.edit(client, name="New", by=by), id="edit"),
        pytest.param("change_client", lambda by, client: clients.disable(client, by=by), id="disable"),
        pytest.param(
            "change_client", lambda by, client: clients.set_ceiling(client, scopes=["todo:read"], by=by), id="ceiling"
        ),
        pytest.param(
            "change_client", lambda by, client: clients.narrow_ceiling(client, without="todo:read", by=by), id="narrow"
        ),
    ],
)
def test_each_change_of_a_client_needs_its_right(right, change):
    client = ClientFactory()

    with pytest.raises(errors.NotPermittedError):
        change(UserFactory(), client)
    change(grant(UserFactory(), right), client)


def test_nobody_raises_a_ceiling_above_what_they_may_grant(settings):
    settings.APIKEYS = {"SCOPES": {"todo:read": "View"}}
    client = ClientFactory(allowed_scopes=["todo:read"])
    by = grant(UserFactory(), "change_client", "add_client")

    with pytest.raises(errors.ScopeNotGrantableError):
        clients.set_ceiling(client, scopes=["apikeys:introspect"], by=by)
    with pytest.raises(errors.ScopeNotGrantableError):
        clients.create(name="New", allowed_scopes=["apikeys:introspect"], by=by)


def test_only_what_changed_is_written_and_recorded():
    client = ClientFactory(name="Web app")

    assert clients.edit(client, name="Web app", contact="ops@example.com") == ["contact"]
    assert clients.edit(client, contact="ops@example.com") == []

    assert events(client)[1:] == [("client_edited", {"changed": ["contact"]})]


def test_the_ceiling_and_the_switch_are_no_fields_to_edit():
    with pytest.raises(TypeError, match="is_active"):
        clients.edit(ClientFactory(), is_active=False)


def test_a_client_signal_follows_the_commit(django_capture_on_commit_callbacks):
    client, told = ClientFactory(), []

    def receive(**kwargs):
        told.append(kwargs["event"].kind)

    signals.client_changed.connect(receive)
    with django_capture_on_commit_callbacks(execute=True):
        clients.disable(client)
        assert told == []
    signals.client_changed.disconnect(receive)

    assert told == ["client_disabled"]


def test_the_database_refuses_an_unknown_kind_of_client():
    with pytest.raises(IntegrityError), transaction.atomic():
        Client.objects.filter(pk=ClientFactory().pk).update(kind="friend")


@pytest.mark.parametrize("networks", [None, [], ["10.0.0.0/8"]], ids=["free", "closed", "one"])
def test_networks_of_a_client_bind_all_of_its_keys(networks):
    issued = make_key()
    clients.edit(issued.key.client, allowed_networks=networks)

    assert whoami(issued).status_code == (200 if networks is None else 403)


def test_a_second_client_of_one_name_is_refused():
    first, second = ClientFactory(), ClientFactory()

    with pytest.raises(errors.ClientNameTakenError, match=first.name):
        clients.create(name=first.name)
    with pytest.raises(errors.ClientNameTakenError, match=first.name):
        clients.edit(second, name=first.name)


def test_a_limit_of_no_time_at_all_is_refused():
    with pytest.raises(errors.LifetimeRefusedError):
        clients.edit(ClientFactory(), max_key_lifetime=timedelta(0))
