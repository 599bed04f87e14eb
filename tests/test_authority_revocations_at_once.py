"""What API servers are told of changes that commit late, or beside an exchange."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.utils import timezone

from apikeys import clients, keys
from apikeys.authority.models import OutstandingTokens
from apikeys.models import APIKey, KeyEvent
from apikeys.signed.revocations import Revocations

from .exchanges import entries, exchange, make_holder, make_signing_key, poll, read
from .factories import UserFactory
from .introspection import make_server
from .races import fresh
from .threads import at_once

# Rows are locked: SQLite locks the whole file, so that nothing meets.
pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OVERLAP = timedelta(minutes=5)
#: Enough that both orders are seen.
ROUNDS = 8


@pytest.fixture(autouse=True)
def _signing_key(transactional_db):
    make_signing_key()


@contextmanager
def revoking(key):
    """Revoke *key* in a transaction that commits when the block ends."""
    written, over = threading.Event(), threading.Event()

    def revoke():
        try:
            with transaction.atomic():
                keys.revoke(fresh(key), reason="leaked")
                written.set()
                assert over.wait(timeout=30)
        finally:
            connections.close_all()

    thread = threading.Thread(target=revoke)
    thread.start()
    assert written.wait(timeout=30)
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=30)


@pytest.mark.parametrize(
    ("took", "is_told"),
    [
        pytest.param(OVERLAP - timedelta(seconds=1), True, id="within-the-overlap"),
        # The bound: such a transaction is longer than REVOCATIONS_OVERLAP may be set to.
        pytest.param(OVERLAP, False, id="longer"),
    ],
)
def test_revocation_that_commits_after_a_later_one_is_told_with_the_next_poll(took, is_told):
    server = make_server()
    with time_machine.travel(NOON, tick=False) as clock:
        slow, quick = make_holder(server), make_holder(server)
        for issued in (slow, quick):
            assert exchange(issued).status_code == 200
        with revoking(slow.key):
            keys.revoke(quick.key, reason="leaked")
            clock.move_to(NOON + took)
            before = poll(server)
        after = poll(server, since=before.next)

    assert entries(before) == [("key", quick.key.key_id, None)]
    slow_event, quick_event = (KeyEvent.objects.get(kind="revoked", key=issued.key).pk for issued in (slow, quick))
    assert slow_event < quick_event
    assert (("key", slow.key.key_id, None) in entries(after)) is is_told


def revoke(key):
    keys.revoke(fresh(key), reason="leaked")


def rotate_out(key):
    keys.rotate(fresh(key), overlap=timedelta(0))


def disable(key):
    clients.disable(fresh(key).client)


def take_from_server(key):
    clients.edit(fresh(key).client, audiences=[])


def deactivate_person(key):
    get_user_model().objects.filter(pk=key.owner_id).update(is_active=False)


def delete_person(key):
    fresh(key).owner.delete()


ENDS = [revoke, rotate_out, disable, take_from_server, deactivate_person, delete_person]


def token_of(response, server):
    return read(response, audience=server.resource) if response.status_code == 200 else None


def merge_poll(known, server):
    known.merge(poll(server, since=known.next))


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__.replace("_", "-"))
def test_token_that_was_given_beside_an_end_is_dead_with_the_next_list(end):
    server = make_server()
    for turn in range(ROUNDS):
        issued = make_holder(server, owner=UserFactory())
        known = Revocations()
        calls: list[Any] = [partial(exchange, issued), partial(end, issued.key)]
        polling = partial(merge_poll, known, server)

        response = at_once(*(calls if turn % 2 else reversed(calls)), polling)[0 if turn % 2 else 1]

        merge_poll(known, server)
        token = token_of(response, server)
        assert token is None or known.refuses(token, now=timezone.now())


def narrow(key):
    keys.narrow(fresh(key), scopes=["todo:read"])


def lower_ceiling(key):
    clients.set_ceiling(fresh(key).client, scopes=["todo:read"])


@pytest.mark.parametrize("lose", [narrow, lower_ceiling], ids=["narrow", "lower-ceiling"])
def test_token_that_was_given_beside_a_narrowing_is_narrow_with_the_next_list(lose):
    server = make_server()
    for turn in range(ROUNDS):
        issued = make_holder(server)
        known = Revocations()
        calls: list[Any] = [partial(exchange, issued, scope="todo:read todo:write"), partial(lose, issued.key)]

        response = at_once(*(calls if turn % 2 else reversed(calls)))[0 if turn % 2 else 1]

        known.merge(poll(server))
        token = token_of(response, server)
        assert token is None or known.scopes_of(token) == {"todo:read"}


def test_exchange_that_read_the_key_before_its_end_is_told_however_late_it_writes():
    server = make_server()
    issued = make_holder(server)
    known = Revocations()
    # Whoever writes what is outstanding waits for who locks the key's row.
    with transaction.atomic():
        APIKey.objects.select_for_update().get(pk=issued.key.pk)
        keys.revoke(issued.key, reason="leaked")
        with answering(partial(exchange, issued)) as answers:
            pass_until_waiting()
            assert not OutstandingTokens.objects.exists()
    known.merge(poll(server))
    [response] = answers()

    known.merge(poll(server, since=known.next))
    assert known.refuses(token_of(response, server), now=timezone.now())


@contextmanager
def answering(call):
    """Start *call* in a thread; what is given returns, once it is over, what came of it."""
    results = []

    def run():
        try:
            results.append(call())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()

    def answers():
        thread.join(timeout=30)
        assert not thread.is_alive()
        return results

    yield answers


def pass_until_waiting():
    """Return once a process of the server waits for a lock."""
    deadline = timezone.now() + timedelta(seconds=20)
    watching = connections["default"].copy()
    try:
        with watching.cursor() as cursor:
            while timezone.now() < deadline:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if cursor.fetchone()[0]:
                    return
    finally:
        watching.close()
    raise AssertionError("Nobody waits.")


def test_exchanges_at_once_leave_one_row_that_reaches_far_enough():
    server = make_server()
    for _ in range(ROUNDS):
        issued = make_holder(server)

        responses = at_once(*[partial(exchange, issued)] * 4)

        ends = [read(response, audience=server.resource).expires_at for response in responses]
        row = OutstandingTokens.objects.get(pk=issued.key.pk)
        assert row.end_at.timestamp() >= max(ends)
