from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from apikeys import clients, counting, keys
from apikeys.logging import refusals
from apikeys.models import APIKey, EventKind, KeyEvent
from apikeys.testing import assert_not_stored, make_key

from .logs import JSONFormatter, written_by
from .request_path import code_of, whoami, with_right_tag

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch):
    monkeypatch.setattr(refusals, "tap", refusals.Tap())


@pytest.fixture
def auth(caplog):
    caplog.set_level(logging.INFO, logger="apikeys.auth")
    return lambda: [record for record in caplog.records if record.name == "apikeys.auth"]


@pytest.fixture
def audit(caplog):
    caplog.set_level(logging.INFO, logger="apikeys.audit")
    return lambda: [record for record in caplog.records if record.name == "apikeys.audit"]


def fields(record, *names):
    return {name: getattr(record, name) for name in names}


def test_a_refusal_says_why_which_key_and_from_where(auth):
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    whoami(issued, REMOTE_ADDR="192.0.2.7")

    [record] = auth()
    assert (record.getMessage(), record.levelname) == ("credential refused", "INFO")
    assert fields(record, "reason", "key_id", "family", "address") == {
        "reason": "key_revoked",
        "key_id": issued.key.key_id,
        "family": issued.key.family,
        "address": "192.0.2.7",
    }


def run_dry():
    """Leave no line for the next minute."""
    refusals.tap.lines = -60.0 * refusals.LINES_PER_SECOND


def forged():
    return make_key().plaintext[:-1] + "-"


def test_some_refusals_at_once_have_a_line_each(auth):
    text = forged()

    for _ in range(refusals.LINES_AT_ONCE):
        whoami(text)

    assert [record.getMessage() for record in auth()] == ["credential refused"] * refusals.LINES_AT_ONCE


def test_a_flood_of_refusals_is_a_sum_every_ten_seconds(auth):
    issued, text = make_key(), forged()
    keys.revoke(issued.key, reason="leaked")
    run_dry()

    for _ in range(7):
        whoami(text)
    whoami(issued)
    silent = auth()
    refusals.tap.left_out_since -= refusals.SUMMARY_SECONDS
    whoami(text)

    assert silent == []
    [summary] = auth()
    assert summary.getMessage() == "8 more refusals in 10 s"
    assert fields(summary, "reason", "left_out") == {
        "reason": "left_out",
        "left_out": {"key_malformed": 7, "key_revoked": 1},
    }


def test_lines_come_again_after_a_flood(auth):
    text = forged()
    run_dry()
    whoami(text)
    refusals.tap.filled_at -= 61

    for _ in range(5):
        whoami(text)

    assert [record.getMessage() for record in auth()] == ["credential refused"] * 5


def test_what_was_left_out_is_told_when_the_process_ends(auth):
    text = forged()
    run_dry()
    for _ in range(3):
        whoami(text)

    counting.shut_down()
    counting.shut_down()

    [summary] = auth()
    assert summary.left_out == {"key_malformed": 3}


def test_a_refusal_is_not_put_together_for_a_logger_that_is_off(caplog):
    caplog.set_level(logging.WARNING, logger="apikeys.auth")
    text = forged()
    run_dry()
    whoami(text)

    refusals.tell_rest()

    assert [record for record in caplog.records if record.name == "apikeys.auth"] == []


AUDITED = ("event", "key_id", "family", "client_id", "actor", "source", "address", "details")


@pytest.mark.django_db(transaction=True)
def test_each_change_is_one_line_after_its_commit(audit):
    richard = User.objects.create_superuser("richard")
    issued = make_key(name="Nightly export")

    keys.revoke(issued.key, reason="leaked", by=richard, source="admin")

    record = audit()[-1]
    key = issued.key
    assert record.levelname == "INFO"
    assert record.getMessage() == f"revoked key={key.key_id} client={key.client.client_id} by='richard' from=admin"
    assert fields(record, *AUDITED) == {
        "event": "revoked",
        "key_id": key.key_id,
        "family": key.family,
        "client_id": key.client.client_id,
        "actor": "richard",
        "source": "admin",
        "address": "",
        "details": KeyEvent.objects.get(kind=EventKind.REVOKED).details,
    }
    assert record.at == KeyEvent.objects.get(kind=EventKind.REVOKED).at.isoformat()


@pytest.mark.django_db(transaction=True)
def test_the_lines_are_the_events_in_their_order(audit):
    issued = make_key()
    replacement = keys.rotate(issued.key, overlap=timedelta(0))
    keys.revoke_many([issued.key, replacement.key], reason="leaked")
    clients.disable(issued.key.client)
    whoami(replacement)

    told = [(record.event, record.key_id, record.client_id) for record in audit()]

    events = KeyEvent.objects.order_by("pk").values_list("kind", "key__key_id", "client__client_id")
    assert told == [(kind, key_id or "", client_id) for kind, key_id, client_id in events]
    assert {kind for kind, *_ in told} >= {"issued", "rotated", "revoked", "client_disabled", "used_after_end"}


@pytest.mark.django_db(transaction=True)
def test_an_alarm_is_one_line_however_often_the_key_knocks(audit):
    issued = make_key()
    keys.revoke(issued.key, reason="leaked")

    for _ in range(3):
        assert code_of(whoami(issued, REMOTE_ADDR="192.0.2.7")) == "key_revoked"

    [alarm] = [record for record in audit() if record.event == "used_after_end"]
    assert alarm.address == "192.0.2.7"


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_told(audit):
    issued = make_key()
    before = len(audit())

    with transaction.atomic():
        keys.revoke(issued.key, reason="leaked")
        transaction.set_rollback(True)

    assert APIKey.objects.working().filter(pk=issued.key.pk).exists()
    assert len(audit()) == before


@pytest.mark.django_db(transaction=True)
def test_a_handler_that_fails_undoes_nothing():
    class Failing(logging.Handler):
        def emit(self, record):
            raise RuntimeError("the disk is full")

    issued = make_key()
    logger = logging.getLogger("apikeys.audit")
    handler = Failing()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        keys.revoke(issued.key, reason="leaked")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)

    assert code_of(whoami(issued)) == "key_revoked"


@pytest.mark.django_db(transaction=True)
def test_an_actor_can_not_write_a_line_of_its_own(audit):
    somebody = User.objects.create_superuser("eve\nrevoked key=000000000000")
    issued = make_key()

    keys.revoke(issued.key, reason="leaked", by=somebody)

    assert "\n" not in audit()[-1].getMessage()


@pytest.mark.django_db(transaction=True)
def test_no_line_of_the_app_holds_a_secret():
    with written_by("apikeys", formatter=JSONFormatter()) as stream:
        issued = make_key()
        replacement = keys.rotate(issued.key, overlap=timedelta(0))
        for text in (issued.plaintext, replacement.plaintext, replacement.plaintext[:-1] + "-"):
            whoami(text)
        whoami(with_right_tag(issued.key.key_id))
        keys.revoke(replacement.key, reason="leaked", note="seen in a paste")
        whoami(replacement, QUERY_STRING=f"key={replacement.plaintext}")

    assert stream.getvalue().count("\n") >= 8
    for each in (issued, replacement):
        assert_not_stored(each.plaintext, also={"log": stream.getvalue()})
