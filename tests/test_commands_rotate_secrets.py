from __future__ import annotations

import json
import logging
import stat

import pytest
import time_machine
from django.db import connection

from apikeys.models import APIKey, KeyRevocation
from apikeys.testing import ApiKeyClient
from tests.commands import keys_in
from tests.rotating import NOW, SINK, WIDE, make_web_app, replaced_names, rotate, rotate_unasked, with_sink

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    SINK.clear()
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def web_app():
    return make_web_app()


def test_pipe_without_no_input_is_refused(web_app, tmp_path):
    result = rotate("--client", "Web app", "--output", str(tmp_path / "new"))

    assert result.code == 2
    assert "Add --no-input to rotate without a question." in result.err
    assert replaced_names() == []


def test_pipe_without_a_place_for_secrets_is_refused(web_app):
    result = rotate("--client", "Web app", "--no-input")

    assert result.code == 2
    assert "Refusing to write secrets to a pipe" in result.err
    assert replaced_names() == []


def test_several_secrets_are_not_written_to_a_terminal(web_app):
    result = rotate("--client", "Web app", "--no-input", terminal=WIDE)

    assert result.code == 2
    assert "Several secrets need --output FILE" in result.err
    assert replaced_names() == []


def test_one_secret_stands_alone_on_the_last_line_of_a_terminal(web_app):
    key = APIKey.objects.get(name="Nightly")

    result = rotate("--key", key.key_id, "--no-input", terminal=WIDE)

    assert keys_in(result.lines[-1]) == [result.lines[-1]]
    assert ApiKeyClient(result.lines[-1]).get("/apikeys/whoami/").json()["name"] == "Nightly"
    assert keys_in(result.err, *result.lines[:-1]) == []


def test_file_holds_one_object_a_line_for_the_owner_of_the_file_alone(web_app, tmp_path):
    path = tmp_path / "new"

    result = rotate("--client", "Web app", "--output", str(path), "--no-input", "--json")

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [line["name"] for line in lines] == ["Nightly", "Staging", "Production"]
    assert [line["replaces"] for line in lines] == [key["key_id"] for key in result.json["keys"]]
    assert [line["key_id"] for line in lines] == [key["replacement"] for key in result.json["keys"]]
    assert {ApiKeyClient(line["plaintext"]).get("/apikeys/whoami/").status_code for line in lines} == {200}


def test_file_is_never_overwritten(web_app, tmp_path):
    path = tmp_path / "new"
    path.write_text("precious")

    result = rotate("--client", "Web app", "--output", str(path), "--no-input")

    assert (result.code, path.read_text()) == (2, "precious")
    assert replaced_names() == []


def test_sink_takes_every_secret(web_app):
    with with_sink():
        result = rotate("--client", "Web app", "--no-input", "--json")

    assert [issued.key.name for issued in SINK] == ["Nightly", "Staging", "Production"]
    assert "plaintext" not in result.json["keys"][0]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["lines", "json"])
def test_secrets_reach_stdout_when_asked(web_app, options):
    result = rotate("--client", "Web app", "--no-input", "--show-secrets", *options)

    rows = result.json["keys"] if options else result.rows
    assert keys_in(result.raw) == [row["plaintext"] for row in rows]
    assert len(rows) == 3


def test_several_secrets_reach_a_terminal_when_asked(web_app):
    result = rotate("--client", "Web app", "--no-input", "--show-secrets", terminal=WIDE)

    new = [line.split("\t") for line in result.lines[-3:]]
    assert [APIKey.objects.get(key_id=key_id).name for key_id, _ in new] == ["Nightly", "Staging", "Production"]
    assert len(keys_in(*(plaintext for _, plaintext in new))) == 3


@pytest.mark.parametrize("options", [(), ("--json",), ("--verbosity", "3")], ids=["lines", "json", "verbose"])
def test_no_secret_in_output_or_log_without_asking(web_app, caplog, tmp_path, options):
    caplog.set_level(logging.DEBUG)

    result = rotate("--client", "Web app", "--no-input", "--output", str(tmp_path / "new"), *options)

    assert result.code == 0
    assert keys_in(result.raw, result.err, caplog.text) == []


def test_interrupted_run_finishes_its_key_and_is_resumed_by_the_same_command(web_app):
    with with_sink("interrupt"):
        result = rotate("--client", "Web app", "--no-input", "--json")

    assert (result.code, result.json["counts"]["rotated"], replaced_names()) == (130, 1, ["Nightly"])
    assert "Rotated 1 of 3 keys." in result.err
    assert "Run the same command again to go on" in result.err

    rotate_unasked("--client", "Web app")

    assert replaced_names() == ["Nightly", "Production", "Staging"]
    assert [issued.key.name for issued in SINK] == ["Nightly", "Staging", "Production"]


def test_secret_that_can_not_be_delivered_undoes_its_rotation_and_stops(web_app):
    with with_sink("fail_on_the_second"):
        result = rotate("--client", "Web app", "--no-input", "--json")

    assert (result.code, replaced_names()) == (3, ["Nightly"])
    assert result.json["counts"]["failed"] == 1
    assert result.json["error"]["code"] == "keys_failed"
    assert [row["error"] for row in result.json["keys"]] == [None, "secret_not_delivered"]
    assert f"{APIKey.objects.get(name='Staging', created_by=None, revocation=None).key_id}: SECRET_SINK" in result.err
    assert APIKey.objects.get(name="Staging", revocation=None).overlap_ends_at is None
    assert KeyRevocation.objects.get().reason == "undelivered"
    assert keys_in(result.raw, result.err) == []


def test_interruption_within_a_delivery_undoes_that_rotation(web_app):
    with with_sink("interrupt_twice"):
        result = rotate("--client", "Web app", "--no-input")

    assert (result.code, replaced_names()) == (130, [])
    assert KeyRevocation.objects.get().reason == "undelivered"


sqlite_alone = pytest.mark.skipif(connection.vendor != "sqlite", reason="breaks the database as SQLite lets one")


@sqlite_alone
def test_key_that_the_database_refuses_is_listed_and_the_others_are_rotated(web_app):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON apikeys_apikey WHEN NEW.name = 'Staging' "
            "BEGIN SELECT RAISE(ABORT, 'disk on fire'); END"
        )

    with with_sink():
        result = rotate("--client", "Web app", "--no-input", "--json")

    assert (result.code, replaced_names()) == (3, ["Nightly", "Production"])
    assert [row["error"] for row in result.json["keys"]] == [None, "database_error", None]
    assert f"{APIKey.objects.get(name='Staging').key_id}: disk on fire" in result.err


@sqlite_alone
def test_replacement_that_can_not_be_withdrawn_is_named(web_app):
    with with_sink("fail_and_break_the_database"):
        result = rotate("--client", "Web app", "--no-input")

    replacement = APIKey.objects.get(replaces__isnull=False)
    assert result.code == 1
    assert f"{replacement.key_id} was made, nobody has it, and it could not be withdrawn. Revoke it." in result.err
