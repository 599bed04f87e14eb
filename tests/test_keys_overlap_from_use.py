from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import time_machine
from django.db.models.signals import post_save

from apikeys import conf, keys, signals, usage
from apikeys.core import errors
from apikeys.models import APIKey, KeyEvent
from apikeys.status import status_of
from apikeys.testing import ApiKeyClient, make_key
from tests import commands
from tests.admin_pages import keys_in, page_of, rotate_fields
from tests.factories import ClientFactory, PersonFactory
from tests.races import fresh, race

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def _signed_in(client, clock):
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))


def rotated(**fields):
    """Return a key that waits for the first use of its replacement, and that one."""
    old = make_key(**fields)
    return old, keys.rotate(old.key, overlap=keys.FROM_FIRST_USE)


def first_use(issued, *, at=NOW):
    """Tell, as a flush of usage does, that the key was used."""
    return keys.start_overlaps({issued.key.key_id: at})


def stops(issued):
    stored = fresh(issued.key)
    return (stored.overlap_ends_at, stored.overlap_from_use)


def starts(issued):
    return list(KeyEvent.objects.filter(key=issued.key, kind="overlap_started"))


def whoami(issued):
    return ApiKeyClient(issued).get("/apikeys/whoami/")


def test_until_the_first_use_the_longest_overlap_holds():
    old, _new = rotated()

    assert stops(old) == (NOW + timedelta(days=30), DAY)


def test_the_end_of_the_old_key_is_never_moved_later():
    old, new = rotated(lifetime=timedelta(hours=5))
    before = stops(old)

    first_use(new, at=NOW + timedelta(hours=1))

    assert before == (NOW + timedelta(hours=5), DAY)
    assert stops(old) == (NOW + timedelta(hours=5), None)


def test_the_cap_is_the_setting(settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_OVERLAP": timedelta(hours=2)}

    old, new = rotated()
    first_use(new)

    assert stops(old) == (NOW + timedelta(hours=2), None)


def test_the_overlap_lasts_24_hours_from_the_first_use():
    old, new = rotated()

    started = first_use(new, at=NOW + 3 * DAY)

    assert started == 1
    assert stops(old) == (NOW + 4 * DAY, None)


def test_the_old_key_works_until_then_and_the_new_one_on(clock):
    old, new = rotated()
    first_use(new, at=NOW)
    clock.move_to(NOW + DAY - timedelta(seconds=1))
    before = whoami(old).status_code
    clock.move_to(NOW + DAY)

    after = whoami(old)

    assert (before, after.status_code, after.json()["code"]) == (200, 401, "key_rotated")
    assert whoami(new).status_code == 200


def test_a_request_alone_changes_no_end():
    old, new = rotated()

    assert whoami(new).status_code == 200

    assert stops(old) == (NOW + timedelta(days=30), DAY)


def test_use_of_the_old_key_starts_nothing():
    old, _new = rotated()

    assert first_use(old) == 0
    assert stops(old) == (NOW + timedelta(days=30), DAY)


def test_use_of_other_keys_starts_nothing():
    old, _new = rotated()
    other = make_key()
    fixed = keys.rotate(other.key)

    assert first_use(fixed) == 0
    assert first_use(other) == 0
    assert stops(old)[1] == DAY


def test_use_of_a_later_replacement_counts_too():
    old, new = rotated()
    newer = keys.rotate(new.key, overlap=keys.FROM_FIRST_USE)

    started = first_use(newer, at=NOW + DAY)

    assert started == 2
    assert stops(old)[0] == stops(new)[0] == NOW + 2 * DAY


def test_use_of_the_key_between_starts_the_oldest_alone():
    old, new = rotated()
    keys.rotate(new.key, overlap=keys.FROM_FIRST_USE)

    assert first_use(new) == 1
    assert (stops(old)[1], stops(new)[1]) == (None, DAY)


def test_the_second_use_changes_nothing():
    old, new = rotated()
    first_use(new, at=NOW)

    again = first_use(new, at=NOW + DAY)

    assert again == 0
    assert stops(old) == (NOW + DAY, None)
    assert len(starts(old)) == 1


def test_the_start_is_on_record():
    old, new = rotated()

    first_use(new, at=NOW + DAY)

    (event,) = starts(old)
    assert event.source == "request"
    assert event.details == {
        "first_used_at": (NOW + DAY).isoformat(),
        "stops_at": (NOW + 2 * DAY).isoformat(),
    }


@pytest.mark.django_db(transaction=True)
def test_the_signal_follows_the_commit():
    old, new = rotated()
    heard = []

    def hear(sender, key, event, **kwargs):
        heard.append((key.pk, event.kind))

    signals.overlap_started.connect(hear)
    try:
        first_use(new)
    finally:
        signals.overlap_started.disconnect(hear)

    assert heard == [(old.key.pk, "overlap_started")]


def test_a_key_that_is_over_stays_over(clock):
    old, new = rotated()
    clock.move_to(NOW + timedelta(days=30))

    assert first_use(new, at=NOW + timedelta(days=30)) == 0
    assert not keys.start_overlap(old.key.pk, first_used_at=NOW)
    assert whoami(old).json()["code"] == "key_rotated"


def test_a_revoked_key_stays_as_it_is():
    old, new = rotated()
    keys.revoke(fresh(old.key), reason="leaked")

    assert first_use(new) == 0
    assert not keys.start_overlap(old.key.pk, first_used_at=NOW)
    assert starts(old) == []


@pytest.mark.django_db(transaction=True)
def test_two_processes_at_once_leave_one_event():
    for _ in range(6):
        old, new = rotated()

        results = race(*[partial(first_use, new)] * 3)

        assert sorted(results, key=str) == [0, 0, 1]
        assert len(starts(old)) == 1


def test_a_replacement_that_was_never_shown_leaves_nothing_behind():
    old, new = rotated()

    keys.withdraw_undelivered(new.key)

    assert stops(old) == (None, None)
    assert keys.rotate(fresh(old.key)).key.replaces_id == old.key.pk


def test_an_overlap_that_can_not_start_keeps_no_other_from_it():
    def fail(*, instance, **_what):
        if instance.pk == stuck.key.pk:
            raise RuntimeError

    (stuck, stuck_new), (other, other_new) = rotated(), rotated()
    for issued in (stuck_new, other_new):
        whoami(issued)
    post_save.connect(fail, sender=APIKey)
    try:
        usage.flush()
    finally:
        post_save.disconnect(fail, sender=APIKey)

    assert stops(stuck)[1] == DAY
    assert stops(other) == (NOW + DAY, None)
    usage.flush()
    assert stops(stuck) == (NOW + DAY, None)


def test_where_nothing_waits_it_costs_one_query(django_assert_num_queries):
    issued = make_key()

    with django_assert_num_queries(1):
        first_use(issued)
    with django_assert_num_queries(0):
        keys.start_overlaps({})


def test_status_says_that_it_waits():
    old, new = rotated()

    waiting = status_of(fresh(old.key), now=NOW)
    first_use(new, at=NOW)
    running = status_of(fresh(old.key), now=NOW)

    assert (waiting.code, waiting.detail) == ("rotating", "stops 24 hours after the new key is first used")
    assert (running.code, running.detail) == ("rotating", "stops in 24 hours")


def test_a_rotated_key_is_refused_whichever_overlap_it_has():
    old, _new = rotated()

    with pytest.raises(errors.AlreadyRotatedError):
        keys.rotate(fresh(old.key), overlap=keys.FROM_FIRST_USE)


def test_the_command_rotates_with_an_overlap_from_the_first_use():
    key = make_key(client=ClientFactory()).key
    options = ("--key", key.key_id, "--overlap", "first-use", "--no-input", "--show-secrets", "--json")

    result = commands.run("rotate_keys", *options)

    (row,) = result.json["keys"]
    assert (result.code, row["overlap_from"]) == (0, "first_use")
    stored = fresh(key)
    assert (stored.overlap_ends_at, stored.overlap_from_use) == (NOW + conf.settings.MAX_OVERLAP, DAY)


def test_the_preview_of_the_command_says_that_it_is_the_latest_end():
    key = make_key().key

    result = commands.run("rotate_keys", "--key", key.key_id, "--overlap", "first-use", "--dry-run", terminal=200)

    assert "at the latest" in result.out
    assert APIKey.objects.count() == 1


def test_the_command_refuses_another_word():
    result = commands.run("rotate_keys", "--key", make_key().key.key_id, "--overlap", "second-use")

    assert result.code == 2


@pytest.mark.usefixtures("_signed_in")
def test_the_page_offers_the_overlap_with_its_latest_end(client):
    page = client.get(page_of(make_key().key, "rotate")).content.decode()

    assert (
        "until 24 hours after the new key is first used, never longer than 30 days (until 22 December 2026, 05:00 UTC)"
        in page
    )


@pytest.mark.usefixtures("_signed_in")
def test_the_page_offers_it_only_where_it_can_be_longer_than_24_hours(client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_OVERLAP": DAY}

    page = client.get(page_of(make_key().key, "rotate")).content.decode()

    assert "is first used" not in page


@pytest.mark.usefixtures("_signed_in")
def test_the_old_key_stops_24_hours_after_the_first_use_of_the_new_one(client, clock):
    old = make_key()
    page = client.post(page_of(old.key, "rotate"), rotate_fields(overlap="first-use"))
    (new,) = keys_in(page)
    clock.move_to(NOW + 5 * DAY)
    unused_so_long = whoami(old).status_code
    assert whoami(new).status_code == 200
    usage.flush()
    clock.move_to(NOW + 6 * DAY - timedelta(seconds=1))
    before = whoami(old).status_code
    clock.move_to(NOW + 6 * DAY)

    after = whoami(old)

    assert "works until 24 hours after this one is first used, at the latest until 22 December" in page.content.decode()
    assert (unused_so_long, before, after.status_code, after.json()["code"]) == (200, 200, 401, "key_rotated")
    assert whoami(new).status_code == 200


@pytest.mark.usefixtures("_signed_in")
def test_the_page_of_the_old_key_tells_what_it_waits_for(client):
    old, new = rotated()
    waiting = client.get(page_of(old.key)).content.decode()
    first_use(new, at=NOW)

    started = client.get(page_of(old.key)).content.decode()

    assert "stops 24 hours after the new key is first used" in waiting
    assert "this key stops after that one is first used, at the latest on 22 December 2026, 05:00 UTC." in waiting
    assert "The new key was first used on 22 November 2026, 05:00 UTC; this key stops on 23 November 2026" in started
