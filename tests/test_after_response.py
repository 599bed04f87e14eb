from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from apikeys import keys, pending, request_parts, verification
from apikeys.models import APIKey, EventKind, KeyEvent
from apikeys.signals import credential_refused
from apikeys.testing import ApiKeyClient, make_key

from .request_path import code_of, statements, whoami, with_right_tag
from .request_path_server import other_process

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALARMS = (EventKind.USED_AFTER_END, EventKind.SENT_IN_QUERY, EventKind.SENT_IN_CLEAR)


@pytest.fixture
def noon(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


def last_used_at(issued):
    return APIKey.objects.values_list("last_used_at", flat=True).get(pk=issued.key.pk)


def alarms():
    return list(KeyEvent.objects.filter(kind__in=ALARMS).values_list("kind", "key_id"))


def writes(sql):
    return [statement for statement in sql if not statement.startswith("SELECT")]


@pytest.mark.urls("tests.request_path_urls")
def test_use_is_noted_after_the_view(noon):
    issued = make_key()

    response = ApiKeyClient(issued).get("/last-used/")

    assert response.json() == {"last_used_at": None}
    assert last_used_at(issued) == NOON


@pytest.mark.parametrize(
    ("later", "noted"),
    [(timedelta(seconds=59, microseconds=999_999), False), (timedelta(minutes=1), True)],
    ids=["within the minute", "after a minute"],
)
def test_use_is_noted_at_most_once_a_minute(noon, later, noted):
    issued = make_key()
    whoami(issued)
    noon.move_to(NOON + later, tick=False)

    with statements() as sql:
        whoami(issued)

    assert last_used_at(issued) == (NOON + later if noted else NOON)
    assert len(writes(sql)) == noted


@pytest.mark.parametrize("back", [timedelta(microseconds=1), timedelta(hours=1)], ids=str)
def test_use_never_moves_backwards(noon, back):
    issued = make_key()
    whoami(issued)
    noon.move_to(NOON - back, tick=False)

    whoami(issued)
    keys.record_use(issued.key.pk, at=NOON - back)

    assert last_used_at(issued) == NOON


@pytest.mark.urls("tests.request_path_urls")
def test_noting_the_use_leaves_what_changed_meanwhile(noon):
    issued = make_key()

    ApiKeyClient(issued).post("/renaming/")

    key = APIKey.objects.get(pk=issued.key.pk)
    assert (key.note, key.last_used_at) == ("changed while the key was in use", NOON)


@pytest.mark.urls("tests.request_path_urls")
def test_use_is_noted_though_the_view_fails(noon):
    issued = make_key()
    client = ApiKeyClient(issued)
    client.raise_request_exception = False

    response = client.get("/broken/")

    assert response.status_code == 500
    assert last_used_at(issued) == NOON


@pytest.mark.parametrize("text", ["wrong tag", "wrong secret"])
def test_a_refused_key_is_not_noted_as_used(text):
    issued = make_key()
    texts = {"wrong tag": issued.plaintext[:-1] + "-", "wrong secret": with_right_tag(issued.key.key_id)}

    whoami(texts[text])

    assert last_used_at(issued) is None


def test_a_dead_key_is_not_noted_as_used():
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    whoami(issued)

    assert last_used_at(issued) is None


@pytest.fixture
def atomic_requests(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


@pytest.mark.django_db(transaction=True)
def test_the_alarm_of_a_refusal_outlives_the_rollback_of_its_request(atomic_requests):
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    response = whoami(issued)

    assert code_of(response) == "key_revoked"
    assert alarms() == [(EventKind.USED_AFTER_END, issued.key.pk)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls("tests.request_path_urls")
def test_use_outlives_the_rollback_of_its_request(atomic_requests, noon):
    issued = make_key()
    client = ApiKeyClient(issued)
    client.raise_request_exception = False

    client.get("/broken/")

    assert last_used_at(issued) == NOON


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.urls("tests.request_path_urls")
def test_no_row_is_locked_while_the_view_runs(atomic_requests):
    issued = make_key()

    response = ApiKeyClient(issued).get("/locked/")

    assert response.json() == {"is_locked": False}
    assert last_used_at(issued) is not None


def end(key, *, how):
    if how == "revoked":
        keys.revoke(key, reason="leaked")
    else:
        keys.rotate(key, overlap=timedelta(0))


@pytest.mark.parametrize("how", ["revoked", "rotated"])
def test_a_dead_key_that_knocks_raises_one_alarm_an_hour_and_writes_no_more(noon, how):
    issued = make_key()
    end(issued.key, how=how)
    whoami(issued)

    noon.move_to(NOON + timedelta(minutes=59, seconds=59), tick=False)
    with statements() as sql:
        whoami(issued)
        whoami(issued)

    assert alarms() == [(EventKind.USED_AFTER_END, issued.key.pk)]
    assert len(sql) == 2
    assert writes(sql) == []


def test_a_dead_key_that_knocks_raises_another_alarm_in_the_next_hour(noon):
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")
    whoami(issued)

    noon.move_to(NOON + timedelta(hours=1), tick=False)
    whoami(issued)

    assert alarms() == [(EventKind.USED_AFTER_END, issued.key.pk)] * 2


def test_an_alarm_tells_whence(noon):
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    whoami(issued, REMOTE_ADDR="::ffff:192.0.2.7")

    event = KeyEvent.objects.get(kind=EventKind.USED_AFTER_END)
    assert (event.client_id, event.source, event.address, event.at) == (
        issued.key.client_id,
        "request",
        "192.0.2.7",
        NOON,
    )


def test_two_dead_keys_of_a_family_raise_one_alarm(noon):
    first = make_key()
    second = keys.rotate(first.key, overlap=timedelta(0))
    keys.revoke(second.key, reason="leaked")

    codes = [code_of(whoami(issued)) for issued in (first, second)]

    assert codes == ["key_rotated", "key_revoked"]
    assert len(alarms()) == 1


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"QUERY_STRING": "key=KEY"}, EventKind.SENT_IN_QUERY),
        ({"HTTP_X_API_KEY": "KEY", "secure": False}, EventKind.SENT_IN_CLEAR),
    ],
    ids=["address", "clear"],
)
def test_a_key_that_is_exposed_raises_one_alarm_an_hour_and_family(client, noon, environ, kind):
    issued = make_key()
    replacement = keys.rotate(issued.key)

    for one in (issued, replacement, issued):
        client.get(
            "/apikeys/whoami/",
            **{
                name: value.replace("KEY", one.plaintext) if isinstance(value, str) else value
                for name, value in environ.items()
            },
        )

    assert alarms() == [(kind, issued.key.pk)]


@pytest.mark.parametrize("how", ["expired", "client disabled", "other mode"])
def test_other_refusals_raise_no_alarm(settings, how):
    issued = make_key()
    if how == "expired":
        APIKey.objects.filter(pk=issued.key.pk).update(expires_at=timezone.now())
    elif how == "client disabled":
        type(issued.key.client).objects.update(is_active=False)
    else:
        settings.APIKEYS = {**settings.APIKEYS, "MODE": "test"}

    response = whoami(issued)

    assert response.status_code in {401, 403}
    assert alarms() == []


@pytest.mark.django_db(transaction=True)
def test_two_processes_raise_one_alarm_and_close_their_connections():
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    with other_process(connection.settings_dict["NAME"]) as server:
        here = code_of(whoami(issued))
        there = [server.request(HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}") for _ in range(2)]

    assert here == "key_revoked"
    assert [answer["code"] for answer in there] == ["key_revoked"] * 2
    hours = KeyEvent.objects.filter(kind=EventKind.USED_AFTER_END).values_list("once", flat=True)
    # The hour may turn in between.
    assert len(hours) == len(set(hours)) <= 2
    assert [answer["is_connected"] for answer in there] == [False, False]


@pytest.mark.django_db(transaction=True)
def test_a_server_keeps_no_connection_that_it_opened_to_note_the_use():
    issued = make_key()

    with other_process(connection.settings_dict["NAME"]) as server:
        answer = server.request(HTTP_AUTHORIZATION=f"Bearer {issued.plaintext}")

    assert answer["status"] == 200
    assert last_used_at(issued) is not None
    assert not answer["is_connected"]


@pytest.mark.django_db(transaction=True)
def test_the_first_key_in_the_clear_names_the_setting_to_check():
    issued = make_key()
    clear = {"HTTP_AUTHORIZATION": f"Bearer {issued.plaintext}", "wsgi.url_scheme": "http"}

    with other_process(connection.settings_dict["NAME"]) as server:
        answers = [server.request(**clear) for _ in range(2)]

    assert [answer["code"] for answer in answers] == ["https_required"] * 2
    assert answers[1]["logged"].count("TRUSTED_PROXIES") == 1


@contextmanager
def failing_writes(error):
    def fail(execute, sql, params, many, context):
        if sql.startswith(("UPDATE", "INSERT")):
            raise error("the server went away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [DatabaseError, OperationalError, InterfaceError])
def test_a_database_that_fails_after_the_response_costs_only_the_note(caplog, error):
    issued = make_key()

    with failing_writes(error):
        response = whoami(issued)

    assert response.status_code == 200
    assert last_used_at(issued) is None
    assert [record.message for record in caplog.records if record.name == "apikeys.auth"] == [
        "could not write after the response"
    ]


@pytest.mark.django_db(transaction=True)
def test_an_alarm_that_could_not_be_written_is_written_the_next_time():
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    with failing_writes(DatabaseError):
        whoami(issued)
    whoami(issued)

    assert len(alarms()) == 1


def test_what_a_request_that_never_finished_left_is_not_written_by_the_next(rf):
    left, used = make_key(), make_key()
    request = rf.get("/", secure=True, HTTP_X_API_KEY=left.plaintext)
    pending.begin()
    verification.authenticate(request_parts.read(request), now=timezone.now())

    whoami(used)

    assert last_used_at(left) is None
    assert last_used_at(used) is not None


def test_what_is_left_where_no_beginning_was_told_is_written_after_the_next_response(rf):
    left, used = make_key(), make_key()
    request = rf.get("/", secure=True, HTTP_X_API_KEY=left.plaintext)
    verification.authenticate(request_parts.read(request), now=timezone.now())

    whoami(used)

    assert last_used_at(left) is not None
    assert last_used_at(used) is not None


def test_a_refusal_is_told_to_receivers_without_the_key():
    told = []

    def receiver(sender, **kwargs):
        told.append(kwargs)

    issued = make_key()
    keys.revoke(issued.key, reason="leaked")
    credential_refused.connect(receiver)
    try:
        whoami(issued)
        whoami(issued.plaintext[:-1] + "-")
    finally:
        credential_refused.disconnect(receiver)

    assert [(each["code"], each["key_id"], each["address"]) for each in told] == [
        ("key_revoked", issued.key.key_id, "127.0.0.1"),
        ("key_malformed", "", "127.0.0.1"),
    ]
    assert issued.plaintext[20:] not in repr(told)


def test_a_receiver_that_fails_costs_nothing():
    def receiver(sender, **kwargs):
        raise RuntimeError("a fault of the project")

    issued = make_key()
    keys.revoke(issued.key, reason="leaked")
    credential_refused.connect(receiver)
    try:
        response = whoami(issued)
    finally:
        credential_refused.disconnect(receiver)

    assert code_of(response) == "key_revoked"
    assert len(alarms()) == 1
