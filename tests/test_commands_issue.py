from __future__ import annotations

import logging
import os
import signal
import stat
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import override_settings

from apikeys.conf import settings
from apikeys.models import APIKey, Client, KeyEvent, KeyRevocation
from apikeys.testing import ApiKeyClient
from tests.commands import issue, keys_in
from tests.factories import ClientFactory, UserFactory
from tests.test_middleware import RecordingHasher

pytestmark = pytest.mark.django_db

WIDE = 200
#: A site that does not include ``apikeys.urls``.
urlpatterns: list = []
SINK: list = []


def store(issued):
    SINK.append(issued)


def fail(issued):
    raise RuntimeError(f"no room for {issued.plaintext}")


def interrupt_twice(issued):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def with_sink(name):
    SINK.clear()
    return override_settings(APIKEYS={**settings.given(), "SECRET_SINK": f"tests.test_commands_issue.{name}"})


@pytest.fixture
def richard():
    return UserFactory(username="richard")


def test_key_stands_alone_on_the_last_line_of_stdout(richard):
    result = issue(terminal=WIDE)

    assert result.code == 0
    assert keys_in(result.lines[-1]) == [result.lines[-1]]


def test_issued_key_opens_the_api(richard):
    plaintext = issue("--show-secrets").out.strip()

    answer = ApiKeyClient(plaintext).get("/apikeys/whoami/").json()

    assert (answer["name"], answer["client"], answer["owner"]) == ("First", "Default", "richard")
    assert answer["scopes"] == ["todo:read"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("option", ["--show-secrets", "--dry-run"])
def test_key_is_hashed_before_anything_is_written(option):
    RecordingHasher.in_transaction.clear()

    with override_settings(APIKEYS={**settings.given(), "VERIFIERS": ["tests.test_middleware.RecordingHasher"]}):
        result = issue("--create-owner", option, owner="richard")

    assert result.code == 0
    assert RecordingHasher.in_transaction == [False]


def test_quickstart_makes_the_owner_and_the_client():
    result = issue("--create-owner", "--show-secrets", owner="admin", name="My first key")

    key = APIKey.objects.get()
    admin = get_user_model().objects.get(username="admin")
    assert (result.code, key.name, key.client.name, key.owner) == (0, "My first key", "Default", admin)
    assert not admin.has_usable_password()
    assert "Made the user “admin”" in result.err
    assert "Made the client “Default”, whose keys may hold: todo:read, todo:write, usage:read." in result.err


def test_default_client_may_hold_every_scope_declared_at_that_moment(richard):
    issue("--show-secrets")

    assert Client.objects.get().allowed_scopes == ["todo:read", "todo:write", "usage:read"]


def test_existing_owner_is_not_made_again(richard):
    result = issue("--create-owner", "--show-secrets")

    assert result.code == 0
    assert get_user_model().objects.count() == 1
    assert "Made the user" not in result.err


def test_only_client_is_taken(richard):
    client = ClientFactory()

    issue("--show-secrets")

    assert APIKey.objects.get().client == client


def test_several_clients_are_named(richard):
    first, second = ClientFactory(name="Watch"), ClientFactory(name="Web app")

    result = issue("--show-secrets")

    assert result.code == 2
    assert f"Watch ({first.client_id}), Web app ({second.client_id})" in result.err
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("by", ["name", "client_id"])
def test_client_can_be_chosen(richard, by):
    client, _other = ClientFactory(), ClientFactory()

    issue("--client", getattr(client, by), "--show-secrets")

    assert APIKey.objects.get().client == client


def test_service_key_acts_for_nobody():
    issue("--show-secrets", owner=None)

    assert not APIKey.objects.get().acts_for_user


def test_every_option_reaches_the_key(richard):
    more = ("--scope", "todo:write", "--lifetime", "30d", "--note", "for CI")
    issue(*more, "--network", "10.0.0.0/8", "--network", "2001:db8::1", "--show-secrets")

    key = APIKey.objects.get()
    assert key.scopes == ["todo:read", "todo:write"]
    assert key.expires_at == key.created_at + timedelta(days=30)
    assert key.allowed_networks == ["10.0.0.0/8", "2001:db8::1/128"]
    assert key.note == "for CI"


def test_endless_key_is_issued_where_the_site_allows_it(richard):
    with override_settings(APIKEYS={**settings.given(), "ALLOW_NO_EXPIRY": True}):
        result = issue("--lifetime", "never", "--show-secrets")

    assert result.code == 0
    assert APIKey.objects.get().expires_at is None


def test_event_says_that_a_command_did_it(richard):
    issue("--show-secrets")

    assert KeyEvent.objects.get(kind="issued").source == "command"


def test_terminal_is_told_which_line_is_the_key(richard):
    result = issue(terminal=WIDE)

    assert "The last line is the key. Copy it now: it can't be shown again." in result.err


def test_debug_shows_a_line_to_paste_on_a_terminal(richard, settings):
    settings.DEBUG = True

    result = issue(terminal=WIDE)

    ready, key = result.lines
    assert ready == f'curl -H "Authorization: Bearer {key}" http://127.0.0.1:8000/apikeys/whoami/'
    assert "$KEY" not in result.err


@pytest.mark.parametrize(
    ("terminal", "debug"), [(WIDE, False), (None, True), (None, False)], ids=["terminal", "pipe in debug", "pipe"]
)
def test_elsewhere_the_line_has_a_variable(richard, settings, terminal, debug):
    settings.DEBUG = debug

    result = issue("--url", "https://api.example.com/", *(() if terminal else ("--show-secrets",)), terminal=terminal)

    assert len(result.lines) == 1
    assert 'curl -H "Authorization: Bearer $KEY" https://api.example.com/apikeys/whoami/' in result.err


def test_line_to_try_the_key_is_left_out_where_the_site_has_no_such_page(richard, settings):
    settings.ROOT_URLCONF = "tests.test_commands_issue"

    result = issue("--show-secrets")

    assert result.code == 0
    assert "curl" not in result.err


def test_pipe_is_refused_and_nothing_is_issued(richard):
    result = issue()

    assert (result.code, result.out) == (2, "")
    assert (
        "Refusing to write secrets to a pipe, where they often end in a log. "
        "Use --output FILE, a SECRET_SINK, or --show-secrets."
    ) in result.err
    assert not APIKey.objects.exists()


def test_json_on_a_terminal_is_refused_without_a_place_for_the_key(richard):
    result = issue("--json", terminal=WIDE)

    assert result.code == 2
    assert result.json["error"]["code"] == "secrets_refused"
    assert not APIKey.objects.exists()


def test_json_holds_the_key_only_when_asked(richard):
    answer = issue("--json", "--show-secrets").json

    (key,) = answer["keys"]
    assert keys_in(key["plaintext"]) == [key["plaintext"]]
    assert key["key_id"] == APIKey.objects.get().key_id


def test_file_gets_the_key_and_nobody_else_may_read_it(richard, tmp_path):
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        result = issue("--output", str(path), "--json")
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ApiKeyClient(path.read_text().strip()).get("/apikeys/whoami/").status_code == 200
    assert keys_in(result.raw, result.err) == []
    assert str(path) in result.err


def test_file_is_never_overwritten(richard, tmp_path):
    path = tmp_path / "key"
    path.write_text("precious")

    result = issue("--output", str(path))

    assert result.code == 2
    assert f"{path} exists and is not overwritten." in result.err
    assert path.read_text() == "precious"
    assert not APIKey.objects.exists()


def test_link_is_not_followed(richard, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    result = issue("--output", str(tmp_path / "link"))

    assert result.code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_file_in_no_directory_is_refused(richard, tmp_path):
    result = issue("--output", str(tmp_path / "nowhere" / "key"))

    assert result.code == 2
    assert "can't be made" in result.err
    assert not APIKey.objects.exists()


def test_refused_key_leaves_no_file(richard, tmp_path):
    result = issue("--output", str(tmp_path / "key"), scope="todo:erase")

    assert result.code == 2
    assert not (tmp_path / "key").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_key_that_can_not_be_written_is_withdrawn(richard, monkeypatch):
    # O_EXCL refuses what exists, so the full disk is put behind the descriptor.
    opened = os.open
    monkeypatch.setattr(os, "open", lambda path, *args: opened("/dev/full", os.O_WRONLY))

    result = issue("--output", "anything")

    assert result.code == 1
    assert "No space left on device" in result.err
    assert KeyRevocation.objects.get().reason == "undelivered"


def test_sink_takes_the_key(richard):
    with with_sink("store"):
        result = issue("--json")

    (issued,) = SINK
    assert ApiKeyClient(issued.plaintext).get("/apikeys/whoami/").status_code == 200
    assert keys_in(result.raw, result.err) == []


def test_failing_sink_withdraws_the_key_and_its_words_are_kept_back(richard):
    with with_sink("fail"):
        result = issue("--json")

    assert result.code == 1
    assert result.json["error"] == {"code": "secret_not_delivered", "detail": "SECRET_SINK failed with RuntimeError."}
    assert keys_in(result.raw, result.err) == []
    assert KeyRevocation.objects.get().reason == "undelivered"


def test_missing_sink_is_wrong_use_and_nothing_is_issued(richard):
    with with_sink("nowhere"):
        result = issue("--json")

    assert (result.code, result.json["error"]["code"]) == (2, "sink_missing")
    assert not APIKey.objects.exists()


def test_interrupted_delivery_withdraws_the_key(richard):
    with with_sink("interrupt_twice"):
        result = issue()

    assert result.code == 130
    assert KeyRevocation.objects.get().reason == "undelivered"


@pytest.mark.parametrize(
    "options", [(), ("--json", "--show-secrets"), ("--show-secrets",)], ids=["tty", "json", "pipe"]
)
def test_no_secret_in_stderr_or_in_a_log(richard, caplog, options):
    caplog.set_level(logging.DEBUG)

    result = issue(*options, terminal=None if options else WIDE)

    assert result.code == 0
    # What the database driver logs under DEBUG holds the verifier, never the key.
    assert keys_in(result.err, caplog.text) == []


def test_dry_run_says_what_it_would_issue_and_make():
    options = ("--scope", "todo:write", "--lifetime", "5d", "--create-owner", "--dry-run")

    with time_machine.travel(datetime(2026, 11, 22, 4, 6, tzinfo=UTC), tick=False):
        result = issue(*options, owner="newcomer", name="Short")

    assert (result.code, result.raw) == (0, "")
    assert result.err.splitlines() == [
        "Would make the user “newcomer”, who has no password.",
        "Would make the client “Default”, whose keys may hold: todo:read, todo:write, usage:read.",
        (
            "Would issue “Short” for the client “Default”, owner: newcomer, scopes: todo:read, todo:write, "
            "expires: 2026-11-27 04:06 UTC."
        ),
        "Nothing was changed. Run without --dry-run to issue the key.",
    ]


def test_dry_run_of_a_service_key_with_an_existing_client_makes_nothing_else():
    ClientFactory(name="Metrics")

    result = issue("--dry-run", owner=None)

    assert result.err.startswith("Would issue “First” for the client “Metrics”, owner: nobody, scopes: todo:read, ")


@pytest.mark.parametrize("owner", ["newcomer", "richard"])
def test_dry_run_changes_no_row(richard, owner):
    tables = connection.introspection.table_names()

    def rows():
        with connection.cursor() as cursor:
            counts = {}
            for table in tables:
                cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
                counts[table] = cursor.fetchone()
            return counts

    before = rows()

    result = issue("--dry-run", "--create-owner", "--json", owner=owner)

    assert (result.code, result.json["dry_run"], result.json["counts"]) == (0, True, {"issued": 0})
    assert keys_in(result.raw) == []
    assert rows() == before
