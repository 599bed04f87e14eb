from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from apikeys import clients, keys
from apikeys.models import APIKey
from apikeys.testing import make_key

from .factories import UserFactory
from .request_path import code_of, statements
from .test_verification_servers import over_asgi
from .threads import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.asking_urls")]

PATHS = ["/ask/", "/aask/"]
each_way = pytest.mark.parametrize("path", PATHS, ids=["sync", "async"])


def ask(path, key=None):
    headers = [] if key is None else [(b"authorization", b"Bearer " + key.encode())]
    return over_asgi(*headers, path=path)


@each_way
def test_a_view_learns_who_is_calling_with_all_of_the_person(path):
    issued = make_key(owner=UserFactory(username="richard"))

    response = ask(path, issued.plaintext)

    assert response.status_code == 200
    assert response.json()["username"] == "richard"
    assert response.json()["joined"]


@each_way
def test_a_view_learns_which_service_is_calling(path):
    issued = make_key(owner=None)

    assert ask(path, issued.plaintext).json()["username"] == f"client:{issued.key.client.client_id}"


def test_an_async_view_costs_one_query_more_for_the_whole_person():
    issued = make_key()

    def statements_of_the_second():
        ask("/aask/", issued.plaintext)
        with statements() as sql:
            ask("/aask/", issued.plaintext)
        return sql

    # In a thread in which no other test has left an event loop: Django runs the queries of a view in that one.
    sql = at_once(statements_of_the_second)[0]

    assert [statement.split()[0] for statement in sql] == ["SELECT"] * 2


def switched_off(issued):
    clients.disable(issued.key.client)
    return issued.plaintext


REFUSED = {
    "no key": (lambda issued: None, 401, "key_missing"),
    "cut off": (lambda issued: issued.plaintext[:-4], 401, "key_malformed"),
    "wrong tag": (lambda issued: issued.plaintext[:-8] + "0" * 8, 401, "key_invalid"),
    "revoked": (lambda issued: keys.revoke(issued.key, reason="leaked") and issued.plaintext, 401, "key_revoked"),
    "client off": (switched_off, 403, "client_disabled"),
}


@each_way
@pytest.mark.parametrize(("spoilt", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_view_answers_a_refusal_as_rest_framework_s_views_do(path, spoilt, status, code):
    key = spoilt(make_key(scopes=["todo:read"]))

    response, usual = ask(path, key), ask("/reads/", key)

    assert response.status_code == usual.status_code == status
    assert code_of(response) == code
    assert response.json() == usual.json()
    assert response.headers.get("WWW-Authenticate") == usual.headers.get("WWW-Authenticate")


def test_a_person_who_goes_while_an_async_view_asks_is_refused():
    issued = make_key()

    def delete_before_the_second(execute, sql, params, many, context):
        if '"date_joined"' in sql or "`date_joined`" in sql:
            issued.key.owner.delete()
        return execute(sql, params, many, context)

    def ask_while_the_person_goes():
        with connection.execute_wrapper(delete_before_the_second):
            return ask("/aask/", issued.plaintext)

    assert code_of(at_once(ask_while_the_person_goes)[0]) == "owner_disabled"


def test_rest_framework_s_views_work_under_asgi_with_a_stale_bound(settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": timedelta(minutes=1)}
    issued = make_key(scopes=["todo:read"], owner=UserFactory(username="richard"))

    answers = [ask(path, issued.plaintext) for path in ("/reads/", "/aask/", "/reads/", "/aask/")]

    assert {answer.json()["username"] for answer in answers} == {"richard"}


def test_an_async_view_s_use_of_a_key_is_noted():
    issued = make_key()

    ask("/aask/", issued.plaintext)

    assert APIKey.objects.get(pk=issued.key.pk).last_used_at is not None
