from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from apikeys import clients, keys, verify
from apikeys.core.errors import HTTPSRequiredError
from apikeys.models import APIKey
from apikeys.oauth import applications, consents
from apikeys.testing import ApiKeyClient, make_key

from . import oauth
from .request_path import code_of, request_with, statements, whoami, with_right_tag
from .threads import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.request_path_urls")]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def an_hour(settings):
    """A bound that no test reaches, so that what is stale is seen to be."""
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": HOUR}


def reads(issued, **extra):
    return ApiKeyClient(issued).get("/reads/", **extra)


def seen(**fields):
    """Return a key of which this process has a snapshot."""
    issued = make_key(scopes=["todo:read"], **fields)
    assert reads(issued).status_code == 200
    return issued


def revoke(key):
    keys.revoke(key, reason="leaked")


CHANGES = {
    "revoked": (revoke, 401),
    "revoked with others": (lambda key: keys.revoke_many([key], reason="leaked"), 401),
    "rotated without overlap": (lambda key: keys.rotate(key, overlap=timedelta(0)), 401),
    "narrowed": (lambda key: keys.narrow(key, scopes=["usage:read"]), 403),
    "client disabled": (lambda key: clients.disable(key.client), 403),
    "ceiling lowered": (lambda key: clients.set_ceiling(key.client, scopes=[]), 403),
    "client bound to a network": (lambda key: clients.edit(key.client, allowed_networks=["10.0.0.0/8"]), 403),
}
cases = pytest.mark.parametrize(("change", "status"), CHANGES.values(), ids=CHANGES)


def with_two_scopes():
    issued = make_key(scopes=["todo:read", "usage:read"])
    assert reads(issued).status_code == 200
    return issued


@pytest.mark.django_db(transaction=True)
def test_a_second_request_within_the_bound_runs_no_query():
    issued = seen()

    with statements() as sql:
        response = reads(issued)

    assert response.json() == {"scopes": ["todo:read"]}
    assert sql == []


def test_without_a_bound_every_request_reads_the_key(settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": timedelta(0)}
    issued = seen()

    with statements() as sql:
        reads(issued)

    assert len(sql) == 1


@cases
def test_a_change_counts_at_once_in_the_process_that_makes_it(change, status):
    issued = with_two_scopes()

    change(issued.key)

    assert reads(issued).status_code == status


@pytest.mark.django_db(transaction=True)
@cases
def test_a_committed_change_counts_at_once_in_the_process_that_makes_it(change, status):
    issued = with_two_scopes()

    change(issued.key)

    assert reads(issued).status_code == status


@pytest.mark.django_db(transaction=True)
def test_what_a_person_lets_an_app_do_makes_no_process_read_keys_again():
    person, app = oauth.make_person(), oauth.make_app()
    issued = seen()
    consents.give(person, app.client, scopes=["todo:read"])
    consents.withdraw(person, app.client, by=person)
    applications.replace_secret(app.link)

    with statements() as sql:
        assert reads(issued).status_code == 200

    assert sql == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets nobody read beside the writer's connection")
def test_what_another_thread_read_before_the_commit_is_not_kept():
    issued = with_two_scopes()

    with transaction.atomic():
        revoke(issued.key)
        beside = at_once(lambda: reads(issued).status_code)

    assert beside == [200]
    assert reads(issued).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_read_before_a_change_is_not_kept_after_it(monkeypatch):
    # The change is made while the row is read, for which SQLite would wait if the request held a transaction.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    issued = make_key(scopes=["todo:read"])

    def revoke_behind(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if issued.key.key_id in str(params) and not issued.key.is_revoked():
            row = context["cursor"].cursor.fetchone()
            at_once(lambda: revoke(issued.key))
            context["cursor"].cursor = Rewound(row)
        return answer

    with connection.execute_wrapper(revoke_behind):
        answered = reads(issued).status_code

    assert answered == 200
    assert reads(issued).status_code == 401


class Rewound:
    """A cursor of one row that was fetched already."""

    def __init__(self, row):
        self.row = row

    def fetchone(self):
        return self.row

    def close(self):
        pass


def test_a_change_that_is_rolled_back_stops_nothing():
    issued = seen()

    with transaction.atomic():
        revoke(issued.key)
        transaction.set_rollback(True)

    assert reads(issued).status_code == 200


def test_a_change_made_elsewhere_counts_when_the_bound_is_over(settings):
    bound = timedelta(milliseconds=200)
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": bound}
    issued = seen()
    APIKey.objects.filter(pk=issued.key.pk).update(expires_at=timezone.now())
    changed_at = time.monotonic()

    admitted_at = changed_at
    while time.monotonic() < changed_at + 10:
        started_at = time.monotonic()
        if reads(issued).status_code == 401:
            break
        admitted_at = started_at
    else:
        pytest.fail("it was never refused")

    assert admitted_at - changed_at < bound.total_seconds()


ENDS = {
    "expiry": ("expires_at", "key_expired"),
    "overlap": ("overlap_ends_at", "key_rotated"),
}


@pytest.mark.parametrize(("field", "code"), ENDS.values(), ids=ENDS)
def test_a_snapshot_ends_when_the_key_does(field, code):
    with time_machine.travel(NOON, tick=False) as clock:
        issued = make_key(scopes=["todo:read"])
        APIKey.objects.filter(pk=issued.key.pk).update(**{field: NOON + HOUR})
        reads(issued)

        clock.move_to(NOON + HOUR - timedelta(microseconds=1))
        before = reads(issued)
        clock.move_to(NOON + HOUR)
        after = reads(issued)

    assert before.status_code == 200
    assert code_of(after) == code


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_holds_for_the_allowed_networks_only():
    issued = make_key(scopes=["todo:read"], allowed_networks=["127.0.0.0/8"])
    reads(issued)

    with statements() as sql:
        answers = [code_of(reads(issued, REMOTE_ADDR=address)) for address in ("127.0.0.1", "192.0.2.1")]

    assert answers == [None, "ip_not_allowed"]
    assert sql == []


def test_a_snapshot_admits_no_other_secret():
    issued = seen()

    assert code_of(whoami(with_right_tag(issued.key.key_id))) == "key_invalid"


def test_a_snapshot_admits_no_other_tag():
    issued = seen()
    wrong = issued.plaintext[:-1] + ("A" if issued.plaintext[-1] != "A" else "B")

    assert code_of(reads(wrong)) == "key_invalid"


def test_a_snapshot_is_no_way_in_over_plain_http(settings):
    issued = seen()
    request = request_with(issued, secure=False)

    with pytest.raises(HTTPSRequiredError):
        verify(request)


def test_many_requests_within_the_bound_note_one_use():
    with time_machine.travel(NOON, tick=False) as clock:
        issued = seen()
        clock.shift(timedelta(minutes=2))
        with statements() as sql:
            for _ in range(5):
                reads(issued)

    assert len([statement for statement in sql if statement.startswith("UPDATE")]) == 1
    assert APIKey.objects.get().last_used_at == NOON + timedelta(minutes=2)


def test_what_a_view_does_to_the_person_stays_in_its_request():
    issued = seen()
    verify(request_with(issued)).user.is_active = False

    assert verify(request_with(issued)).user.is_active is True


def test_a_change_of_the_settings_counts_at_once(settings):
    issued = seen()

    settings.APIKEYS = {**settings.APIKEYS, "SCOPES": {"usage:read": "Read usage numbers"}}

    assert reads(issued).status_code == 403
