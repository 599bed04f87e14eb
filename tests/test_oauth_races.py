from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection, connections, transaction
from oauth2_provider.models import get_device_grant_model, get_grant_model, get_refresh_token_model

from apikeys.models import ClientKind
from apikeys.oauth import applications, consents
from tests import oauth
from tests.threads import at_once

# Rows are locked: SQLite locks the whole file, and each writer waits for its turn anyway.
pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

#: Enough that some of them meet between a look and the write that follows it.
ROUNDS = 6


def outcome(response):
    return response.status_code, response.json().get("error", "")


def winners_and_losers(*calls):
    results = [outcome(response) for response in at_once(*calls)]
    return results.count((200, "")), results.count((400, "invalid_grant"))


def test_of_many_who_bring_one_code_one_gets_tokens_and_the_next_ends_them():
    app, person = oauth.make_app(), oauth.make_person()
    for _round in range(ROUNDS):
        code = oauth.get_code(app, person)

        won, lost = winners_and_losers(*[partial(oauth.exchange, app, code)] * 4)

        # The next may be so near that the first one is told, too.
        assert (won, lost) in {(1, 3), (0, 4)}
        assert oauth.issued() == (0, 0, 0)
    assert len(oauth.replays()) == 1


def test_of_many_who_bring_one_refresh_token_one_gets_tokens_and_nobody_empty_ones():
    app, person = oauth.make_app(), oauth.make_person()
    for _round in range(ROUNDS):
        token = oauth.get_token(app, person)["refresh_token"]

        responses = at_once(*[partial(oauth.refresh, app, token)] * 4)

        assert sorted(map(outcome, responses)) == [(200, "")] + [(400, "invalid_grant")] * 3
        assert all(response.json()["access_token"] for response in responses if response.status_code == 200)


def test_of_many_polls_of_one_device_one_gets_tokens():
    app, person = oauth.make_app(oauth.DEVICE_CODE, is_public=True), oauth.make_person()
    for _round in range(ROUNDS):
        started = oauth.start_device(app).json()
        oauth.approve_device(app, person, started)

        won, lost = winners_and_losers(*[partial(oauth.poll_device, app, started["device_code"])] * 4)

        assert (won, lost) == (1, 3)


def code_in_hand(app, person):
    return partial(oauth.exchange, app, oauth.get_code(app, person))


def refresh_token_in_hand(app, person):
    return partial(oauth.refresh, app, oauth.get_token(app, person)["refresh_token"])


def device_code_in_hand(app, person):
    started = oauth.start_device(app).json()
    oauth.approve_device(app, person, started)
    return partial(oauth.poll_device, app, started["device_code"])


def closing(call):
    try:
        return call()
    finally:
        connections.close_all()


def until_waiting(count):
    """Return when *count* server processes wait for a lock."""
    give_up_at = time.monotonic() + 20
    with connection.cursor() as cursor:
        while time.monotonic() < give_up_at:
            # In a transaction, PostgreSQL would say the same again and again.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0] >= count:
                return
    raise AssertionError("nobody waits")


@pytest.mark.parametrize(
    ("sign_in", "in_hand", "held"),
    [
        ("authorization-code", code_in_hand, get_grant_model()),
        ("authorization-code", refresh_token_in_hand, get_refresh_token_model()),
        (oauth.DEVICE_CODE, device_code_in_hand, get_device_grant_model()),
    ],
    ids=["code", "refresh token", "device code"],
)
def test_a_withdrawal_waits_for_tokens_that_are_being_made_and_ends_them(sign_in, in_hand, held):
    app, person = oauth.make_app(sign_in), oauth.make_person()
    ask = in_hand(app, person)

    with ThreadPoolExecutor() as pool, transaction.atomic():
        # Here what asks for tokens stops, having looked at the consent.
        list(held.objects.select_for_update())
        asked = pool.submit(closing, ask)
        until_waiting(1)
        withdrawn = pool.submit(closing, partial(consents.withdraw, person, app.client, by=person))
        until_waiting(2)

    # Tokens that were ended before they were told of are not told.
    assert outcome(asked.result()) in {(200, ""), (400, "invalid_grant")}
    assert withdrawn.result() is True
    assert oauth.issued() == (0, 0, 0)


@pytest.mark.parametrize(
    ("sign_in", "in_hand"),
    [
        ("authorization-code", code_in_hand),
        ("authorization-code", refresh_token_in_hand),
        (oauth.DEVICE_CODE, device_code_in_hand),
    ],
    ids=["code", "refresh token", "device code"],
)
def test_who_asks_while_a_consent_is_withdrawn_waits_and_gets_nothing(sign_in, in_hand):
    app, person = oauth.make_app(sign_in), oauth.make_person()
    ask = in_hand(app, person)

    with ThreadPoolExecutor() as pool, transaction.atomic():
        consents.withdraw(person, app.client, by=person)
        asked = pool.submit(closing, ask)
        until_waiting(1)

    assert outcome(asked.result()) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)


#: Each ends all tokens and codes of the app.
EDITS = {
    "another way to sign in": {"sign_in": "client-credentials", "redirect_uris": [], "skips_consent": False},
    "no secret any more": {"is_public": True},
    "people are asked from now on": {"skips_consent": False},
}


def of_the_site():
    return oauth.make_app(kind=ClientKind.FIRST_PARTY, skips_consent=True)


@pytest.mark.parametrize("fields", EDITS.values(), ids=EDITS)
def test_an_edit_waits_for_tokens_that_are_being_made_and_ends_them(fields):
    app, person = of_the_site(), oauth.make_person()
    ask = refresh_token_in_hand(app, person)

    with ThreadPoolExecutor() as pool, transaction.atomic():
        # Here what asks for tokens stops, having looked at how the app signs in.
        list(get_refresh_token_model().objects.select_for_update())
        asked = pool.submit(closing, ask)
        until_waiting(1)
        edited = pool.submit(closing, partial(applications.edit, app.link, **fields))
        until_waiting(2)

    assert outcome(asked.result()) in {(200, ""), (400, "invalid_grant")}
    assert edited.result()
    assert oauth.issued() == (0, 0, 0)


@pytest.mark.parametrize("fields", EDITS.values(), ids=EDITS)
def test_who_asks_while_the_sign_in_is_edited_waits_and_gets_nothing(fields):
    app, person = of_the_site(), oauth.make_person()
    ask = refresh_token_in_hand(app, person)

    with ThreadPoolExecutor() as pool, transaction.atomic():
        applications.edit(app.link, **fields)
        asked = pool.submit(closing, ask)
        until_waiting(1)

    assert outcome(asked.result())[0] in {400, 401}
    assert oauth.issued() == (0, 0, 0)


def test_a_client_that_asks_for_itself_while_its_sign_in_is_edited_waits_and_gets_nothing():
    app = oauth.make_app("client-credentials")

    with ThreadPoolExecutor() as pool, transaction.atomic():
        applications.edit(app.link, sign_in="authorization-code", redirect_uris=[oauth.CALLBACK])
        asked = pool.submit(closing, partial(oauth.client_credentials, app, scope="todo:read"))
        until_waiting(1)

    assert outcome(asked.result()) == (401, "invalid_client")
    assert oauth.issued() == (0, 0, 0)


def test_giving_up_a_token_that_is_being_refreshed_waits_for_no_one_for_ever():
    app, person = oauth.make_app(), oauth.make_person()
    for _round in range(ROUNDS):
        token = oauth.get_token(app, person)

        given_up, refreshed = at_once(
            partial(oauth.revoke, app, token["access_token"]), partial(oauth.refresh, app, token["refresh_token"])
        )

        assert given_up.status_code == 200
        assert outcome(refreshed) in {(200, ""), (400, "invalid_grant")}


def test_a_token_that_is_given_up_while_it_is_refreshed_leaves_none_behind():
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())["refresh_token"]

    with ThreadPoolExecutor() as pool, transaction.atomic():
        # Here the refresh stops, and nobody knows yet what will come of it.
        list(get_refresh_token_model().objects.select_for_update())
        refreshed = pool.submit(closing, partial(oauth.refresh, app, token))
        until_waiting(1)
        given_up = pool.submit(closing, partial(oauth.revoke, app, token))
        until_waiting(2)

    # Tokens that were ended before they were told of are not told.
    assert outcome(refreshed.result()) in {(200, ""), (400, "invalid_grant")}
    assert given_up.result().status_code == 200
    assert oauth.issued() == (0, 0, 0)


def test_a_spent_refresh_token_that_comes_while_the_next_is_refreshed_leaves_none_behind():
    app = oauth.make_app()
    spent = oauth.get_token(app, oauth.make_person())["refresh_token"]
    token = oauth.refresh(app, spent).json()["refresh_token"]

    with ThreadPoolExecutor() as pool, transaction.atomic():
        # Here the refresh stops, and nobody knows yet what will come of it.
        list(get_refresh_token_model().objects.select_for_update())
        refreshed = pool.submit(closing, partial(oauth.refresh, app, token))
        until_waiting(1)
        replayed = pool.submit(closing, partial(oauth.refresh, app, spent))
        until_waiting(2)

    assert outcome(refreshed.result()) in {(200, ""), (400, "invalid_grant")}
    assert outcome(replayed.result()) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)
    assert len(oauth.replays()) == 1


def test_a_spent_code_that_comes_while_its_token_is_refreshed_leaves_none_behind():
    app, person = oauth.make_app(), oauth.make_person()
    code = oauth.get_code(app, person)
    token = oauth.exchange(app, code).json()["refresh_token"]

    with ThreadPoolExecutor() as pool, transaction.atomic():
        list(get_refresh_token_model().objects.select_for_update())
        refreshed = pool.submit(closing, partial(oauth.refresh, app, token))
        until_waiting(1)
        replayed = pool.submit(closing, partial(oauth.exchange, app, code))
        until_waiting(2)

    assert outcome(refreshed.result()) in {(200, ""), (400, "invalid_grant")}
    assert outcome(replayed.result()) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)
    assert len(oauth.replays()) == 1
