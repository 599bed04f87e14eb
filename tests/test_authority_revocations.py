"""What API servers are told of tokens that must not count any longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from apikeys import clients, keys
from apikeys.keys import FROM_FIRST_USE
from apikeys.models import KeyEvent
from apikeys.signed.revocations import RevocationList

from .exchanges import LEEWAY, entries, exchange, make_holder, make_signing_key, poll, token_text, told_by
from .factories import UserFactory
from .introspection import ISSUER, make_server, revoke, set_apikeys, set_signing_key

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_SECONDS = 1795176000
LIFETIME = timedelta(minutes=10)
OVERLAP = timedelta(minutes=5)
WINDOW = LIFETIME + LEEWAY + OVERLAP
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def clock(db):
    with time_machine.travel(NOON, tick=False) as traveller:
        make_signing_key()
        yield traveller


@pytest.fixture
def server():
    return make_server()


@pytest.fixture
def issued(server):
    """A key that a token was given for."""
    key = make_holder(server)
    assert exchange(key).status_code == 200
    return key


def told(server, *, since=0):
    return entries(poll(server, since=since))


# What is true


def test_nothing_happened(server, issued):
    listed = poll(server)

    assert listed == RevocationList(
        issuer=ISSUER,
        audience=server.resource,
        issued_at=NOON_SECONDS,
        since=0,
        next=0,
        window_seconds=930,
        entries=(),
        owners=(),
        keys=(),
    )


def test_revoked_key_is_dead(server, issued):
    keys.revoke(issued.key, reason="leaked")

    [entry] = poll(server).entries

    assert (entry.kind, entry.subject, entry.value) == ("key", issued.key.key_id, None)
    assert (entry.sequence, entry.at) == (KeyEvent.objects.get(kind="revoked").pk, NOON_SECONDS)


def test_rotated_key_lives_until_its_overlap_ends(server, issued):
    keys.rotate(issued.key, overlap=timedelta(minutes=1))

    assert told(server) == [("key_until", issued.key.key_id, NOON_SECONDS + 60)]


def test_rotated_key_lives_no_longer_than_it_would_have(server):
    issued = make_holder(server, lifetime=timedelta(seconds=40))
    exchange(issued)
    keys.rotate(issued.key, overlap=timedelta(minutes=1))

    assert told(server) == [("key_until", issued.key.key_id, NOON_SECONDS + 40)]


def test_overlap_that_starts_moves_the_end(server, issued, clock):
    replacement = keys.rotate(issued.key, overlap=FROM_FIRST_USE)
    clock.shift(timedelta(minutes=1))
    keys.start_overlaps({replacement.key.key_id: NOON + timedelta(minutes=1)})

    issued.key.refresh_from_db()
    assert told(server) == [("key_until", issued.key.key_id, int(issued.key.overlap_ends_at.timestamp()))]


def test_key_whose_replacement_nobody_saw_has_its_end_back(server, issued):
    replacement = keys.rotate(issued.key, overlap=timedelta(0)).key
    keys.withdraw_undelivered(replacement)

    issued.key.refresh_from_db()
    assert told(server) == [("key_until", issued.key.key_id, int(issued.key.expires_at.timestamp()))]


def test_key_without_an_end_is_told_to_have_none(server, settings):
    settings.APIKEYS = {**settings.APIKEYS, "ALLOW_NO_EXPIRY": True}
    issued = make_holder(server, lifetime=None)
    exchange(issued)
    keys.withdraw_undelivered(keys.rotate(issued.key, overlap=timedelta(0)).key)

    assert told(server) == [("key_until", issued.key.key_id, None)]


def test_narrowed_key_has_the_scopes_that_it_has_now(server, issued):
    keys.narrow(issued.key, scopes=["todo:read"])

    assert told(server) == [("key_scopes", issued.key.key_id, ["todo:read"])]


def test_client_is_switched_off(server, issued):
    clients.disable(issued.key.client)

    assert told(server) == [("client", issued.key.client.client_id, False)]


def test_client_that_is_switched_on_again_is_told_once(server, issued):
    clients.disable(issued.key.client)
    clients.enable(issued.key.client)

    [entry] = poll(server).entries

    assert (entry.kind, entry.subject, entry.value) == ("client", issued.key.client.client_id, True)
    assert entry.sequence == KeyEvent.objects.get(kind="client_enabled").pk


def test_clients_ceiling_is_told_as_it_is_now(server, issued):
    clients.set_ceiling(issued.key.client, scopes=[])
    clients.set_ceiling(issued.key.client, scopes=["usage:read"])

    assert told(server) == [("client_scopes", issued.key.client.client_id, ["usage:read"])]


def test_token_that_was_given_up_is_dead(server, issued):
    response = exchange(issued)
    assert revoke(issued, token_text(response)).status_code == 200

    assert told(server) == [("token", told_by(response)["jti"], None)]


def test_token_that_was_given_up_is_told_to_the_server_that_it_is_for(server):
    other = make_server()
    issued = make_holder(server, other)
    text = token_text(exchange(issued, audience=other.resource))

    revoke(issued, text)

    assert (len(told(server)), len(told(other))) == (0, 1)


@pytest.mark.parametrize("networks", [["10.0.0.0/8"], [], None], ids=["some", "nowhere", "anywhere"])
def test_clients_networks_are_told_as_they_are_now(server, issued, networks):
    client = issued.key.client
    clients.edit(client, allowed_networks=["192.0.2.0/24"])
    clients.edit(client, allowed_networks=networks)

    assert told(server) == [("client_networks", client.client_id, networks)]


def test_edits_of_what_tokens_do_not_say_are_not_told(server, issued):
    clients.edit(issued.key.client, name="Another name", contact="ops@example.com")
    keys.edit(issued.key, name="Another key", note="")

    assert told(server) == []


# People


def test_deactivated_person_is_named_for_as_long_as_it_is_so(server):
    person = UserFactory()
    exchange(make_holder(server, owner=person))
    assert poll(server).owners == ()

    person.is_active = False
    person.save()
    assert poll(server).owners == (f"user:{person.pk}",)
    assert poll(server, since=poll(server).next).owners == (f"user:{person.pk}",)

    person.is_active = True
    person.save()
    assert poll(server).owners == ()


def test_key_whose_person_is_gone_is_named(server):
    person = UserFactory()
    issued = make_holder(server, owner=person)
    exchange(issued)

    person.delete()

    listed = poll(server)
    assert (listed.owners, listed.keys) == ((), (issued.key.key_id,))


def test_service_key_has_no_person_to_lose(server):
    exchange(make_holder(server, owner=None))

    listed = poll(server)

    assert (listed.owners, listed.keys) == ((), ())


def test_person_without_tokens_is_named_to_nobody(server):
    person = UserFactory(is_active=True)
    make_holder(server, owner=person)
    person.is_active = False
    person.save()

    assert poll(server).owners == ()


@pytest.mark.parametrize(
    ("late_by", "is_named"), [(timedelta(0), False), (-SECOND, True)], ids=["at-the-end", "before"]
)
def test_person_is_named_until_the_last_token_ended_on_every_clock(server, clock, late_by, is_named):
    person = UserFactory()
    exchange(make_holder(server, owner=person))
    person.is_active = False
    person.save()

    # What is outstanding reaches a minute further than its token.
    clock.move_to(NOON + timedelta(minutes=1) + WINDOW + late_by)

    assert bool(poll(server).owners) is is_named


# Who is told


def test_server_is_told_of_its_own_clients_alone(server, issued):
    other = make_server()
    keys.revoke(issued.key, reason="leaked")
    clients.disable(issued.key.client)
    issued.key.owner.is_active = False
    issued.key.owner.save()

    listed = poll(other)

    assert (*listed.entries, *listed.owners, *listed.keys) == ()


def test_key_without_tokens_is_told_to_nobody(server):
    keys.revoke(make_holder(server).key, reason="leaked")

    assert told(server) == []


def test_client_that_is_taken_from_a_server_is_switched_off_for_it_alone(server):
    other = make_server()
    issued = make_holder(server, other)
    exchange(issued)
    clients.edit(issued.key.client, audiences=[other.resource])

    assert told(server) == [("client", issued.key.client.client_id, False)]
    assert told(other) == [("client", issued.key.client.client_id, True)]


def test_client_that_a_server_gets_back_counts_again(server, issued):
    clients.edit(issued.key.client, audiences=[])
    clients.edit(issued.key.client, audiences=[server.resource])

    assert told(server) == [("client", issued.key.client.client_id, True)]


def test_server_hears_what_happens_while_a_client_is_taken_from_it(server, issued, clock):
    clients.edit(issued.key.client, audiences=[])
    edited = KeyEvent.objects.get(kind="client_edited").pk
    clock.move_to(NOON + OVERLAP)
    since = poll(server).next
    keys.revoke(issued.key, reason="leaked")

    assert since == edited
    assert told(server, since=since) == [("key", issued.key.key_id, None)]


# For how long


@pytest.mark.parametrize(("late_by", "is_told"), [(timedelta(0), False), (-SECOND, True)], ids=["at-the-end", "before"])
def test_client_is_told_until_no_token_can_be_left(server, issued, clock, late_by, is_told):
    clients.disable(issued.key.client)

    clock.move_to(NOON + WINDOW + late_by)

    assert bool(told(server)) is is_told


@pytest.mark.parametrize("sign_with", [set_apikeys, set_signing_key], ids=["stored key", "given key"])
def test_lifetime_that_is_lowered_forgets_nothing_earlier(server, clock, settings, sign_with):
    sign_with(settings, SIGNED_TOKEN_LIFETIME=timedelta(hours=5))
    issued = make_holder(server)
    exchange(issued)
    clients.disable(issued.key.client)
    set_apikeys(settings, SIGNED_TOKEN_LIFETIME=timedelta(minutes=1))

    clock.move_to(NOON + timedelta(hours=5) + LEEWAY - SECOND)

    listed = poll(server)
    assert listed.entries
    assert listed.window_seconds == (timedelta(hours=5) + LEEWAY + OVERLAP).total_seconds()


def test_token_of_a_longer_life_counts_though_another_was_given_in_the_same_minute(server, issued, settings):
    set_apikeys(settings, SIGNED_TOKEN_LIFETIME=LIFETIME + timedelta(seconds=30))
    exchange(issued)
    set_apikeys(settings, SIGNED_TOKEN_LIFETIME=LIFETIME)

    assert poll(server).window_seconds == WINDOW.total_seconds() + 30


def test_lifetime_of_tokens_that_are_over_is_forgotten(server, issued, clock, settings):
    set_apikeys(settings, SIGNED_TOKEN_LIFETIME=timedelta(minutes=1))
    clock.move_to(NOON + timedelta(minutes=1) + WINDOW)
    exchange(issued)

    assert poll(server).window_seconds == (timedelta(minutes=1) + LEEWAY + OVERLAP).total_seconds()


# Since when


def test_what_is_settled_is_told_no_more(server, issued, clock):
    keys.revoke(issued.key, reason="leaked")
    clock.move_to(NOON + OVERLAP)
    first = poll(server)
    second = poll(server, since=first.next)

    assert first.next == KeyEvent.objects.get(kind="revoked").pk
    assert second.entries == ()
    assert second.next == first.next


def test_what_is_younger_than_the_overlap_is_told_again(server, issued, clock):
    keys.revoke(issued.key, reason="leaked")
    clock.move_to(NOON + OVERLAP - SECOND)

    first = poll(server)

    assert first.next == 0
    assert poll(server, since=first.next).entries == first.entries


def test_events_that_are_not_told_move_nothing(server, issued, clock):
    keys.edit(issued.key, name="Another", note="")
    clock.move_to(NOON + OVERLAP + SECOND)

    assert poll(server).next == 0


def test_events_of_other_clients_move_the_sequence(server, clock):
    other = make_holder()
    clients.disable(other.key.client)
    clock.move_to(NOON + OVERLAP)

    listed = poll(server)

    assert listed.entries == ()
    assert listed.next == KeyEvent.objects.get(kind="client_disabled").pk


def test_sequence_of_before_a_backup_was_restored_is_told_all(server, issued):
    keys.revoke(issued.key, reason="leaked")
    ahead = KeyEvent.objects.latest("pk").pk + 1000

    listed = poll(server, since=ahead)

    assert entries(listed) == [("key", issued.key.key_id, None)]
    # From here on by the sequences of this database; the event is too young to be past.
    assert (listed.since, listed.next) == (ahead, 0)


def test_newest_sequence_is_none_of_before_a_backup(server, issued, clock):
    keys.revoke(issued.key, reason="leaked")
    newest = KeyEvent.objects.latest("pk").pk

    assert told(server, since=newest) == []
