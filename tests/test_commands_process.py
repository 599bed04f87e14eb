"""What a shell gets of a command: exit codes, pipes that close, progress."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading

import pytest
from django.core.management import call_command, execute_from_command_line
from django.core.management.base import OutputWrapper

from apikeys.management.interruption import Interruption
from apikeys.management.progress import Progress
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.factories import ClientFactory

SENTENCE = "rotated %(done)s of %(total)s, %(left)s s left"


def fail_on_the_second(issued):
    if APIKey.objects.filter(replaces__isnull=False).count() > 1:
        raise RuntimeError


@pytest.fixture
def two_keys():
    client = ClientFactory(name="Web app")
    return [make_key(client=client, owner=None).key.key_id for _ in range(2)]


def exit_code_of(*argv):
    try:
        execute_from_command_line(["manage.py", *argv])
    except SystemExit as error:
        return error.code
    return 0


EXIT_CODES = {
    "done": (0, ["list_keys"]),
    "nothing was due": (0, ["expire_keys"]),
    "failed": (1, ["revoke_key", "000000000000", "--reason", "leaked"]),
    "refused": (2, ["list_keys", "--client", "nobody"]),
    "unreadable": (2, ["list_keys", "--bogus"]),
    "some failed": (3, ["rotate_keys", "--client", "Web app", "--no-input", "--skip-checks"]),
    "due": (4, ["rotate_keys", "--client", "Web app", "--check", "--skip-checks"]),
}


@pytest.mark.django_db(transaction=True)  # a process ends by closing its connections
@pytest.mark.parametrize(("code", "argv"), EXIT_CODES.values(), ids=EXIT_CODES.keys())
def test_process_exits_with_its_code(two_keys, settings, capsys, code, argv):
    settings.APIKEYS = {**settings.APIKEYS, "SECRET_SINK": "tests.test_commands_process.fail_on_the_second"}

    assert exit_code_of(*argv) == code


@pytest.mark.parametrize(
    "argv", [["--bogus"], ["--status", "dead"], ["--limit", "0"]], ids=["unknown", "choice", "value"]
)
def test_unreadable_arguments_are_told_as_json(capsys, argv):
    with pytest.raises(SystemExit) as caught:
        execute_from_command_line(["manage.py", "list_keys", "--json", *argv])

    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "wrong_use"
    assert captured.err.startswith("usage: manage.py list_keys")


@pytest.mark.django_db(transaction=True)
def test_failed_system_check_is_told_as_json(settings, capsys):
    settings.APIKEYS = {**settings.APIKEYS, "MODE": "neither"}

    assert exit_code_of("rotate_keys", "--older-than", "1d", "--check", "--json") == 1

    assert json.loads(capsys.readouterr().out)["error"]["code"] == "system_check"


def test_fault_elsewhere_does_not_keep_a_leaked_key_alive(settings):
    settings.APIKEYS = {**settings.APIKEYS, "MODE": "neither"}

    assert exit_code_of("revoke_key", "not-an-id", "--reason", "leaked") == 2


@pytest.mark.django_db
def test_reader_that_goes_away_ends_the_list_quietly(two_keys, monkeypatch):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)

        with pytest.raises(SystemExit) as caught:
            call_command("list_keys")

    assert caught.value.code == 1


@pytest.mark.django_db
def test_name_outside_of_the_encoding_stops_nothing():
    make_key(name="Überträger…")
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    call_command("list_keys", stdout=stdout)

    stdout.seek(0)
    assert "?bertr?ger?" in stdout.read()


class Screen(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def progress_on(stream):
    clock = Clock()
    return Progress(OutputWrapper(stream), sentence=SENTENCE, total=5000, clock=clock), clock


def test_terminal_is_told_the_progress_after_two_seconds():
    screen = Screen()
    progress, clock = progress_on(screen)

    clock.now += 1.9
    progress.report(900)
    assert screen.getvalue() == ""
    clock.now += 2.1
    progress.report(1240)

    assert screen.getvalue() == "\r\x1b[Krotated 1,240 of 5,000, 12 s left"


def test_finished_progress_leaves_the_terminal_clean():
    screen = Screen()
    progress, clock = progress_on(screen)
    clock.now += 3
    progress.report(10)

    progress.clear()

    assert screen.getvalue().endswith("\r\x1b[K")


def test_log_is_told_the_progress_every_thirty_seconds():
    log = io.StringIO()
    progress, clock = progress_on(log)

    for second in range(1, 65):
        clock.now = 100.0 + second
        progress.report(second)

    assert log.getvalue().splitlines() == ["rotated 30 of 5,000, 4,970 s left", "rotated 60 of 5,000, 4,940 s left"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_first_request_to_stop_is_noted(number):
    with Interruption() as interruption:
        os.kill(os.getpid(), number)

        assert interruption.is_requested


def test_second_request_stops_at_once():
    with Interruption():
        os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signals_mean_what_they_did_before():
    before = signal.getsignal(signal.SIGTERM)

    with Interruption():
        pass

    assert signal.getsignal(signal.SIGTERM) == before


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert not interruption.is_requested


def test_thread_that_gets_no_signals_can_be_entered():
    entered = []

    def enter():
        with Interruption() as interruption:
            entered.append(interruption.is_requested)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(timeout=10)

    assert entered == [False]
