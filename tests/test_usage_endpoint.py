"""``GET …/usage/``: an owner sees the own keys, and nobody else's."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apikeys import clients, keys, usage
from apikeys.core import errors
from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient, make_key
from tests.factories import PersonFactory, UserFactory
from tests.usage_rows import refusals_of, requests_with

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SCOPES = ["todo:read", "apikeys:usage"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_noon(time_machine):
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def richard(db):
    return UserFactory(username="richard")


@pytest.fixture
def issued(richard):
    return make_key(name="Web", owner=richard, scopes=SCOPES)


def ask(issued, **parameters):
    return ApiKeyClient(issued).get(reverse("apikeys:usage"), parameters)


def test_owner_sees_the_own_keys_by_the_day(richard, issued):
    requests_with(issued.key, at=NOW - DAY, count=5)
    requests_with(issued.key, at=NOW - DAY, count=2, outcome="limited")
    refusals_of(issued.key, at=NOW - 2 * DAY, count=3)
    usage.rollup()
    requests_with(issued.key, at=NOW, count=4)

    response = ask(issued, days=3)

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json() == {
        "since": "2026-11-20T00:00:00Z",
        "until": "2026-11-22T12:30:00Z",
        "counted_until": "2026-11-21T13:00:00Z",
        "is_complete": True,
        "keys": [
            {
                "key_id": issued.key.key_id,
                "name": "Web",
                "totals": {"requests": 14, "denied": 5},
                "series": [
                    {"at": "2026-11-20T00:00:00Z", "requests": 3, "denied": 3},
                    {"at": "2026-11-21T00:00:00Z", "requests": 7, "denied": 2},
                    {"at": "2026-11-22T00:00:00Z", "requests": 4, "denied": 0},
                ],
            }
        ],
    }


def test_owner_sees_the_own_keys_by_the_hour(issued):
    requests_with(issued.key, at=NOW - 2 * HOUR, count=5)

    series = ask(issued, days=1, by="hour").json()["keys"][0]["series"]

    assert len(series) == 24
    assert series[-3:] == [
        {"at": "2026-11-22T10:00:00Z", "requests": 5, "denied": 0},
        {"at": "2026-11-22T11:00:00Z", "requests": 0, "denied": 0},
        {"at": "2026-11-22T12:00:00Z", "requests": 0, "denied": 0},
    ]


def test_keys_of_others_and_of_services_are_not_shown(richard, issued):
    client = issued.key.client
    for owner in (UserFactory(), None):
        requests_with(make_key(client=client, owner=owner, scopes=SCOPES).key, at=NOW)

    assert [key["key_id"] for key in ask(issued).json()["keys"]] == [issued.key.key_id]


@pytest.mark.parametrize(
    "key_id",
    [
        pytest.param(lambda: make_key().key.key_id, id="of somebody else"),
        pytest.param(lambda: make_key(owner=None).key.key_id, id="of a service"),
        pytest.param(lambda: "a" * 12, id="of nobody"),
        pytest.param(lambda: "\x00" * 12, id="no key id"),
        pytest.param(lambda: "a" * 10_000, id="far too long"),
    ],
)
def test_key_that_is_not_the_owners_is_missing_whether_it_is_there_or_not(issued, key_id):
    response = ask(issued, key=key_id())

    assert response.status_code == 404
    assert response.json() == {"detail": "You have no such key.", "code": "key_unknown"}


def test_one_key_may_be_asked_for(richard, issued):
    other = make_key(client=issued.key.client, owner=richard, scopes=SCOPES).key

    assert [key["key_id"] for key in ask(issued, key=other.key_id).json()["keys"]] == [other.key_id]


def test_key_and_its_replacement_are_one_line_under_the_newest_id(issued):
    requests_with(issued.key, at=NOW, count=2)
    new = keys.rotate(APIKey.objects.get(pk=issued.key.pk)).key
    requests_with(new, at=NOW, count=3)

    for asked in ({}, {"key": issued.key.key_id}, {"key": new.key_id}):
        (line,) = ask(issued, **asked).json()["keys"]
        assert (line["key_id"], line["totals"]["requests"]) == (new.key_id, 5)


@pytest.mark.parametrize(
    "parameters",
    [
        {"days": "0"},
        {"days": "401"},
        {"days": "15", "by": "hour"},
        {"days": "-1"},
        {"days": "1.5"},
        {"days": "٣"},
        {"days": "9" * 5000},
        {"days": ""},
        {"by": "week"},
        {"by": ""},
    ],
    ids=str,
)
def test_parameters_that_make_no_sense_are_refused(issued, parameters):
    response = ask(issued, **parameters)

    assert (response.status_code, response.json()["code"]) == (400, "parameter_invalid")


@pytest.mark.parametrize(("days", "by"), [(1, "day"), (400, "day"), (1, "hour"), (14, "hour")])
def test_whole_range_may_be_asked_for(issued, days, by):
    series = ask(issued, days=days, by=by).json()["keys"][0]["series"]

    assert len(series) == (days if by == "day" else 24 * days)


@pytest.mark.parametrize(
    ("zone", "now"),
    [
        pytest.param("Europe/Berlin", datetime(2026, 4, 2, 22, 30, tzinfo=UTC), id="after the day with 23 hours"),
        pytest.param("Europe/Berlin", datetime(2026, 10, 27, 23, 30, tzinfo=UTC), id="after the day with 25 hours"),
    ],
)
def test_days_are_counted_by_the_calendar(issued, settings, time_machine, zone, now):
    settings.TIME_ZONE = zone
    APIKey.objects.update(expires_at=None)
    time_machine.move_to(now, tick=False)

    series = ask(issued, days=7).json()["keys"][0]["series"]

    assert len({point["at"] for point in series}) == len(series) == 7


def test_csv_has_a_line_for_each_key_and_day(issued):
    requests_with(issued.key, at=NOW, count=4)

    response = ask(issued, days=2, format="csv")

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="usage.csv"'
    assert list(csv.reader(io.StringIO(response.content.decode()))) == [
        ["key_id", "name", "at", "requests", "denied"],
        [issued.key.key_id, "Web", "2026-11-21T00:00:00Z", "0", "0"],
        [issued.key.key_id, "Web", "2026-11-22T00:00:00Z", "4", "0"],
    ]


def test_csv_comes_where_the_client_accepts_it_only(issued):
    response = ApiKeyClient(issued, HTTP_ACCEPT="text/csv").get(reverse("apikeys:usage"))

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_csv_holds_nothing_that_a_spreadsheet_would_run(richard, name):
    issued = make_key(name=name, owner=richard, scopes=SCOPES)

    _header, line = csv.reader(io.StringIO(ask(issued, days=1, format="csv").content.decode()))

    assert line[1] == f"'{name}"


def test_refusal_is_json_where_csv_was_asked_for(richard):
    issued = make_key(owner=richard, scopes=["todo:read"])

    response = ask(issued, format="csv")

    assert (response.status_code, response.headers["Content-Type"]) == (403, "application/json")
    assert response.json()["code"] == "insufficient_scope"


def test_key_without_the_scope_is_refused(richard):
    response = ask(make_key(owner=richard, scopes=["todo:read"]))

    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")


def test_service_key_has_no_owner_to_show_anything_to():
    response = ask(make_key(owner=None, scopes=SCOPES))

    assert (response.status_code, response.json()["code"]) == (403, "owner_required")


def test_somebody_who_is_signed_in_needs_a_key(client, richard):
    client.force_login(richard)

    assert client.get(reverse("apikeys:usage"), secure=True).status_code == 401


def test_only_superusers_may_grant_the_scope():
    monica = PersonFactory(rights=["add_client", "change_client", "grant_any_scope"])

    with pytest.raises(errors.APIKeysError):
        clients.create(name="Reports", allowed_scopes=["apikeys:usage"], by=monica)

    boss = UserFactory(is_superuser=True)
    assert clients.create(name="Reports", allowed_scopes=["apikeys:usage"], by=boss).allowed_scopes == ["apikeys:usage"]


def test_answer_costs_the_same_queries_however_many_keys_there_are(richard, issued, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_KEYS_PER_OWNER": 100}
    ask(issued)  # whatever is written once a minute

    with CaptureQueriesContext(connection) as for_one:
        ask(issued)
    for _ in range(5):
        requests_with(make_key(client=issued.key.client, owner=richard, scopes=SCOPES).key, at=NOW)
    with CaptureQueriesContext(connection) as for_six:
        assert len(ask(issued).json()["keys"]) == 6

    # With ATOMIC_REQUESTS, two more.
    assert len(for_one) == len(for_six) <= 7


def test_answer_is_bounded_and_says_so(richard, issued, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_KEYS_PER_OWNER": 100}
    for _ in range(50):
        make_key(client=issued.key.client, owner=richard, scopes=SCOPES)

    body = ask(issued, days=1).json()
    table = ask(issued, days=1, format="csv")

    assert (len(body["keys"]), body["is_complete"]) == (50, False)
    assert table.headers["Content-Disposition"] == 'attachment; filename="usage-incomplete.csv"'


def test_dead_keys_push_no_working_one_out_of_the_answer(richard, issued, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_KEYS_PER_OWNER": 100}
    newest = [make_key(client=issued.key.client, owner=richard, scopes=SCOPES).key for _ in range(50)]
    APIKey.objects.filter(pk__in=[key.pk for key in newest[25:]]).update(expires_at=NOW)
    for key in newest[:25]:
        keys.revoke(key, reason="leaked")

    shown = [key["key_id"] for key in ask(issued, days=1).json()["keys"]]

    assert shown == [issued.key.key_id, *(key.key_id for key in reversed(newest[1:]))]
