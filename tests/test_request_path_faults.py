from __future__ import annotations

import asyncio
import copy
import html
import threading
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, transaction
from django.http import JsonResponse
from django.test import RequestFactory
from django.urls import path
from django.views.debug import ExceptionReporter
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import averify, clients, keys, prepared, tag_secrets, verify
from apikeys.core.errors import ClientDisabledError, CredentialError, HashingFailedError, UnknownKeyError
from apikeys.core.verifiers import Argon2idHasher
from apikeys.drf import APIKeyAuthentication, HasScopes
from apikeys.models import Client, EventKind, KeyEvent, TagSecret
from apikeys.testing import ApiKeyClient, make_key

from .asking_urls import urlpatterns as asking
from .factories import UserFactory
from .replicas import second_database
from .request_path import request_with, with_right_tag
from .test_verification_servers import over_asgi
from .threads import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

#: What the view below asks about, all at once.
together: list[str] = []


def outcome(**headers):
    """Return the key id that *headers* prove, or the code of their refusal."""
    try:
        return verify(RequestFactory().get("/", secure=True, **headers)).key_id
    except CredentialError as error:
        return error.code


@transaction.non_atomic_requests
async def ask_together(request):
    requests = [RequestFactory().get("/", secure=True, HTTP_X_API_KEY=key) for key in together]
    answers = await asyncio.gather(*map(averify, requests), return_exceptions=True)
    return JsonResponse({"codes": [getattr(answer, "code", None) for answer in answers]})


class ByCaller(APIView):
    """Asks for what the caller's kind needs."""

    authentication_classes = [APIKeyAuthentication]

    @property
    def permission_classes(self):  # type: ignore[override]  # a project may well write it so
        return [HasScopes("todo:read" if self.request.user.is_authenticated else "todo:write")]

    def get(self, request):
        return Response({})


urlpatterns = [*asking, path("together/", ask_together), path("by-caller/", ByCaller.as_view())]


@pytest.fixture
def an_hour(settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": timedelta(hours=1)}


@pytest.mark.usefixtures("an_hour")
@pytest.mark.parametrize("touch", [lambda user: None, lambda user: user.email], ids=["unloaded", "loaded"])
def test_a_view_that_saves_the_person_brings_back_no_right_that_was_taken_meanwhile(touch):
    owner = UserFactory(is_superuser=True)
    issued = make_key(owner=owner)
    verify(request_with(issued))
    get_user_model().objects.filter(pk=owner.pk).update(is_active=False)

    user = verify(request_with(issued)).user
    touch(user)
    user.first_name = "Laurie"
    user.save()

    owner.refresh_from_db()
    assert (owner.first_name, owner.is_active) == ("Laurie", False)


@pytest.mark.usefixtures("an_hour")
def test_what_a_transaction_saw_that_was_rolled_back_is_not_kept():
    issued = make_key()
    clients.disable(issued.key.client)

    with transaction.atomic():
        clients.enable(issued.key.client)
        verify(request_with(issued))
        transaction.set_rollback(True)

    with pytest.raises(ClientDisabledError):
        verify(request_with(issued))


@pytest.mark.usefixtures("an_hour")
def test_what_a_savepoint_saw_that_was_rolled_back_is_not_kept():
    issued = make_key()
    clients.disable(issued.key.client)

    with transaction.atomic():
        with transaction.atomic():
            Client.objects.update(is_active=True)
            verify(request_with(issued))
            transaction.set_rollback(True)
        with pytest.raises(ClientDisabledError):
            verify(request_with(issued))


class TenantRouter:
    """Reads and writes where this request belongs."""

    tenant = "default"

    def db_for_read(self, model, **hints):
        return self.tenant

    db_for_write = db_for_read

    def allow_relation(self, *objects, **hints):
        return True


@pytest.mark.usefixtures("an_hour")
def test_a_snapshot_of_one_database_admits_nobody_where_the_router_chose_another(tmp_path, settings, monkeypatch):
    settings.DATABASE_ROUTERS = [f"{__name__}.TenantRouter"]
    issued = make_key()
    verify(request_with(issued))

    with second_database(tmp_path):
        monkeypatch.setattr(TenantRouter, "tenant", "second")
        with pytest.raises(UnknownKeyError):
            verify(request_with(issued))
        monkeypatch.undo()


def test_keys_that_an_async_view_asks_for_together_leave_their_alarms():
    dead = [make_key() for _ in range(2)]
    for issued in dead:
        keys.revoke(issued.key, reason="leaked")
    together[:] = [issued.plaintext for issued in dead]

    response = over_asgi(path="/together/")

    assert response.json() == {"codes": ["key_revoked"] * 2}
    assert KeyEvent.objects.filter(kind=EventKind.USED_AFTER_END).count() == 2


def look_up_often(issued):
    for _ in range(8):
        verify(request_with(issued))


@pytest.fixture
def _as_in_a_new_process(monkeypatch):
    monkeypatch.setattr(prepared, "_given_up", set())


@pytest.mark.postgres
@pytest.mark.usefixtures("_as_in_a_new_process")
def test_a_pooler_spoils_no_transaction_of_a_connection_without_autocommit():
    issued = make_key()

    def without_autocommit():
        look_up_often(issued)
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        transaction.set_autocommit(False)
        try:
            return verify(request_with(issued)).key_id
        finally:
            connection.rollback()
            transaction.set_autocommit(True)

    assert at_once(without_autocommit) == [issued.key.key_id]


@pytest.mark.postgres
@pytest.mark.usefixtures("_as_in_a_new_process")
def test_a_connection_that_the_server_ended_says_nothing_of_a_pooler():
    issued = make_key()

    def ended_once():
        look_up_often(issued)
        pid = connection.connection.info.backend_pid
        at_once(lambda: connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid]))
        with pytest.raises(OperationalError):
            verify(request_with(issued))
        connection.close()
        look_up_often(issued)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'apikeys%'")
            return cursor.fetchone()[0]

    assert at_once(ended_once) == [1]


@pytest.mark.parametrize("address", ["/ask/", "/reads/"])
def test_every_refusal_names_the_request(settings, address):
    settings.APIKEYS = {**settings.APIKEYS, "REQUEST_ID": lambda request: "request-1"}
    issued = make_key()

    response = ApiKeyClient(issued.plaintext[:-1]).get(address)

    assert response.json()["request_id"] == "request-1"


def forged(issued):
    return RequestFactory().get("/", secure=True, HTTP_X_API_KEY=issued.plaintext[:-8] + "0" * 8)


def test_forged_keys_that_come_together_read_the_tag_secrets_once():
    issued = make_key()
    verify(request_with(issued))
    tag_secrets.forget_all()
    ran = []
    others: list[threading.Thread] = []

    def note(execute, sql, params, many, context):
        if "apikeys_tagsecret" in sql:
            ran.append(sql)
        if not others:
            others.append(threading.Thread(target=at_once, args=[guess]))
            others[0].start()
            # It has to wait for this reading, or has done without.
            others[0].join(timeout=0.3)
        return execute(sql, params, many, context)

    def guess():
        with connection.execute_wrapper(note), pytest.raises(UnknownKeyError):
            verify(forged(issued))

    guess()
    others[0].join(timeout=10)

    assert len(ran) == 1


def test_a_fault_while_a_tag_is_checked_quotes_no_tag_secret():
    issued = make_key()
    verify(request_with(issued))
    # Due to be read again, with one in memory.
    tag_secrets.make()

    def fail(execute, sql, params, many, context):
        raise OperationalError

    with pytest.raises(OperationalError) as caught, connection.execute_wrapper(fail):
        verify(forged(issued))

    # Without the frames of this test.
    traceback = caught.value.__traceback__.tb_next
    report = ExceptionReporter(None, caught.type, caught.value, traceback).get_traceback_html()
    secrets = [repr(bytes(row.secret))[2:-1] for row in TagSecret.objects.all()]
    assert not [secret for secret in secrets if secret in html.unescape(html.unescape(report))]


def test_an_empty_second_header_is_answered_alike_before_and_after_the_key_was_seen():
    issued = make_key()
    beside = {"HTTP_AUTHORIZATION": f"Bearer {issued.plaintext}", "HTTP_X_API_KEY": ""}

    before = outcome(**beside)
    outcome(HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}")

    assert outcome(**beside) == before


def test_a_copy_of_the_person_loads_what_is_missing():
    issued = make_key(owner=UserFactory(email="laurie@example.com"))
    user = verify(request_with(issued)).user
    assert user.pk

    assert copy.copy(user).email == "laurie@example.com"


class NoMemory(Argon2idHasher):
    """Argon2id where there is not enough memory."""

    def hash(self, secret):
        raise HashingFailedError


def test_an_unknown_key_is_refused_where_there_is_no_memory_for_a_hash(settings):
    make_key()
    unknown = with_right_tag("0" * 12)
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": [f"{__name__}.NoMemory"]}

    assert outcome(HTTP_X_API_KEY=unknown) == "rate_limited"


def test_permission_classes_that_ask_who_is_calling_are_answered():
    issued = make_key(scopes=["todo:read"])

    assert ApiKeyClient(issued).get("/by-caller/").status_code == 200
