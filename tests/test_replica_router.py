from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connections

from apikeys import clients, keys
from apikeys.core import errors
from apikeys.models import APIKey, EventKind, KeyEvent, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.commands import issue, run
from tests.exchanges import exchange, make_holder, make_signing_key, refusal
from tests.introspection import introspect, is_active, make_server, revoke, set_signing_key, signed, told
from tests.replicas import replicate, second_database
from tests.request_path import code_of, whoami

pytestmark = pytest.mark.django_db


@pytest.fixture
def second(tmp_path):
    with second_database(tmp_path):
        yield


@pytest.fixture
def replica(second, settings):
    """A replica that knows only what ``replicate`` copied, and is asked for every read."""
    settings.DATABASE_ROUTERS = ["tests.replicas.ReplicaRouter"]


@pytest.fixture
def replica_is_trusted(replica, settings):
    settings.APIKEYS = {**settings.APIKEYS, "READ_REPLICA": True}


def on(alias, issued):
    return APIKey.objects.using(alias).get(pk=issued.key.pk)


@pytest.mark.usefixtures("replica")
def test_new_key_works_before_the_replica_knows_it():
    assert whoami(make_key()).status_code == 200


@pytest.mark.usefixtures("replica_is_trusted")
def test_trusted_replica_is_where_keys_are_looked_up():
    issued = make_key()

    before = whoami(issued)
    replicate()
    after = whoami(issued)

    assert (code_of(before), after.status_code) == ("key_invalid", 200)


@pytest.mark.usefixtures("replica")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda key: keys.revoke(key, reason="leaked"), "key_revoked", id="revoked"),
        pytest.param(lambda key: keys.rotate(key, overlap=timedelta(0)), "key_rotated", id="rotated out"),
        pytest.param(lambda key: clients.disable(key.client), "client_disabled", id="client disabled"),
    ],
)
def test_key_is_refused_before_the_replica_knows_why(change, code):
    issued = make_key()
    replicate()

    change(issued.key)

    assert code_of(whoami(issued)) == code


@pytest.mark.usefixtures("replica_is_trusted")
def test_no_token_is_given_for_a_revoked_key_whatever_a_trusted_replica_says():
    make_signing_key()
    issued = make_holder()
    replicate()
    before = exchange(issued)

    keys.revoke(issued.key, reason="leaked")

    assert (before.status_code, refusal(exchange(issued))) == (200, (400, "invalid_request", "key_revoked"))


@pytest.fixture
def new_key(replica_is_trusted, settings):
    """A key that a trusted replica does not know yet, unlike another one of its client, and a server of both."""
    set_signing_key(settings)
    server = make_server()
    caller = make_holder(server)
    replicate()
    return make_key(client=caller.key.client, scopes=["todo:read"]), caller, server


def test_key_is_given_up_before_a_trusted_replica_knows_it(new_key):
    issued, caller, _server = new_key

    response = revoke(caller, issued)

    assert response.status_code == 200
    assert KeyRevocation.objects.using("default").filter(key=issued.key).exists()


@pytest.mark.parametrize("make", [lambda issued, server: issued, signed], ids=["key", "signed token"])
def test_server_is_told_of_what_a_trusted_replica_does_not_know_yet(new_key, make):
    issued, _caller, server = new_key

    assert told(server, make(issued, server))["username"] == issued.key.owner.get_username()


@pytest.mark.parametrize("make", [lambda issued, server: issued, signed], ids=["key", "signed token"])
def test_server_is_told_of_no_revoked_key_whatever_a_trusted_replica_says(new_key, make):
    issued, _caller, server = new_key
    token = make(issued, server)
    replicate()

    keys.revoke(issued.key, reason="leaked")

    assert not is_active(server, token)


def test_server_that_lost_its_address_is_told_nothing_whatever_a_trusted_replica_says(new_key):
    issued, caller, server = new_key
    clients.edit(caller.key.client, audiences=[])
    clients.edit(server.client, resource="")

    assert code_of(introspect(server, issued)) == "resource_required"


@pytest.mark.usefixtures("replica_is_trusted")
def test_trusted_replica_admits_a_revoked_key_until_it_has_caught_up():
    issued = make_key()
    replicate()
    keys.revoke(issued.key, reason="leaked")

    before = whoami(issued)
    replicate()
    after = whoami(issued)

    assert (before.status_code, code_of(after)) == (200, "key_revoked")


@pytest.mark.usefixtures("replica_is_trusted")
def test_use_is_noted_where_keys_are_written():
    issued = make_key()
    replicate()

    whoami(issued)

    assert on("default", issued).last_used_at is not None
    assert on("second", issued).last_used_at is None


@pytest.mark.usefixtures("replica")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(keys.rotate, id="rotate"),
        pytest.param(lambda key: keys.narrow(key, scopes="todo:read"), id="narrow"),
        pytest.param(lambda key: keys.edit(key, name="Another", note=""), id="edit"),
        pytest.param(keys.withdraw_undelivered, id="withdraw"),
        pytest.param(lambda key: keys.revoke(key, reason="leaked"), id="revoke"),
        pytest.param(lambda key: clients.set_ceiling(key.client, scopes="todo:read"), id="set the ceiling"),
        pytest.param(lambda key: clients.edit(key.client, name="Renamed"), id="edit the client"),
    ],
)
def test_change_asks_no_replica(change):
    issued = make_key()
    with connections["second"].execute_wrapper(refuse):
        change(issued.key)

    assert KeyEvent.objects.using("default").filter(client=issued.key.client).exists()


def refuse(execute, sql, *arguments):
    raise AssertionError(f"the replica was asked: {sql}")


@pytest.mark.usefixtures("replica")
def test_commands_see_what_the_replica_does_not_know_yet():
    key = make_key(name="Nightly").key

    listed = run("list_keys", "--json")
    rotated = run("rotate_keys", "--key", key.key_id, "--show-secrets", "--no-input", "--json")
    revoked = run("revoke_key", key.key_id, "--reason", "leaked", "--json")

    assert [row["key_id"] for row in listed.json["keys"]] == [key.key_id]
    assert rotated.json["counts"]["rotated"] == 1
    assert revoked.json["counts"]["revoked"] == 1


@pytest.fixture
def everything_elsewhere(tmp_path, settings, monkeypatch):
    """A project whose keys and people are in ``second``, where every request is a transaction."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    with second_database(tmp_path, ATOMIC_REQUESTS=True):
        settings.DATABASE_ROUTERS = ["tests.replicas.SecondRouter"]
        yield


@pytest.mark.usefixtures("everything_elsewhere")
def test_keys_live_in_another_database():
    issued = make_key()

    answer = whoami(issued)
    keys.revoke(issued.key, reason="leaked")
    refusal = whoami(issued)

    assert (answer.status_code, code_of(refusal)) == (200, "key_revoked")
    assert not APIKey.objects.using("default").exists()


@pytest.mark.usefixtures("everything_elsewhere")
def test_alarm_of_a_refused_request_outlives_its_transaction_in_another_database():
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    whoami(issued)

    assert KeyEvent.objects.using("second").get(kind=EventKind.USED_AFTER_END).key_id == issued.key.pk


@pytest.mark.urls("tests.request_path_urls")
@pytest.mark.usefixtures("everything_elsewhere")
def test_use_in_a_view_that_fails_is_noted_in_another_database():
    issued = make_key()

    response = ApiKeyClient(issued, raise_request_exception=False).get("/broken/")

    assert response.status_code == 500
    assert on("second", issued).last_used_at is not None


@pytest.mark.usefixtures("everything_elsewhere")
def test_refused_change_leaves_nothing_in_another_database():
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    with pytest.raises(errors.KeyNotWorkingError):
        keys.rotate(issued.key)

    assert APIKey.objects.using("second").count() == 1
    assert KeyRevocation.objects.using("second").count() == 1


@pytest.mark.usefixtures("everything_elsewhere")
def test_commands_work_in_another_database():
    made = issue("--create-owner", "--show-secrets", owner="richard")

    assert made.code == 0, made.err
    assert APIKey.objects.using("second").get().owner.get_username() == "richard"
