from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.test import override_settings

from apikeys import clients, keys
from apikeys.conf import settings
from apikeys.models import APIKey, Client, KeyEvent
from apikeys.testing import ApiKeyClient, make_key
from tests.commands import keys_in
from tests.factories import UserFactory
from tests.rotating import NOW, SINK, WIDE, make_web_app, replaced_names, rotate, rotate_unasked

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    SINK.clear()
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def web_app():
    return make_web_app()


def cells(line):
    return re.split(r" {2,}", line)


def rows_of(model):
    return list(model.objects.order_by("pk").values())


def test_dry_run_on_a_terminal_shows_what_would_happen(web_app):
    result = rotate("--expiring-within", "14d", "--overlap", "24h", "--dry-run", terminal=WIDE)

    heading, nightly, staging = result.lines
    assert result.code == 0
    assert "Would rotate 2 of 3 working keys (expire within 14 days):" in result.err
    assert heading.split("  ")[0] == "KEY"
    assert heading.endswith("OLD KEY STOPS")
    masked = APIKey.objects.get(name="Nightly").masked
    assert cells(nightly) == [
        *(masked, "Nightly", "Web app", "richard"),
        *("in 4 days", "never used", "2026-11-23 04:06 UTC"),
    ]
    assert cells(staging)[-3:] == ["in 23 hours", "never used", "2026-11-23 03:08 UTC (its own expiry)"]
    assert result.err.endswith("Nothing was changed. Run without --dry-run to rotate.\n")


@pytest.mark.parametrize("mode", ["--dry-run", "--check"])
def test_preview_changes_no_row(web_app, mode):
    before = rows_of(APIKey), rows_of(KeyEvent)

    rotate("--client", "Web app", mode, "--no-input")

    assert (rows_of(APIKey), rows_of(KeyEvent)) == before


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["lines", "json"])
def test_preview_in_a_pipe_needs_no_place_for_secrets(web_app, options):
    result = rotate("--expiring-within", "14d", "--dry-run", *options)

    assert result.code == 0
    rows = result.json["keys"] if options else result.rows
    assert [row["name"] for row in rows] == ["Nightly", "Staging"]
    assert rows[0]["old_key_stops_at"] == "2026-11-23T04:06:00Z"


def test_tab_separated_lines_hold_the_data_of_the_json(web_app):
    options = ("--client", "Web app", "--dry-run")

    lines, answer = rotate(*options), rotate(*options, "--json").json

    assert [{name: value or "" for name, value in key.items()} for key in answer["keys"]] == lines.rows
    assert (answer["dry_run"], answer["counts"]["due"], answer["counts"]["working"]) == (True, 3, 3)


def test_yes_on_a_terminal_rotates(web_app, tmp_path):
    path = tmp_path / "new"

    result = rotate("--expiring-within", "14d", "--output", str(path), terminal=WIDE, answer="y\n")

    assert result.code == 0
    assert "Rotate 2 keys? [y/N] " in result.err
    assert "Rotated 2 of 2 keys." in result.err
    assert replaced_names() == ["Nightly", "Staging"]


@pytest.mark.parametrize("answer", ["n\n", "\n", "yesterday\n"], ids=["no", "enter", "else"])
def test_anything_but_yes_changes_nothing(web_app, tmp_path, answer):
    path = tmp_path / "new"

    result = rotate("--expiring-within", "14d", "--output", str(path), terminal=WIDE, answer=answer)

    assert result.code == 1
    assert replaced_names() == []
    assert not path.exists()


def test_old_key_works_until_the_overlap_ends(clock):
    issued = make_key()

    rotate_unasked("--key", issued.key.key_id, "--overlap", "2h")

    clock.shift(timedelta(hours=2, seconds=-1))
    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 200
    clock.shift(timedelta(seconds=1))
    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 401


def test_leaked_key_stops_at_once():
    issued = make_key()

    rotate_unasked("--key", issued.key.key_id, "--leaked")

    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 401
    assert ApiKeyClient(SINK[0]).get("/apikeys/whoami/").status_code == 200


SELECTIONS = {
    "client": (("--client", "Web app"), ["Nightly", "Production", "Staging"]),
    "owner": (("--owner", "richard"), ["Nightly", "Production", "Staging"]),
    "expiring": (("--expiring-within", "5d"), ["Nightly", "Staging"]),
    "expiring at the last instant": (("--expiring-within", "4d"), ["Nightly", "Staging"]),
    "old": (("--older-than", "30d"), ["Ancient"]),
    "not quite so old": (("--older-than", "40d"), []),
    "several": (("--client", "Web app", "--owner", "dinesh"), []),
    "limited": (("--client", "Web app", "--limit", "1"), ["Nightly"]),
}


@pytest.mark.parametrize(("options", "names"), SELECTIONS.values(), ids=SELECTIONS.keys())
def test_options_select_the_keys(web_app, clock, options, names):
    clock.shift(timedelta(days=-40))
    make_key(name="Ancient", owner=UserFactory(username="dinesh"))
    clock.shift(timedelta(days=40))

    rotate_unasked(*options)

    assert replaced_names() == names


def test_keys_without_use_are_left_alone(web_app):
    clients.disable(web_app)
    owner = UserFactory()
    revoked, _expired = make_key(owner=owner), make_key(owner=owner, lifetime=timedelta(seconds=1))
    keys.revoke(revoked.key, reason="unneeded")
    make_key(owner=UserFactory(username="absent"))
    get_user_model().objects.filter(username="absent").update(is_active=False)

    with time_machine.travel(NOW + timedelta(hours=1)):
        result = rotate_unasked("--expiring-within", "365d")

    assert replaced_names() == []
    assert "Nothing was due." in result.err


def test_key_of_the_other_mode_is_left_alone(web_app):
    with override_settings(APIKEYS={**settings.given(), "MODE": "test"}):
        rotate_unasked("--client", "Web app")

    assert replaced_names() == []


def test_second_run_finds_nothing_to_do(web_app):
    rotate_unasked("--client", "Web app")

    result = rotate_unasked("--client", "Web app")

    assert (result.code, APIKey.objects.count()) == (0, 6)
    assert "Nothing was due." in result.err


@pytest.mark.parametrize(
    ("overlap", "hours", "due"),
    [("1h", 23, 0), ("1h", 25, 1), ("72h", 25, 0), ("72h", 73, 1)],
    ids=["first day", "second day", "old key works", "old key stopped"],
)
def test_replacement_is_left_alone_while_it_settles(clock, overlap, hours, due):
    issued = make_key()
    rotate_unasked("--client", issued.key.client.name, "--overlap", overlap)
    clock.shift(timedelta(hours=hours))

    result = rotate("--client", issued.key.client.name, "--dry-run", "--json")

    assert result.json["counts"]["due"] == due


def test_replacement_can_be_named_at_once():
    rotate_unasked("--key", make_key().key.key_id)

    rotate_unasked("--key", SINK[0].key.key_id)

    assert APIKey.objects.count() == 3


def test_rotated_key_names_its_replacement_and_is_no_failure():
    key_id = make_key().key.key_id
    rotate_unasked("--key", key_id)

    result = rotate_unasked("--key", key_id)

    assert result.code == 0
    assert f"{key_id}: Its replacement is {SINK[0].key.masked}." in result.err
    assert APIKey.objects.count() == 2


def test_run_that_rotates_nothing_for_failures_exits_with_one():
    key = make_key().key
    keys.revoke(key, reason="leaked")

    result = rotate_unasked("--key", key.key_id)

    assert result.code == 1
    assert f"{key.key_id}: Revoked just now\n" in result.err


def test_key_that_can_not_be_rotated_is_told_with_its_state(clock):
    expired = make_key(lifetime=timedelta(days=1)).key
    suspended = make_key().key
    clients.disable(suspended.client)
    clock.shift(timedelta(days=4))

    result = rotate_unasked("--key", expired.key_id, "--key", suspended.key_id)

    assert f"{expired.key_id}: Expired 3 days ago\n" in result.err
    assert f"{suspended.key_id}: Suspended: client is disabled\n" in result.err


def test_run_that_rotates_some_exits_with_three(web_app):
    key = make_key().key
    keys.revoke(key, reason="leaked")

    result = rotate_unasked("--key", key.key_id, "--key", APIKey.objects.get(name="Nightly").key_id)

    assert (result.code, replaced_names()) == (3, ["Nightly"])


@pytest.mark.parametrize(("within", "code"), [("14d", 4), ("1h", 0)], ids=["due", "not due"])
def test_check_exits_with_four_where_keys_are_due(web_app, within, code):
    assert rotate("--expiring-within", within, "--check").code == code


def test_check_says_how_to_rotate(web_app):
    result = rotate("--expiring-within", "14d", "--check")

    assert result.err.endswith("Nothing was changed. Run without --check to rotate.\n")


def test_cron_hears_nothing_where_nothing_is_due(web_app):
    result = rotate_unasked("--expiring-within", "1h", "--verbosity", "0")

    assert (result.code, result.raw, result.err) == (0, "", "")


@pytest.mark.parametrize("terminal", [None, WIDE], ids=["pipe", "terminal"])
def test_names_in_sentences_break_no_line_and_move_no_cursor(terminal):
    owner = UserFactory(username="a\x1b[2J\nb\u202ec")
    issued = make_key(owner=owner)
    Client.objects.filter(pk=issued.key.client.pk).update(name="x\x1b[1A\x9b2Jy\rz")
    options = ("--client", "x\x1b[1A\x9b2Jy\rz", "--owner", owner.username, "--dry-run")

    result = rotate(*options, "--no-color", terminal=terminal)

    assert "of the client “x\ufffd[1A\ufffd2Jy z”, act for a\ufffd[2J b\ufffdc" in result.err
    assert not set(result.raw + result.err) & set("\x1b\x9b\r\u202e")
    assert len(result.lines) == 2


def test_names_in_errors_break_no_line_and_move_no_cursor():
    result = rotate("--client", "x\x1b[1A\ny", "--dry-run")

    assert (result.code, result.err) == (2, "CommandError: There is no client with the id or name “x\ufffd[1A y”.\n")


def test_nothing_due_exits_with_zero(web_app):
    result = rotate_unasked("--expiring-within", "1h", "--json")

    assert (result.code, result.json["keys"]) == (0, [])


WRONG_USE = {
    "no selection": ((), "selection_missing"),
    "leaked alone": (("--leaked",), "selection_missing"),
    "unknown key": (("--key", "0" * 12), "key_unknown"),
    "no key id": (("--key", "ak_live_4Qm9Zt…"), "key_id_refused"),
    "unknown client": (("--client", "x"), "client_unknown"),
    "unknown owner": (("--owner", "x"), "owner_unknown"),
    "leaked with an overlap": (("--client", "Web app", "--leaked", "--overlap", "1h"), "wrong_use"),
    "too long an overlap": (("--client", "Web app", "--overlap", "31d"), "overlap_refused"),
}


@pytest.mark.parametrize(("options", "code"), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_rotates_nothing(web_app, options, code):
    result = rotate(*options, "--no-input", "--show-secrets", "--json")

    assert (result.code, result.json["error"]["code"]) == (2, code)
    assert replaced_names() == []


@pytest.mark.parametrize(
    "options",
    [("--limit", "0"), ("--limit", "x"), ("--overlap", "1y"), ("--client", "Web app", "--bogus")],
    ids=" ".join,
)
def test_unreadable_options_are_wrong_use(web_app, options):
    assert rotate(*options, "--no-input", "--show-secrets").code == 2


def test_whole_key_is_refused_and_not_repeated():
    issued = make_key()

    result = rotate("--key", issued.plaintext, "--no-input", "--show-secrets", "--json")

    assert (result.code, result.json["error"]["code"]) == (2, "key_on_command_line")
    assert issued.key.key_id in result.err
    assert keys_in(result.raw, result.err) == []


def test_eighty_columns_drop_the_least_important_column(web_app):
    result = rotate("--client", "Web app", "--dry-run", terminal=80)

    assert max(map(len, result.lines)) <= 80
    assert "OLD KEY STOPS" in result.lines[0]
    assert "LAST USED" not in result.lines[0]


def test_question_comes_with_a_short_list(web_app, monkeypatch):
    monkeypatch.setattr("apikeys.management.commands.rotate_keys._ROWS_BEFORE_QUESTION", 2)

    result = rotate("--client", "Web app", "--show-secrets", terminal=WIDE, answer="n\n")

    assert len(result.lines) == 3
    assert "… and 1 more key." in result.err


def test_named_key_of_the_other_mode_is_a_failure():
    key_id = make_key().key.key_id

    with override_settings(APIKEYS={**settings.given(), "MODE": "test"}):
        result = rotate("--key", key_id, "--dry-run")

    assert result.code == 1
    assert f"{key_id}: It is a live key." in result.err
