from __future__ import annotations

import pytest
from django.db import connection, transaction

from apikeys import prepared
from apikeys.testing import ApiKeyClient, make_key

from .request_path import statements
from .threads import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.request_path_urls")]

#: More than a connection has to see before the look-up is prepared.
MANY = 8


@pytest.fixture
def issued():
    issued = make_key(scopes=["todo:read"])
    assert reads(issued) == 200
    return issued


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch):
    monkeypatch.setattr(prepared, "_given_up", set())


def reads(issued):
    return ApiKeyClient(issued).get("/reads/").status_code


def known_statements():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE name LIKE 'apikeys%'")
        return [name for (name,) in cursor.fetchall()]


def statements_of(issued, times):
    with statements() as sql:
        statuses = {reads(issued) for _ in range(times)}
    assert statuses == {200}
    return sql


def test_each_of_many_requests_runs_one_statement(issued):
    assert len(statements_of(issued, MANY)) == MANY


@pytest.mark.postgres
def test_a_connection_that_lives_has_the_look_up_prepared(issued):
    sql = at_once(lambda: (statements_of(issued, MANY), known_statements()))[0]

    assert [statement.split()[0] for statement in sql[0]] == ["SELECT"] * 5 + ["EXECUTE"] * 3
    assert len(sql[1]) == 1


@pytest.mark.postgres
def test_a_prepared_look_up_sees_each_change(issued):
    statements_of(issued, MANY)
    issued.key.client.is_active = False
    issued.key.client.save()

    assert reads(issued) == 403


@pytest.mark.postgres
def test_a_connection_that_forgot_the_statement_is_answered_all_the_same(issued):
    statements_of(issued, MANY)
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")

    statuses = [reads(issued) for _ in range(MANY)]

    assert statuses == [200] * MANY
    assert known_statements() == []


@pytest.mark.postgres
def test_a_statement_that_a_pooler_s_other_client_prepared_is_no_obstacle(issued):
    sql = at_once(lambda: prepared_by_another(issued))[0]

    assert {statement.split()[0] for statement in sql} == {"SELECT"}


def prepared_by_another(issued):
    statements_of(issued, MANY)
    name = known_statements()[0]
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE {name} AS SELECT 1")
    return statements_of(issued, MANY)


@pytest.mark.postgres
def test_inside_a_transaction_nothing_is_prepared(issued):
    def inside():
        with transaction.atomic():
            return statements_of(issued, MANY), known_statements()

    sql, known = at_once(inside)[0]

    assert {statement.split()[0] for statement in sql} == {"SELECT"}
    assert known == []
