from __future__ import annotations

import logging
from typing import ClassVar

import pytest
from django.core.signals import request_finished
from django.db import OperationalError, connection, connections, transaction
from django.http import JsonResponse
from django.test import AsyncClient
from django.urls import include, path

from apikeys import keys, remembered
from apikeys.core.verifiers import Argon2idHasher
from apikeys.models import APIKey, EventKind, KeyEvent
from apikeys.testing import ApiKeyClient, make_key

from .request_path import WHOAMI, code_of, run_async, statements, whoami, with_right_tag
from .request_path_urls import Reads

MIDDLEWARE = "apikeys.middleware.ProofMiddleware"


def keyless(request):
    return JsonResponse({"in_transaction": connection.in_atomic_block})


urlpatterns = [
    path("keyless/", keyless),
    path("alone/", transaction.non_atomic_requests(Reads.as_view())),
    path("apikeys/", include("apikeys.urls")),
]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]


class RecordingHasher(Argon2idHasher):
    """Argon2id that notes whether it runs inside of a transaction."""

    in_transaction: ClassVar[list[bool]] = []

    def hash(self, secret):
        self.in_transaction.append(connection.in_atomic_block)
        return super().hash(secret)

    def matches(self, proof, verifier):
        self.in_transaction.append(connection.in_atomic_block)
        return super().matches(proof, verifier)


@pytest.fixture(autouse=True)
def recorded(settings, monkeypatch):
    """Record the hashes of a project with ATOMIC_REQUESTS, the middleware and no cache that is shared."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    settings.MIDDLEWARE = [*(item for item in settings.MIDDLEWARE if item != MIDDLEWARE), MIDDLEWARE]
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": [f"{__name__}.RecordingHasher"], "CACHE": None}
    RecordingHasher.in_transaction.clear()
    return RecordingHasher.in_transaction


@pytest.fixture
def new(recorded):
    """A key that this process has not seen."""
    issued = make_key()
    recorded.clear()
    return issued


def lookups(sql):
    return [statement for statement in sql if statement.startswith("SELECT") and "verifier" in statement]


@pytest.mark.parametrize("is_there", [True, False], ids=["with", "without"])
def test_a_new_key_is_hashed_outside_of_the_transaction_with_the_middleware(settings, recorded, new, is_there):
    if not is_there:
        settings.MIDDLEWARE = [item for item in settings.MIDDLEWARE if item != MIDDLEWARE]

    response = whoami(new)

    assert response.status_code == 200
    assert recorded == [not is_there]


def test_what_comes_after_the_first_request_of_a_key_costs_one_look_up(new):
    with statements() as first:
        whoami(new)
    with statements() as second:
        whoami(new)

    assert len(lookups(first)) == 2
    assert len(lookups(second)) == 1


@pytest.mark.parametrize("name", ["nobody", "session", "other scheme", "forged"])
def test_a_request_without_a_key_of_ours_costs_no_look_up(recorded, new, name):
    sent = {
        "nobody": {},
        "session": {"cookie": "sessionid=abc"},
        "other scheme": {"authorization": "Bearer of-somebody-else"},
        "forged": {"authorization": f"Bearer {new.plaintext[:-4]}0000"},
    }
    whoami(new.plaintext[:-4] + "0000")
    recorded.clear()

    with statements() as sql:
        response = ApiKeyClient().get("/keyless/", headers=sent[name])

    assert response.status_code == 200
    assert lookups(sql) == []
    assert recorded == []


def test_a_view_that_gets_no_transaction_is_left_to_itself(recorded, new):
    with statements() as sql:
        response = ApiKeyClient(new).get("/alone/")

    assert response.status_code == 200
    assert len(lookups(sql)) == 1
    assert recorded == [False]


def test_a_project_without_atomic_requests_pays_nothing(monkeypatch, new):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)

    with statements() as sql:
        whoami(new)

    assert len(lookups(sql)) == 1


@pytest.mark.parametrize("is_good", [True, False], ids=["good key", "bad key"])
def test_a_view_that_takes_no_keys_answers_as_ever(new, is_good):
    response = ApiKeyClient(new if is_good else with_right_tag(new.key.key_id)).get("/keyless/")

    assert response.json() == {"in_transaction": True}
    assert not KeyEvent.objects.exclude(kind__in=["issued", "client_created"]).exists()


def test_a_dead_key_is_refused_and_recorded_once(recorded, new, caplog):
    caplog.set_level(logging.INFO, logger="apikeys.auth")
    keys.revoke(new.key, reason="leaked")

    response = whoami(new)

    assert code_of(response) == "key_revoked"
    assert recorded == []
    assert [record.reason for record in caplog.records if record.name == "apikeys.auth"] == ["key_revoked"]
    assert KeyEvent.objects.filter(kind=EventKind.USED_AFTER_END).count() == 1


def test_a_dead_key_that_keeps_knocking_costs_one_look_up(new):
    keys.revoke(new.key, reason="leaked")
    whoami(new)

    with statements() as sql:
        response = whoami(new)

    assert code_of(response) == "key_revoked"
    assert len(lookups(sql)) == 1


@pytest.mark.parametrize("is_known", [True, False], ids=["wrong secret", "unknown id"])
def test_a_guess_is_hashed_outside_of_the_transaction(recorded, new, is_known):
    guess = with_right_tag(new.key.key_id if is_known else "0" * 12)

    codes = [code_of(whoami(guess)) for _ in range(2)]

    assert codes == ["key_invalid"] * 2
    assert recorded
    assert not any(recorded)


def test_a_key_whose_hash_is_of_older_cost_is_never_hashed_in_a_transaction(settings, recorded, new):
    settings.APIKEYS = {**settings.APIKEYS, "ARGON2": {"memory_kib": 16, "time": 1, "parallelism": 1}}

    statuses = [whoami(new).status_code for _ in range(3)]

    assert statuses == [200] * 3
    assert "m=16,t=1,p=1" in APIKey.objects.get(pk=new.key.pk).verifier
    # Proven, stored anew after the response, and proven against that.
    assert recorded == [False] * 3


def test_a_new_process_hashes_outside_of_the_transaction_too(recorded, new):
    whoami(new)
    remembered.forget_all()

    whoami(new)

    assert recorded == [False, False]


def test_a_database_that_fails_is_left_to_the_view(new):
    def fail(execute, sql, params, many, context):
        if "apikeys_apikey" in sql:
            raise OperationalError("the server went away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        response = ApiKeyClient(new).get("/keyless/")

    assert response.status_code == 200


@pytest.fixture
def _connections_closed():
    # The asynchronous client closes a response in a thread of its own, whose connection it forgets.
    def close(sender, **kwargs):
        connections.close_all()

    request_finished.connect(close)
    yield
    request_finished.disconnect(close)


@pytest.mark.usefixtures("_connections_closed")
def test_under_asgi_a_new_key_is_hashed_outside_of_the_transaction(recorded, new):
    headers = {"authorization": f"Bearer {new.plaintext}"}

    async def ask():
        answers = [await AsyncClient().get(url, secure=True, headers=headers) for url in (WHOAMI, WHOAMI, "/keyless/")]
        return [answer.status_code for answer in answers]

    statuses = run_async(ask)

    assert statuses == [200] * 3
    assert recorded == [False]


def test_issuing_rotating_and_storing_anew_hash_outside_of_every_transaction(settings, recorded):
    issued = make_key()
    keys.rotate(issued.key)
    settings.APIKEYS = {**settings.APIKEYS, "ARGON2": {"memory_kib": 16, "time": 1, "parallelism": 1}}
    whoami(issued)

    assert recorded == [False] * 4
