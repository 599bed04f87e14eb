from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from apikeys import keys
from apikeys.models import APIKey, KeyEvent, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.commands import keys_in, run

pytestmark = pytest.mark.django_db

WIDE = 200


def revoke(*options, reason="leaked", **where):
    return run("revoke_key", *options, "--reason", reason, **where)


def test_next_request_with_a_revoked_key_is_refused():
    issued = make_key()

    result = revoke(issued.key.key_id)

    assert result.code == 0
    assert f"“{issued.key.name}” ({issued.key.key_id}) is revoked. Requests with it now get 401." in result.err
    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 401


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        pytest.param({}, "", id="at once"),
        pytest.param({"MAX_STALENESS": timedelta(seconds=5)}, " Takes effect within 5 seconds everywhere", id="bound"),
        pytest.param({"READ_REPLICA": True}, " Keys are looked up in a replica of the database", id="replica"),
    ],
)
def test_command_says_how_soon_where_that_is_not_at_once(settings, changed, sentence):
    settings.APIKEYS = {**settings.APIKEYS, **changed}

    result = revoke(make_key().key.key_id)

    _, _, told = result.err.strip().partition("Requests with it now get 401.")
    assert told.startswith(sentence) if sentence else not told


def test_several_keys_are_revoked_with_reason_and_note():
    first, second = make_key().key, make_key().key

    result = revoke(first.key_id, second.key_id, "--note", "found in a paste", "--json")

    assert result.json["counts"] == {"revoked": 2, "already_revoked": 0, "failed": 0}
    rows = KeyRevocation.objects.values_list("reason", "note")
    assert list(rows) == [("leaked", "found in a paste")] * 2


def test_event_says_that_a_command_did_it():
    revoke(make_key().key.key_id)

    assert KeyEvent.objects.get(kind="revoked").source == "command"


def test_second_run_says_so_and_changes_nothing():
    key_id = make_key().key.key_id
    revoke(key_id)
    before = list(KeyRevocation.objects.values())

    result = revoke(key_id, reason="unneeded")

    assert result.code == 0
    assert f"{key_id}: Already revoked on " in result.err
    assert list(KeyRevocation.objects.values()) == before


def test_key_id_given_twice_is_revoked_once():
    key_id = make_key().key.key_id

    assert revoke(key_id, key_id, "--json").json["counts"] == {"revoked": 1, "already_revoked": 0, "failed": 0}


def test_replacement_of_a_rotated_key_works_on():
    issued = make_key()
    replacement = keys.rotate(issued.key)

    revoke(issued.key.key_id)

    assert ApiKeyClient(replacement).get("/apikeys/whoami/").status_code == 200


@pytest.mark.parametrize("with_a_known_one", [True, False], ids=["some", "all"])
def test_unknown_key_id_does_not_keep_the_others_alive(with_a_known_one):
    key_ids = [make_key().key.key_id] if with_a_known_one else []

    result = revoke("0" * 12, *key_ids, "--json")

    assert result.code == (3 if with_a_known_one else 1)
    assert result.json["error"]["code"] == "key_unknown"
    assert "No key has the id 000000000000." in result.err
    assert KeyRevocation.objects.count() == len(key_ids)


def test_key_id_is_compared_with_its_case():
    key = make_key().key

    result = revoke(key.key_id.swapcase())

    assert result.code == 1
    assert not KeyRevocation.objects.exists()


@pytest.mark.parametrize("cut", [None, -1, 40], ids=["whole", "cut short", "half"])
def test_key_on_the_command_line_is_refused_and_not_repeated(cut, caplog):
    caplog.set_level(logging.DEBUG)
    issued = make_key()

    result = revoke(issued.plaintext[:cut], "--json")

    assert (result.code, result.json["error"]["code"]) == (2, "key_on_command_line")
    assert "Never put a key on a command line" in result.err
    assert f"Its key id is {issued.key.key_id}." in result.err
    assert keys_in(result.raw, result.err, caplog.text) == []


def test_secret_alone_is_refused_and_not_repeated():
    secret = make_key().plaintext.split("_")[-1]

    result = revoke(secret)

    assert result.code == 2
    assert secret not in result.err


@pytest.mark.parametrize("text", ["ak_live_4Qm9Zt…", "short", "4Qm9ZtR1xVb!"], ids=["masked", "short", "letters"])
def test_what_is_no_key_id_is_wrong_use(text):
    result = revoke(text)

    assert result.code == 2
    assert f"“{text}” is not a key id" in result.err


@pytest.mark.parametrize("reason", ["undelivered", "because"])
def test_reason_that_people_can_not_give_is_wrong_use(reason):
    result = revoke(make_key().key.key_id, reason=reason)

    assert result.code == 2
    assert not KeyRevocation.objects.exists()


@pytest.mark.parametrize(
    ("note", "code"), [((), 2), (("--note", " "), 2), (("--note", "x"), 0)], ids=["none", "blank", "one"]
)
def test_other_reason_needs_a_note(note, code):
    result = revoke(make_key().key.key_id, *note, reason="other")

    assert result.code == code
    assert KeyRevocation.objects.exists() == (code == 0)


def test_dry_run_changes_no_row():
    key = make_key().key
    before = list(APIKey.objects.values()), list(KeyEvent.objects.values())

    result = revoke(key.key_id, "--dry-run")

    assert [row["key_id"] for row in result.rows] == [key.key_id]
    assert "Nothing was changed." in result.err
    assert (list(APIKey.objects.values()), list(KeyEvent.objects.values())) == before
    assert not KeyRevocation.objects.exists()


@pytest.mark.parametrize(("answer", "revoked"), [("y\n", 1), ("n\n", 0), ("", 0)], ids=["yes", "no", "nobody"])
def test_terminal_is_asked_after_it_saw_what_breaks(answer, revoked):
    key = make_key(name="Nightly").key

    result = revoke(key.key_id, terminal=WIDE, answer=answer or "\n")

    assert "Revoke 1 key? [y/N] " in result.err
    assert "never used" in result.lines[1]
    assert KeyRevocation.objects.count() == revoked


def test_terminal_is_not_asked_with_no_input():
    result = revoke(make_key().key.key_id, "--no-input", terminal=WIDE)

    assert "[y/N]" not in result.err
    assert KeyRevocation.objects.exists()
