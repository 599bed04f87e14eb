from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apikeys import clients, keys
from apikeys.management import output, selection
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.commands import run
from tests.factories import ClientFactory, UserFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 4, 6, tzinfo=UTC)
WIDE = 220


@pytest.fixture(autouse=True)
def _at_a_known_time(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def summariser():
    """One key with a long life and one that was used and ends soon."""
    client = ClientFactory(name="LLM Summariser")
    richard = UserFactory(username="richard")
    make_key(client=client, owner=richard, name="Nightly", scopes=["todo:read"])
    issued = make_key(client=client, owner=richard, name="Staging", lifetime=timedelta(days=4))
    keys.record_use(issued.key.pk, at=NOW - timedelta(minutes=12))
    return client


def names(result):
    return [row["name"] for row in result.rows]


def test_terminal_gets_an_aligned_table(summariser):
    result = run("list_keys", terminal=WIDE)

    heading, staging, nightly = result.lines
    assert heading.split() == [
        "KEY",
        "ID",
        "NAME",
        "STATUS",
        "CLIENT",
        "OWNER",
        "EXPIRES",
        "LAST",
        "USED",
        "PERMISSIONS",
    ]
    assert "◔ Expires soon" in staging
    assert "in 4 days" in staging
    assert "12 minutes ago" in staging
    assert "to-dos: read" in nightly
    assert {line.index("richard") for line in (staging, nightly)} == {heading.index("OWNER")}


def test_pipe_gets_tab_separated_lines_with_a_header(summariser):
    result = run("list_keys")

    staging, nightly = result.rows
    assert (staging["name"], staging["status"], staging["client"]) == ("Staging", "expiring", "LLM Summariser")
    assert staging["expires_at"] == "2026-11-26T04:06:00Z"
    assert staging["last_used_at"] == "2026-11-22T03:54:00Z"
    assert nightly["scopes"] == "todo:read"
    assert nightly["last_used_at"] == ""


def test_json_holds_the_data_of_the_tab_separated_lines(summariser):
    lines, answer = run("list_keys"), run("list_keys", "--json").json

    assert (answer["schema"], answer["command"], answer["counts"]) == (1, "list_keys", {"listed": 2})
    as_text = [
        {name: " ".join(value) if isinstance(value, list) else value or "" for name, value in key.items()}
        for key in answer["keys"]
    ]
    assert as_text == lines.rows


def test_table_shows_the_keys_of_the_json(summariser):
    table, answer = run("list_keys", terminal=WIDE), run("list_keys", "--json").json

    assert [line.split()[:2] for line in table.lines[1:]] == [[key["key_id"], key["name"]] for key in answer["keys"]]


def test_json_of_no_keys_is_an_empty_list(db):
    result = run("list_keys", "--json")

    assert result.json["keys"] == []


def test_high_limit_makes_json_lines(summariser):
    result = run("list_keys", "--json", "--limit", "10001")

    *lines, last = result.lines
    assert len(lines) == 2
    assert '"counts": {"listed": 2}' in last


def test_terminal_is_coloured(summariser):
    result = run("list_keys", terminal=WIDE)

    assert "\x1b[" in result.raw


def test_no_color_is_honoured(summariser, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    result = run("list_keys", terminal=WIDE)

    assert "\x1b[" not in result.raw


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["lines", "json"])
def test_pipe_has_no_colour(summariser, options):
    result = run("list_keys", *options)

    assert "\x1b[" not in result.raw + result.err


@pytest.mark.parametrize("width", [80, 60, 40])
def test_no_line_is_wider_than_the_terminal(width):
    client = ClientFactory(name="C" * 80)
    make_key(client=client, owner=UserFactory(username="u" * 80), name="幅" * 80)

    result = run("list_keys", terminal=width)

    widths = [sum(2 if letter == "幅" else 1 for letter in line) for line in result.lines]
    assert len(widths) == 2
    assert max(widths) <= width


def test_eighty_columns_leave_out_the_least_important_column(summariser):
    heading = run("list_keys", terminal=80).lines[0]

    assert "PERMISSIONS" not in heading
    assert all(word in heading for word in ("KEY ID", "NAME", "STATUS", "CLIENT", "OWNER"))


def test_columns_of_the_environment_win(summariser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")

    result = run("list_keys", terminal=WIDE)

    assert max(map(len, result.lines)) <= 60


def test_columns_are_as_wide_as_the_first_rows_need(summariser, monkeypatch):
    monkeypatch.setattr(output, "_ROWS_THAT_SET_WIDTHS", 1)
    keys.edit(APIKey.objects.get(name="Nightly"), name="Nightly export", note="")

    _heading, staging, nightly = run("list_keys", "--no-color", terminal=WIDE).lines

    assert "Nightly …" not in staging
    assert nightly.index("LLM") == staging.index("LLM")
    assert "Nightl…" in nightly


def test_key_id_is_whole_on_a_narrow_terminal(summariser):
    key_ids = set(APIKey.objects.values_list("key_id", flat=True))

    result = run("list_keys", terminal=40)

    assert {line.split()[0] for line in result.lines[1:]} == key_ids


@pytest.mark.parametrize(
    "username",
    ["a\tb", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\u2028b"],
    ids=["tab", "line", "escape", "bidi", "separator"],
)
@pytest.mark.parametrize("terminal", [None, WIDE], ids=["pipe", "terminal"])
def test_name_of_a_user_breaks_no_line(username, terminal):
    make_key(owner=UserFactory(username=username))

    result = run("list_keys", "--no-color", terminal=terminal)

    assert len(result.lines) == 2
    assert len({line.count("\t") for line in result.lines}) == 1
    assert not set(result.raw) & set("\x1b\u202e\u2028")


def test_client_is_found_by_id_and_by_name(summariser):
    make_key(name="Another's")

    by_name = run("list_keys", "--client", "LLM Summariser")
    by_id = run("list_keys", "--client", summariser.client_id)

    assert names(by_name) == names(by_id) == ["Staging", "Nightly"]


def test_name_of_a_client_is_compared_with_its_case(summariser):
    result = run("list_keys", "--client", "llm summariser")

    assert result.code == 2
    assert "There is no client with the id or name “llm summariser”." in result.err


def test_owner_limits_the_list(summariser):
    make_key(name="Another's", owner=UserFactory(username="dinesh"))

    assert names(run("list_keys", "--owner", "dinesh")) == ["Another's"]


def test_status_limits_the_list(summariser):
    assert names(run("list_keys", "--status", "expiring")) == ["Staging"]


def test_suspended_keys_are_found_by_status(summariser):
    clients.disable(summariser)

    assert names(run("list_keys", "--status", "suspended")) == ["Staging", "Nightly"]


@pytest.mark.parametrize(("within", "found"), [("4d", ["Staging"]), ("95h", [])], ids=["last instant", "too early"])
def test_expiring_within_limits_the_list(summariser, within, found):
    assert names(run("list_keys", "--expiring-within", within)) == found


def test_revoked_keys_do_not_expire_soon(summariser):
    keys.revoke(APIKey.objects.get(name="Staging"), reason="unneeded")

    assert names(run("list_keys", "--expiring-within", "30d")) == []


def test_limit_keeps_the_newest(summariser):
    assert names(run("list_keys", "--limit", "1")) == ["Staging"]


def test_rows_come_in_batches(monkeypatch):
    client, owner = ClientFactory(), UserFactory()
    for number in range(5):
        make_key(client=client, owner=owner, name=f"Key {number}")
    monkeypatch.setattr(selection, "_BATCH", 2)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        result = run("list_keys")

    assert names(result) == ["Key 4", "Key 3", "Key 2", "Key 1", "Key 0"]
    assert sum("LIMIT 2" in query["sql"] for query in queries) == 4


def test_list_is_printed_whatever_the_number_of_rows():
    client = ClientFactory()
    for number in range(12):
        make_key(client=client, owner=None, name=f"Key {number}")

    with CaptureQueriesContext(connection) as queries:
        result = run("list_keys")

    assert len(result.rows) == 12
    assert len(queries) <= 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [((), "No API keys yet."), (("--status", "revoked"), "No keys match.")],
    ids=["none at all", "none match"],
)
def test_empty_list_says_why(options, sentence):
    if options:
        make_key()

    result = run("list_keys", *options)

    assert result.code == 0
    assert sentence in result.err
