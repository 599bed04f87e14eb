"""Permissions that nobody needed are found, with evidence, and nothing else is ever taken away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

import apikeys
from apikeys import clients, keys, usage
from apikeys.core import outcomes
from apikeys.core.calls import call_of
from apikeys.models import APIKey, Client, Grain, KeyEvent, Level, UsageCount
from apikeys.testing import make_key
from tests.commands import run
from tests.factories import ClientFactory
from tests.usage_rows import refusals_of, requests_with

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
LONG_AGO = NOW - 200 * DAY
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN", "mysql": "EXPLAIN"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_noon(time_machine):
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def client_(db):
    client = ClientFactory(name="Web app", allowed_scopes=["todo:read", "todo:write", "usage:read"])
    Client.objects.update(created_at=LONG_AGO)
    client.refresh_from_db()
    return client


@pytest.fixture
def recorded(client_):
    """Counting that reaches back far enough, with another key."""
    requests_with(old_key(client_, name="Other"), at=NOW - 100 * DAY)


def old_key(client, *, name="Web", scopes=("todo:read", "todo:write"), issued_at=LONG_AGO):
    key = make_key(name=name, client=client, scopes=list(scopes)).key
    APIKey.objects.filter(pk=key.pk).update(created_at=issued_at, expires_at=NOW + 300 * DAY)
    return APIKey.objects.select_related("client").get(pk=key.pk)


def needs_of(key, **options):
    (needs,) = usage.unused_scopes([key], **options)
    return needs


BEFORE_AND_AFTER = pytest.mark.parametrize("is_rolled_up", [False, True], ids=["raw", "rolled up"])


@BEFORE_AND_AFTER
def test_scope_that_no_request_needed_is_unused_and_the_evidence_says_so(client_, recorded, is_rolled_up):
    key = old_key(client_)
    requests_with(key, at=NOW - 30 * DAY, count=3)
    requests_with(key, at=NOW - DAY, count=4, network="198.51.100.0/24")
    if is_rolled_up:
        usage.rollup()

    needs = needs_of(key)

    assert (needs.verdict, needs.unused, needs.kept, needs.requests) == ("known", ("todo:write",), ("todo:read",), 7)
    assert [(need.name, need.requests, need.last_needed_at) for need in needs.needs] == [
        ("todo:read", 7, NOW - DAY),
        ("todo:write", 0, None),
    ]


@pytest.mark.parametrize(
    ("days_ago", "is_unused"),
    [
        pytest.param(90, False, id="on the first day that counts"),
        pytest.param(91, True, id="the day before"),
    ],
)
def test_scope_counts_as_needed_for_so_many_days(client_, recorded, days_ago, is_unused):
    key = old_key(client_)
    requests_with(key, at=NOW - DAY)
    requests_with(key, at=NOW - days_ago * DAY, scopes="todo:write")

    assert ("todo:write" in needs_of(key).unused) is is_unused


def test_what_the_key_before_the_rotation_needed_counts_for_its_replacement(client_, recorded):
    old = old_key(client_)
    requests_with(old, at=NOW - 20 * DAY, scopes="todo:write")
    new = keys.rotate(old).key
    requests_with(new, at=NOW)

    needs = needs_of(new)

    assert (needs.verdict, needs.unused, needs.requests) == ("known", (), 2)


def test_time_in_which_keys_were_not_told_apart_proves_nothing(client_, recorded):
    key = old_key(client_)
    requests_with(key, at=NOW - DAY)
    UsageCount.objects.create(
        level=Level.REQUEST, grain=Grain.HOUR, bucket=NOW - 30 * DAY, outcome="ok", scopes="*", count=1, last_at=NOW
    )

    (needs,) = usage.unused_scopes([key])

    assert (needs.verdict, needs.unused) == ("too_young", ())


def test_after_a_time_in_which_keys_were_not_told_apart_the_next_day_counts(client_, recorded, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    # The day on which clocks are put back has 25 hours.
    day = datetime(2026, 10, 24, 22, tzinfo=UTC)
    UsageCount.objects.create(
        level=Level.REQUEST, grain=Grain.DAY, bucket=day, outcome="ok", scopes="*", count=1, last_at=day
    )

    assert needs_of(old_key(client_)).counted_from == datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_whether_keys_were_told_apart_is_found_without_reading_what_oauth_needed(client_, recorded):
    def row(number):
        at = NOW - number * timedelta(minutes=1)
        return UsageCount(
            level=Level.REQUEST, grain=Grain.RAW, bucket=at, client_id="TODO", outcome="ok", count=1, last_at=at
        )

    UsageCount.objects.bulk_create(map(row, range(3_000)))
    with CaptureQueriesContext(connection) as asked:
        needs_of(old_key(client_))
    [statement] = [query["sql"] for query in asked if "'*'" in query["sql"]]

    with connection.cursor() as cursor:
        if connection.vendor != "mysql":  # where that would commit what the test wrote
            cursor.execute("ANALYZE")
        cursor.execute(f"{EXPLAIN[connection.vendor]} {statement}")
        plan = str(cursor.fetchall())

    assert "apikeys_usage_client" in plan


@pytest.mark.parametrize(
    ("days_old", "verdict"), [pytest.param(89, "too_young", id="89 days"), pytest.param(91, "known", id="91 days")]
)
def test_key_that_is_too_young_is_not_judged(client_, recorded, days_old, verdict):
    key = old_key(client_, issued_at=NOW - days_old * DAY)
    requests_with(key, at=NOW)

    needs = needs_of(key)

    assert (needs.verdict, bool(needs.unused)) == (verdict, verdict == "known")


def test_nothing_is_judged_before_counting_reached_back_far_enough(client_):
    key = old_key(client_)
    requests_with(key, at=NOW - 30 * DAY)

    needs = needs_of(key)

    assert (needs.verdict, needs.unused) == ("too_young", ())
    assert needs.counted_from == (NOW - 30 * DAY).replace(minute=0)
    assert needs_of(key, days=20).verdict == "not_used"


def test_key_without_requests_is_to_be_revoked_not_narrowed(client_, recorded):
    key = old_key(client_)
    refusals_of(key, at=NOW)

    needs = needs_of(key)

    assert (needs.verdict, needs.unused, needs.requests) == ("not_used", (), 0)


@pytest.mark.parametrize("was_counted_once", [False, True])
def test_key_that_is_used_without_being_counted_is_not_judged(client_, recorded, was_counted_once):
    key = old_key(client_)
    if was_counted_once:
        requests_with(key, at=NOW - 50 * DAY)
    APIKey.objects.filter(pk=key.pk).update(last_used_at=NOW - DAY)

    needs = needs_of(key)

    assert (needs.verdict, needs.unused) == ("not_counted", ())


def test_request_whose_scopes_are_too_many_to_be_said_may_have_needed_any(client_, recorded):
    key = old_key(client_)
    requests_with(key, at=NOW, scopes=outcomes.SCOPES_UNSAID)

    assert needs_of(key).unused == ()


def test_plain_views_count_what_they_ask_for(client_):
    issued = make_key(client=client_, scopes=["todo:read", "todo:write"])
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {issued.plaintext}"}, secure=True)

    apikeys.verify(request).has_scopes("todo:read", "usage:read")

    assert call_of(request).scopes == {"todo:read"}


def test_ceiling_keeps_what_was_needed_and_what_working_keys_are_granted(client_, recorded):
    clients.set_ceiling(client_, scopes=["todo:read", "todo:write", "usage:read", "apikeys:usage"])
    gone = old_key(client_, name="Gone", scopes=["usage:read"])
    requests_with(gone, at=NOW - DAY, scopes="usage:read")
    keys.revoke(gone, reason="unneeded")

    (needs,) = usage.unused_ceilings([client_])

    assert (needs.verdict, needs.unused) == ("known", ("apikeys:usage",))


@BEFORE_AND_AFTER
def test_scopes_that_no_key_of_the_project_needed(client_, recorded, is_rolled_up):
    requests_with(old_key(client_), at=NOW - DAY, scopes="todo:write")
    if is_rolled_up:
        usage.rollup()

    assert usage.unneeded_scopes() == ["todo:read", "usage:read"]
    assert usage.unneeded_scopes(days=120) == []


def test_evidence_costs_the_same_queries_for_many_keys(client_, recorded, django_assert_num_queries):
    many = [old_key(client_, name=f"Key {number}") for number in range(5)]

    with django_assert_num_queries(6):
        list(usage.unused_scopes(many[:1]))
    with django_assert_num_queries(6):
        list(usage.unused_scopes(many))


@pytest.fixture
def three_keys(client_, recorded):
    """One to narrow, one that nobody uses, one that is too young; and the one that counting reaches back with."""
    wide, idle = old_key(client_, name="Wide"), old_key(client_, name="Idle")
    young = old_key(client_, name="Young", issued_at=NOW - DAY)
    APIKey.objects.filter(name="Other").update(scopes=["todo:read"])
    requests_with(APIKey.objects.get(name="Other"), at=NOW - DAY)
    for key in (wide, young):
        requests_with(key, at=NOW - DAY, count=3)
    return wide, idle, young


def scopes_of(key):
    return APIKey.objects.get(pk=key.pk).scopes


def test_command_lists_what_to_do_and_changes_nothing(three_keys):
    wide, idle, _young = three_keys

    result = run("unused_scopes")

    assert result.code == 0
    assert [(row["key_id"], row["advice"], row["unused"], row["kept"]) for row in result.rows] == [
        (wide.key_id, "narrow", "todo:write", "todo:read"),
        (idle.key_id, "revoke", "", "todo:read todo:write"),
    ]
    assert result.rows[0]["evidence"] == "todo:read=3@2026-11-21T12:30:00Z todo:write=0"
    assert "Of 4 working keys: 1 to narrow, 1 to revoke, 1 unclear." in result.err
    assert "Nothing was changed. Run with --narrow to take them away." in result.err
    assert scopes_of(wide) == ["todo:read", "todo:write"]
    assert not KeyEvent.objects.filter(kind="narrowed").exists()


def test_json_table_and_lines_say_the_same(three_keys):
    body = run("unused_scopes", "--json").json
    screen = run("unused_scopes", terminal=200)

    assert (body["command"], body["dry_run"]) == ("unused_scopes", True)
    assert body["counts"] == {
        "keys": 4, "to_narrow": 1, "to_revoke": 1, "can_not_tell": 1, "narrowed": 0, "failed": 0
    }  # fmt: skip
    assert [row["key_id"] for row in run("unused_scopes").rows] == [row["key_id"] for row in body["keys"]]
    for row in body["keys"]:
        assert row["key_id"] in screen.out
    assert "revoke it rather" in screen.out


def test_narrow_takes_the_unused_away_with_an_event_and_leaves_the_rest(three_keys):
    wide, idle, young = three_keys

    result = run("unused_scopes", "--narrow", "--no-input")

    assert (result.code, scopes_of(wide)) == (0, ["todo:read"])
    assert scopes_of(idle) == scopes_of(young) == ["todo:read", "todo:write"]
    event = KeyEvent.objects.get(kind="narrowed")
    assert (event.key, event.source, event.details) == (wide, "command", {"removed": ["todo:write"]})
    assert "Narrowed 1 key or client." in result.err


def test_second_run_has_nothing_to_narrow(three_keys):
    run("unused_scopes", "--narrow", "--no-input")

    assert run("unused_scopes", "--json").json["counts"]["to_narrow"] == 0


def test_key_that_needs_none_of_its_permissions_is_not_narrowed_to_nothing(client_, recorded):
    key = old_key(client_)
    requests_with(key, at=NOW - DAY, scopes="")

    result = run("unused_scopes", "--narrow", "--no-input", "--key", key.key_id)

    assert (result.code, result.rows[0]["advice"]) == (0, "revoke")
    assert scopes_of(key) == ["todo:read", "todo:write"]


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 1), ("n\n", 1, 2)], ids=["yes", "no"])
def test_narrow_asks_on_a_terminal(three_keys, answer, code, left):
    wide, *_others = three_keys

    result = run("unused_scopes", "--narrow", terminal=160, answer=answer)

    assert result.code == code
    assert "Take these permissions away from 1 key or client? [y/N]" in result.err
    assert wide.key_id in result.out
    assert len(scopes_of(wide)) == left


def test_narrow_into_a_pipe_needs_no_input(three_keys):
    result = run("unused_scopes", "--narrow")

    assert result.code == 2
    assert "Add --no-input" in result.err


def test_dry_run_wins_over_narrow(three_keys):
    result = run("unused_scopes", "--narrow", "--dry-run", "--json")

    assert (result.code, result.json["dry_run"]) == (0, True)
    assert scopes_of(three_keys[0]) == ["todo:read", "todo:write"]


def test_named_key_is_listed_whatever_is_known_of_it(three_keys):
    *_others, young = three_keys

    rows = run("unused_scopes", "--key", young.key_id).rows

    assert [(row["key_id"], row["advice"], row["unused"]) for row in rows] == [(young.key_id, "wait", "")]


def test_keys_of_another_client_can_be_left_out(three_keys):
    other = old_key(ClientFactory(name="Chat bot"), name="Bot")
    requests_with(other, at=NOW - DAY)

    rows = run("unused_scopes", "--client", "Chat bot").rows

    assert [row["key_id"] for row in rows] == [other.key_id]


def test_ceilings_are_lowered_after_the_keys(three_keys, client_):
    keys.revoke(three_keys[1], reason="unneeded")
    keys.revoke(three_keys[2], reason="unneeded")

    rows = run("unused_scopes", "--ceilings", "--narrow", "--no-input").rows

    assert [(row["key_id"], row["client"], row["unused"]) for row in rows][-1] == (
        "",
        "Web app",
        "todo:write usage:read",
    )
    assert Client.objects.get(pk=client_.pk).allowed_scopes == ["todo:read"]
    assert KeyEvent.objects.filter(kind="ceiling_set", source="command", client=client_).count() == 1


def test_ceilings_stay_where_they_are_not_asked_for(three_keys, client_):
    run("unused_scopes", "--narrow", "--no-input")

    assert Client.objects.get(pk=client_.pk).allowed_scopes == ["todo:read", "todo:write", "usage:read"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(["--days", "401"], "Usage is kept for 400 days.", id="longer than kept"),
        pytest.param(["--days", "0"], "not a whole number above zero", id="no days"),
        pytest.param(["--key", "a" * 12], "No key has the id", id="unknown key"),
        pytest.param(["--client", "Nobody"], "There is no client", id="unknown client"),
    ],
)
def test_wrong_use_changes_nothing_and_exits_with_2(three_keys, options, sentence):
    result = run("unused_scopes", "--narrow", "--no-input", *options)

    assert result.code == 2
    assert sentence in result.err
    assert scopes_of(three_keys[0]) == ["todo:read", "todo:write"]
