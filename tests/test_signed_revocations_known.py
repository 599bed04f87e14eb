"""What an API server makes of the lists that it was told: who is refused, and what is left to whom."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apikeys.core.errors import InvalidTokenError
from apikeys.signed.revocations import Revocations
from tests.revocation_lists import AT, TOKEN, WINDOW, entry, listed
from tests.token_cases import NOW


def merged(*lists):
    known = Revocations()
    for each in lists:
        known.merge(each)
    return known


def test_an_api_server_that_was_told_nothing_refuses_nothing():
    known = Revocations()

    assert not known.refuses(TOKEN, now=NOW)
    assert known.scopes_of(TOKEN) == {"widgets:read", "widgets:write"}
    assert (known.next, known.issued_at) == (0, None)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(listed(entry("key", "4Qm9ZtR1xVb7")), id="its key"),
        pytest.param(listed(entry("token", "01J")), id="itself"),
        pytest.param(listed(entry("client", "client-1", False)), id="its client"),
        pytest.param(listed(owners=["user:7"]), id="its person, disabled"),
        pytest.param(listed(gone=["4Qm9ZtR1xVb7"]), id="its person, gone"),
        pytest.param(listed(entry("key_until", "4Qm9ZtR1xVb7", AT)), id="its key, by now"),
    ],
)
def test_a_token_is_refused_once_the_list_says_so(told):
    known = merged(told)

    assert known.refuses(TOKEN, now=NOW)
    assert not known.refuses(
        replace(TOKEN, key_id="4Qm9ZtR1xVb8", jti="02J", client_id="client-2", subject="user:8"), now=NOW
    )


def test_a_list_speaks_of_each_kind_by_itself():
    known = merged(listed(entry("token", "4Qm9ZtR1xVb7"), entry("key", "01J"), entry("client", "user:7", False)))

    assert not known.refuses(TOKEN, now=NOW)


@pytest.mark.parametrize(
    ("seconds", "refused"), [pytest.param(59.9, False, id="before"), pytest.param(60, True, id="at its end")]
)
def test_a_rotated_key_counts_until_it_stops(seconds, refused):
    known = merged(listed(entry("key_until", "4Qm9ZtR1xVb7", AT + 60)))

    assert known.refuses(TOKEN, now=NOW + timedelta(seconds=seconds)) is refused


def test_a_key_whose_end_was_taken_back_counts_again():
    known = merged(
        listed(entry("key_until", "4Qm9ZtR1xVb7", AT, sequence=1), entry("key_until", "4Qm9ZtR1xVb7", sequence=2))
    )

    assert not known.refuses(TOKEN, now=NOW)


def test_a_client_that_was_enabled_again_counts_again():
    known = merged(
        listed(entry("client", "client-1", False, sequence=1), following=1),
        listed(entry("client", "client-1", True, sequence=2), since=1, following=2),
    )

    assert not known.refuses(TOKEN, now=NOW)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_highest_sequence_counts_in_whatever_order_entries_come(order):
    facts = {1: entry("client", "client-1", False, sequence=1), 2: entry("client", "client-1", True, sequence=2)}

    assert not merged(listed(*(facts[number] for number in order))).refuses(TOKEN, now=NOW)
    assert not merged(*(listed(facts[number]) for number in order)).refuses(TOKEN, now=NOW)


def test_a_later_list_counts_whatever_its_sequences():
    # A backup was restored, and the authority counts from there.
    known = merged(
        listed(entry("client", "client-1", True, sequence=1000), following=1000),
        listed(entry("client", "client-1", False, sequence=900), issued_at=AT + 1, since=1000, following=900),
    )

    assert known.refuses(TOKEN, now=NOW)
    assert known.next == 900


def test_of_two_entries_in_a_later_list_the_highest_sequence_counts():
    facts = [entry("client", "client-1", False, sequence=2), entry("client", "client-1", True, sequence=1)]

    assert merged(listed(), listed(*facts, issued_at=AT + 1)).refuses(TOKEN, now=NOW)


def test_an_entry_that_is_told_again_changes_nothing():
    told = listed(entry("client", "client-1", False, sequence=1))

    assert merged(told, told).refuses(TOKEN, now=NOW)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([("key_scopes", "4Qm9ZtR1xVb7", ["widgets:read"])], {"widgets:read"}, id="its key"),
        pytest.param([("client_scopes", "client-1", ["widgets:write"])], {"widgets:write"}, id="its client"),
        pytest.param(
            [("key_scopes", "4Qm9ZtR1xVb7", ["widgets:read"]), ("client_scopes", "client-1", ["widgets:write"])],
            set(),
            id="both",
        ),
        pytest.param([("key_scopes", "4Qm9ZtR1xVb7", [])], set(), id="to nothing"),
        pytest.param([("key_scopes", "4Qm9ZtR1xVb8", [])], {"widgets:read", "widgets:write"}, id="another key"),
        pytest.param(
            [("key_scopes", "4Qm9ZtR1xVb7", ["widgets:read", "widgets:admin"])], {"widgets:read"}, id="never wider"
        ),
    ],
)
def test_a_token_has_the_scopes_that_key_and_client_still_have(entries, expected):
    known = merged(listed(*(entry(*told) for told in entries)))

    assert known.scopes_of(TOKEN) == expected


def test_people_are_replaced_as_a_whole():
    known = merged(listed(owners=["user:7"], gone=["4Qm9ZtR1xVb7"]), listed(issued_at=AT + 1))

    assert not known.refuses(TOKEN, now=NOW)


@pytest.mark.parametrize(
    ("told", "older"),
    [
        pytest.param(listed(owners=["user:7"]), listed(), id="a person"),
        pytest.param(listed(gone=["4Qm9ZtR1xVb7"]), listed(), id="a person's key"),
        pytest.param(
            listed(entry("client", "client-1", False)),
            listed(entry("client", "client-1", True, sequence=2)),
            id="client",
        ),
        pytest.param(
            listed(entry("client", "client-1", False, sequence=2)),
            listed(entry("client", "client-1", True)),
            id="earlier",
        ),
        pytest.param(
            listed(entry("key_until", "4Qm9ZtR1xVb7", AT)),
            listed(entry("key_until", "4Qm9ZtR1xVb7", sequence=2)),
            id="a key without end",
        ),
        pytest.param(
            listed(entry("key_until", "4Qm9ZtR1xVb7", AT)),
            listed(entry("key_until", "4Qm9ZtR1xVb7", AT + 60, sequence=2)),
            id="a later end",
        ),
    ],
)
def test_an_older_list_gives_nothing_back(told, older):
    known = merged(replace(told, next=5), replace(older, issued_at=AT - 1, next=4))

    assert known.refuses(TOKEN, now=NOW)
    assert (known.next, known.issued_at) == (5, AT)


@pytest.mark.parametrize(
    "older",
    [
        pytest.param(listed(owners=["user:7"]), id="a person"),
        pytest.param(listed(gone=["4Qm9ZtR1xVb7"]), id="a person's key"),
        pytest.param(listed(entry("key", "4Qm9ZtR1xVb7")), id="a key"),
        pytest.param(listed(entry("token", "01J")), id="a token"),
        pytest.param(listed(entry("client", "client-1", False, sequence=2)), id="a client"),
        pytest.param(listed(entry("key_until", "4Qm9ZtR1xVb7", AT, sequence=2)), id="an earlier end"),
    ],
)
def test_an_older_list_takes(older):
    before = listed(entry("client", "client-1", True), entry("key_until", "4Qm9ZtR1xVb7", AT + 60), owners=["user:1"])
    known = merged(before, replace(older, issued_at=AT - 1))

    assert known.refuses(TOKEN, now=NOW)
    assert known.refuses(replace(TOKEN, subject="user:1"), now=NOW)


def test_an_older_list_repeats_in_vain_what_was_taken_back_since():
    known = merged(
        listed(entry("client", "client-1", True, sequence=2)),
        listed(entry("client", "client-1", False, sequence=1), issued_at=AT - 1),
    )

    assert not known.refuses(TOKEN, now=NOW)


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        pytest.param([], ["widgets:read"], {"widgets:read"}, id="of all"),
        pytest.param([["widgets:write"]], ["widgets:read", "widgets:write"], {"widgets:write"}, id="of some"),
        pytest.param([["widgets:write"]], ["widgets:read"], set(), id="of others"),
    ],
)
def test_an_older_list_leaves_no_scope_that_either_took(before, after, left):
    known = merged(
        listed(*(entry("key_scopes", "4Qm9ZtR1xVb7", value) for value in before)),
        listed(entry("key_scopes", "4Qm9ZtR1xVb7", after, sequence=2), issued_at=AT - 1),
    )

    assert known.scopes_of(TOKEN) == left


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        pytest.param(["192.0.2.0/24"], None, ((["192.0.2.0/24"]),), id="freed"),
        pytest.param(None, ["192.0.2.0/24"], ((["192.0.2.0/24"]),), id="bound"),
        pytest.param(["192.0.2.0/24"], ["198.51.100.0/24"], ([],), id="moved"),
    ],
)
def test_an_older_list_lets_a_client_come_from_nowhere_new(before, after, left):
    known = merged(
        listed(entry("client_networks", "client-1", before)),
        listed(entry("client_networks", "client-1", after, sequence=2), issued_at=AT - 1),
    )

    assert known.networks_of(TOKEN) == left


def test_a_newer_list_says_how_it_is_after_an_older_one():
    known = merged(
        listed(entry("client", "client-1", True, sequence=2), following=2),
        listed(
            entry("client", "client-1", False, sequence=3), since=2, following=3, issued_at=AT - 1, owners=["user:7"]
        ),
        listed(entry("client", "client-1", True, sequence=4), since=2, following=4),
    )

    assert not known.refuses(TOKEN, now=NOW)


def test_a_list_of_the_same_second_counts():
    known = merged(listed(), listed(owners=["user:7"]))

    assert known.refuses(TOKEN, now=NOW)


def test_a_list_that_leaves_a_gap_is_refused_and_changes_nothing():
    known = merged(listed(following=5))

    with pytest.raises(InvalidTokenError):
        known.merge(listed(owners=["user:7"], issued_at=AT + 9, since=6, following=9))

    assert not known.refuses(TOKEN, now=NOW)
    assert (known.next, known.issued_at) == (5, AT)


@pytest.mark.parametrize(
    ("seconds", "refused"), [pytest.param(WINDOW, True, id="at its end"), pytest.param(WINDOW + 1, False, id="past it")]
)
def test_an_entry_is_forgotten_after_the_window(seconds, refused):
    known = merged(listed(entry("key", "4Qm9ZtR1xVb7")), listed(issued_at=AT + seconds))

    assert known.refuses(TOKEN, now=NOW) is refused


def test_a_window_that_is_shortened_forgets_nothing_earlier():
    shorter = replace(listed(issued_at=AT + WINDOW), window_seconds=60)

    assert merged(listed(entry("key", "4Qm9ZtR1xVb7")), shorter).refuses(TOKEN, now=NOW)


def test_nothing_is_forgotten_while_the_authority_is_silent():
    known = merged(listed(entry("key", "4Qm9ZtR1xVb7")))

    assert known.refuses(TOKEN, now=datetime(2099, 1, 1, tzinfo=UTC))


def test_threads_that_merge_lose_nothing_of_each_other():
    known = Revocations()
    together = threading.Barrier(8)

    def merge(number):
        together.wait()
        for step in range(50):
            known.merge(listed(entry("key", f"{number}-{step}", sequence=number * 100 + step)))

    threads = [threading.Thread(target=merge, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    names = [f"{number}-{step}" for number in range(8) for step in range(50)]
    assert all(known.refuses(replace(TOKEN, key_id=name), now=NOW) for name in names)
