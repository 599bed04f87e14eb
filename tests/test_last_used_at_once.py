from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apikeys import keys
from apikeys.models import LAST_USED_ACCURACY, APIKey
from apikeys.testing import make_key
from tests.row_changes import lock_waits, row_changes

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    # Two processes of xdist would start eight each.
    pytest.mark.xdist_group("eight processes"),
]

WHOAMI = "/apikeys/whoami/"


def last_used(key):
    return APIKey.objects.values_list("last_used_at", flat=True).get(pk=key.pk)


@contextmanager
def held_open(change):
    """Keep the transaction of *change* open while the block runs, and commit it after."""
    changed, over = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                change()
                changed.set()
                over.wait(timeout=60)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert changed.wait(timeout=10)
        yield
    finally:
        over.set()
        thread.join(timeout=10)


def test_first_use_by_eight_processes_at_once_is_one_update(eight_processes):
    issued = make_key()

    with row_changes() as changes, lock_waits() as seen:
        with eight_processes.hammering(WHOAMI, issued) as proof:
            proof.finish()
        made = changes.of(issued.key)

    assert [before for before, _ in made] == [None]
    assert (seen.samples > 0, seen.waiting) == (True, 0)


def test_minute_that_ends_for_eight_processes_at_once_is_one_update(eight_processes):
    issued = make_key()
    noted_at = timezone.now() - LAST_USED_ACCURACY + timedelta(seconds=1)
    keys.record_use(issued.key.pk, at=noted_at)

    with row_changes() as changes, lock_waits() as seen:
        with eight_processes.hammering(WHOAMI, issued) as proof:
            proof.finish(since=noted_at + LAST_USED_ACCURACY)
        made = changes.of(issued.key)

    assert [before for before, _ in made] == [noted_at]
    assert last_used(issued.key) - noted_at >= LAST_USED_ACCURACY
    assert (seen.samples > 0, seen.waiting) == (True, 0)


def test_open_revocation_holds_up_no_request_and_nothing_after_one(eight_processes):
    issued = make_key()
    noted_at = timezone.now() - LAST_USED_ACCURACY
    keys.record_use(issued.key.pk, at=noted_at)

    with held_open(lambda: keys.revoke(issued.key, reason="leaked")), lock_waits() as seen:
        with eight_processes.hammering(WHOAMI, issued) as proof:
            figures = proof.finish()
        noted_meanwhile = last_used(issued.key)

    assert set(figures.answers) == {"200"}
    assert (seen.samples > 0, seen.waiting) == (True, 0)
    assert noted_meanwhile == noted_at
