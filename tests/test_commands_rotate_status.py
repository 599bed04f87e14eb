"""``rotate_keys --status`` tells whether and from where an old key is still used, and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys import keys
from apikeys.models import APIKey, KeyEvent, LastUse
from apikeys.testing import make_key
from tests.commands import keys_in, run
from tests.factories import ClientFactory
from tests.usage_rows import refusals_of, requests_with

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def at(time_machine):
    time_machine.move_to(NOW, tick=False)
    return time_machine


@pytest.fixture
def old(at):
    return make_key(name="Web", client=ClientFactory(name="Web app")).key


def rotated(key, **options):
    return keys.rotate(APIKey.objects.get(pk=key.pk), **options).key


def status(*options, **where):
    return run("rotate_keys", "--status", *options, **where)


def test_old_key_that_is_still_used_is_listed_with_when_how_often_and_from_where(old):
    new = rotated(old)
    requests_with(old, at=NOW - HOUR, count=1204)
    LastUse.objects.create(key_id=old.key_id, at=NOW - HOUR, address="192.0.2.7")

    result = status()

    assert result.code == 0
    (row,) = result.rows
    assert row == {
        "key_id": old.key_id,
        "name": "Web",
        "client": "Web app",
        "owner": old.owner.get_username(),
        "replacement": new.key_id,
        "old_key_stops_at": "2026-11-23T12:30:00Z",
        "overlap": "runs",
        "last_used_at": "2026-11-22T11:30:00Z",
        "used_from": "192.0.2.7",
        "requests_24h": "1204",
        "refused_24h": "0",
    }
    assert result.err == "1 of 1 old key was used in the last 24 hours.\n"


def test_old_key_that_waits_for_the_first_use_of_the_new_one(old):
    rotated(old, overlap=keys.FROM_FIRST_USE)

    assert status().rows[0]["overlap"] == "waits"
    assert "waits for the first use of the new one" in status(terminal=250).out


def test_old_key_that_is_sent_after_its_end_is_listed_with_the_network(old, at):
    rotated(old)
    at.move_to(NOW + 48 * HOUR, tick=False)
    refusals_of(old, at=NOW + 46 * HOUR, outcome="key_rotated", network="198.51.100.0/24", count=2)
    refusals_of(old, at=NOW + 47 * HOUR, outcome="key_rotated", network="203.0.113.0/24", count=5)

    (row,) = status().rows

    assert (row["overlap"], row["requests_24h"], row["refused_24h"]) == ("ended", "0", "7")
    assert row["used_from"] == "203.0.113.0/24"


def test_where_the_old_key_is_used_is_told_although_others_try_it_in_vain(old):
    rotated(old)
    requests_with(old, at=NOW - HOUR, count=9)
    LastUse.objects.create(key_id=old.key_id, at=NOW - 2 * HOUR, address="192.0.2.7")
    for code in ("ip_not_allowed", "key_in_query", "rate_limited"):
        refusals_of(old, at=NOW - HOUR, outcome=code, network="198.51.100.0/24", count=40)

    (row,) = status().rows

    assert (row["used_from"], row["requests_24h"], row["refused_24h"]) == ("192.0.2.7", "9", "0")


@pytest.mark.parametrize(
    ("used_ago", "shown"),
    [pytest.param(3, "203.0.113.0/24", id="before"), pytest.param(1, "192.0.2.7", id="after")],
)
def test_old_key_was_last_seen_where_it_was_used_or_refused_last(old, used_ago, shown):
    rotated(old)
    LastUse.objects.create(key_id=old.key_id, at=NOW - used_ago * HOUR, address="192.0.2.7")
    refusals_of(old, at=NOW - 2 * HOUR, outcome="key_rotated", network="203.0.113.0/24")

    assert status().rows[0]["used_from"] == shown


@pytest.mark.parametrize(
    ("days", "listed"), [pytest.param(7.9, 1, id="within 7 days"), pytest.param(8, 0, id="after 7 days")]
)
def test_old_key_is_listed_for_a_week_after_its_end(old, at, days, listed):
    rotated(old)

    at.move_to(NOW + days * 24 * HOUR, tick=False)

    assert len(status().rows) == listed


def test_quiet_old_key_is_listed_as_unused(old):
    rotated(old)
    requests_with(old, at=NOW - 25 * HOUR)

    result = status()

    assert (result.rows[0]["requests_24h"], result.rows[0]["used_from"]) == ("0", "")
    assert result.err == "0 of 1 old key was used in the last 24 hours.\n"


def test_keys_that_were_not_rotated_or_are_revoked_are_not_listed(old):
    gone = make_key(client=old.client).key
    rotated(gone)
    keys.revoke(APIKey.objects.get(pk=gone.pk), reason="leaked")

    result = status()

    assert (result.code, result.rows) == (0, [])
    assert "No rotated key works on, or did in the last 7 days." in result.err


def test_it_says_where_usage_is_not_recorded(old):
    rotated(old)

    assert "Usage is not recorded" in status().err


def test_json_and_table_say_the_same(old):
    rotated(old)
    requests_with(old, at=NOW - HOUR, count=1204)

    body = status("--json").json
    screen = status(terminal=250)

    assert body["counts"] == {"listed": 1, "still_used": 1}
    assert (body["keys"][0]["key_id"], body["keys"][0]["requests_24h"]) == (old.key_id, 1204)
    assert "1,204" in screen.out
    assert old.masked in screen.out


def test_list_can_be_narrowed(old):
    other = make_key(client=ClientFactory(name="Chat bot")).key
    for key in (old, other):
        rotated(key)

    for options in (["--client", "Chat bot"], ["--owner", other.owner.get_username()], ["--key", other.key_id]):
        assert [row["key_id"] for row in status(*options).rows] == [other.key_id]
    assert len(status("--limit", "1").rows) == 1


def test_status_changes_nothing_and_shows_no_secret(old):
    rotated(old)
    before = APIKey.objects.count(), KeyEvent.objects.count()

    result = status()

    assert (APIKey.objects.count(), KeyEvent.objects.count()) == before
    assert keys_in(result.out, result.err) == []


@pytest.mark.parametrize("option", [["--leaked"], ["--check"], ["--overlap", "24h"], ["--older-than", "1d"]])
def test_status_refuses_to_rotate_as_well(old, option):
    result = status(*option)

    assert result.code == 2
    assert "--status changes nothing." in result.err


def test_status_costs_the_same_queries_for_many_keys(old, django_assert_num_queries):
    rotated(old)
    with django_assert_num_queries(6):
        status()
    for _ in range(4):
        rotated(make_key(client=old.client).key)

    with django_assert_num_queries(6):
        assert len(status().rows) == 5
