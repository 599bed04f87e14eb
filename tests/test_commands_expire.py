from __future__ import annotations

import io
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command

from apikeys import keys
from apikeys.management.commands import expire_keys
from apikeys.models import APIKey, KeyEvent, TagSecret
from apikeys.testing import ApiKeyClient, make_key
from tests.commands import run
from tests.factories import ClientFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 4, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def run_out(clock):
    """Three keys that ran out, the middle one by the end of its overlap, and one that works."""
    client = ClientFactory(name="Web app")
    first, second, third = (
        make_key(client=client, owner=None, name=name, lifetime=lifetime).key
        for name, lifetime in [
            ("First", timedelta(days=1)),
            ("Second", timedelta(days=30)),
            ("Third", timedelta(days=2)),
        ]
    )
    keys.rotate(second, overlap=timedelta(days=1))
    clock.shift(timedelta(days=2))
    return [first, second, third]


def events():
    return KeyEvent.objects.filter(kind="expired").order_by("pk")


def test_keys_that_ran_out_are_recorded_once(run_out):
    first = run("expire_keys", "--json").json
    second = run("expire_keys", "--json").json

    assert first["counts"] == {"due": 3, "expired": 3, "by_another_run": 0}
    assert second["counts"] == {"due": 0, "expired": 0, "by_another_run": 0}
    assert [event.key for event in events()] == run_out
    assert [event.details["ended"] for event in events()] == ["expiry", "overlap", "expiry"]
    assert {event.source for event in events()} == {"command"}


def test_no_key_is_deleted(run_out):
    before = set(APIKey.objects.values_list("key_id", flat=True))

    run("expire_keys")

    assert set(APIKey.objects.values_list("key_id", flat=True)) == before


def test_key_is_due_at_its_end_and_not_before(clock):
    make_key(lifetime=timedelta(days=1))

    clock.shift(timedelta(days=1, seconds=-1))
    assert run("expire_keys", "--json").json["counts"]["due"] == 0
    clock.shift(timedelta(seconds=1))
    assert run("expire_keys", "--json").json["counts"]["due"] == 1


def test_revoked_key_is_not_recorded_again(clock):
    key = make_key(lifetime=timedelta(days=1)).key
    keys.revoke(key, reason="leaked")
    clock.shift(timedelta(days=2))

    assert "Nothing was due." in run("expire_keys").err
    assert not events().exists()


@pytest.mark.parametrize(("options", "code"), [(("--dry-run",), 0), (("--check",), 4)], ids=["dry run", "check"])
def test_preview_changes_no_row(run_out, options, code):
    before = list(APIKey.objects.values())

    result = run("expire_keys", *options)

    assert result.code == code
    assert [row["name"] for row in result.rows] == ["First", "Second", "Third"]
    assert list(APIKey.objects.values()) == before
    assert not events().exists()


def test_check_exits_with_zero_where_nothing_is_due():
    make_key()

    assert run("expire_keys", "--check").code == 0


def test_limit_records_the_oldest(run_out):
    result = run("expire_keys", "--limit", "2")

    assert [row["name"] for row in result.rows] == ["First", "Second"]
    assert [event.key for event in events()] == run_out[:2]


class Interrupting(io.StringIO):
    """Somebody presses Ctrl+C as soon as the first key is listed."""

    def write(self, text):
        if "First" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def run_interrupted():
    err = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("expire_keys", stdout=Interrupting(), stderr=err)
    return caught.value.code, err.getvalue()


def test_interrupted_run_finishes_its_batch_and_says_how_to_go_on(run_out, monkeypatch):
    monkeypatch.setattr(expire_keys, "_BATCH", 2)

    code, err = run_interrupted()

    assert code == 130
    assert [event.key for event in events()] == run_out[:2]
    assert "Recorded that 2 keys ran out.\nInterrupted. Run the same command again to go on." in err


def test_run_that_is_through_when_somebody_interrupts_is_done(run_out):
    call_command("expire_keys", stdout=Interrupting(), stderr=io.StringIO())

    assert [event.key for event in events()] == run_out


def test_interrupted_run_is_resumed_by_the_same_command(run_out, monkeypatch):
    monkeypatch.setattr(expire_keys, "_BATCH", 2)
    run_interrupted()

    result = run("expire_keys", "--json")

    assert result.json["counts"] == {"due": 1, "expired": 1, "by_another_run": 0}
    assert [event.key for event in events()] == run_out


def test_terminal_shows_when_they_ended(run_out):
    result = run("expire_keys", terminal=160)

    assert "ENDED" in result.lines[0]
    assert "24 hours ago" in result.lines[1]
    assert "Recorded that 3 keys ran out." in result.err


def test_cron_hears_nothing_where_nothing_was_due(clock):
    result = run("expire_keys", "--verbosity", "0")

    assert (result.code, result.raw, result.err) == (0, "", "")


def test_cron_hears_of_each_key_that_ran_out(run_out):
    result = run("expire_keys", "--verbosity", "0")

    assert [row["name"] for row in result.rows] == ["First", "Second", "Third"]
    assert result.err == ""


def test_new_tag_secret_tags_new_keys_and_old_keys_work_on():
    old = make_key()

    result = run("rotate_tag_secret", "--json")

    new = make_key()
    assert result.json["counts"] == {"made": 1, "older": 1}
    assert TagSecret.objects.count() == 2
    assert {ApiKeyClient(key).get("/apikeys/whoami/").status_code for key in (old, new)} == {200}


def test_tag_secret_is_never_printed():
    make_key()

    result = run("rotate_tag_secret", "--json")

    for secret in TagSecret.objects.values_list("secret", flat=True):
        assert bytes(secret).hex() not in result.raw + result.err
    assert "New keys are tagged with a new secret from now on." in result.err


def test_dry_run_makes_no_tag_secret():
    result = run("rotate_tag_secret", "--dry-run", "--json")

    assert result.json["counts"] == {"made": 0, "older": 0}
    assert not TagSecret.objects.exists()
