from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection

from apikeys.models import APIKey, KeyRevocation
from apikeys.testing import make_key
from tests.admin_pages import ADD, issue_fields, keys_in
from tests.commands import run
from tests.factories import ClientFactory, PersonFactory
from tests.test_admin_reveal import with_reveal_template

pytestmark = pytest.mark.django_db


@contextmanager
def no_room_for_revocations(*, of=None):
    """Let the database refuse to store revocations of the key *of*, or all of them."""

    def refuse(execute, sql, params, many, context):
        is_revocation = sql.startswith("INSERT INTO") and KeyRevocation._meta.db_table in sql
        if is_revocation and (of is None or of.pk in params):
            raise OperationalError("no space left on device")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def test_database_error_at_one_key_does_not_keep_the_next_alive():
    first, second = make_key().key, make_key().key

    with no_room_for_revocations(of=first):
        result = run("revoke_key", first.key_id, second.key_id, "--reason", "leaked", "--json")

    assert result.code == 3
    assert result.json["counts"] == {"revoked": 1, "already_revoked": 0, "failed": 1}
    assert result.json["error"] == {"code": "keys_failed", "detail": f"Not revoked: {first.key_id}."}
    assert f"{first.key_id}: no space left on device" in result.err
    assert [revocation.key_id for revocation in KeyRevocation.objects.all()] == [second.pk]


def test_key_that_could_be_neither_shown_nor_withdrawn_is_named_in_the_log(client, caplog):
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))
    ClientFactory(name="Web app")

    with with_reveal_template("{% include 'nowhere.html' %}"), no_room_for_revocations():
        response = client.post(ADD, issue_fields())

    key = APIKey.objects.get()
    logged = [record.getMessage() for record in caplog.records if record.name == "apikeys.admin"]
    assert (response.status_code, keys_in(response)) == (500, [])
    assert logged[0] == f"key {key.key_id} was shown to nobody and could not be withdrawn: revoke it"
    assert "ak_live_" not in caplog.text
