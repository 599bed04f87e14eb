from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry

from apikeys import keys
from apikeys.models import KeyEvent, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.admin_pages import LIST, REVOKE_MANY, control_in, errors_in, page_of
from tests.factories import ClientFactory, PersonFactory
from tests.revoking_many import choose, fields, messages_of, revoked, rows_of, send, text_of, used

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def test_all_chosen_keys_are_refused_from_the_next_request_on(client):
    issued = [make_key(), make_key()]
    before = [ApiKeyClient(each).get("/apikeys/whoami/").status_code for each in issued]

    done = send(client, fields(choose(client, *(each.key for each in issued))))

    after = [ApiKeyClient(each).get("/apikeys/whoami/") for each in issued]
    assert (before, [answer.status_code for answer in after]) == ([200, 200], [401, 401])
    assert {answer.json()["code"] for answer in after} == {"key_revoked"}
    assert done.redirect_chain == [(LIST, 302)]
    assert messages_of(done) == ["2 keys are revoked. Requests with them now get 401."]


def test_keys_that_were_not_chosen_work_on(client):
    chosen, other = make_key().key, make_key()

    send(client, fields(choose(client, chosen), confirmation="REVOKE 1 KEY"))

    assert ApiKeyClient(other).get("/apikeys/whoami/").status_code == 200


def test_who_and_why_are_on_the_page_of_each_key(client, gilfoyle):
    chosen = [make_key().key, make_key().key]

    with time_machine.travel(NOW, tick=False):
        client.force_login(gilfoyle)
        send(client, fields(choose(client, *chosen), reason="other", note="Moved to a vault"))
        details = [text_of(client.get(page_of(key))) for key in chosen]

    for page in details:
        assert "Revoked by gilfoyle on 22 November 2026, 05:00 UTC. Other. Moved to a vault" in page
    assert {(event.actor, event.source) for event in KeyEvent.objects.filter(kind="revoked")} == {(gilfoyle, "admin")}
    assert {entry.object_id for entry in LogEntry.objects.all()} == {str(key.pk) for key in chosen}


def test_page_counts_the_keys_before_anything_happens(client):
    web, watch = ClientFactory(name="Web app"), ClientFactory(name="Watch")
    chosen = [make_key(client=web).key, make_key(client=web).key, make_key(client=watch).key, make_key().key]
    used(chosen[0], ago=timedelta(hours=23))
    used(chosen[1], ago=timedelta(hours=25))
    keys.revoke(chosen[3], reason="left")

    page = choose(client, *chosen)

    text = text_of(page)
    assert "Revoke 3 keys?" in text
    assert "Requests with these keys fail from now on, and this cannot be undone. Takes effect at once." in text
    assert "3 keys will be revoked. By client: Web app (2), Watch (1)." in text
    assert "1 of them was used in the last 24 hours." in text
    assert "1 more is revoked already and left out." in text
    assert control_in(page, type="submit", **{"class": "apikeys-danger"})["value"] == "Revoke 3 keys"
    assert revoked() == {chosen[3].name}


def test_many_clients_are_counted_instead_of_named(client):
    chosen = [make_key(client=ClientFactory(name=f"App {letter}")).key for letter in "abcdefg"]

    page = text_of(choose(client, *chosen))

    assert re.search(r"By client: (App [a-g] \(1\), ){5}2 other clients\.", page)


def test_keys_stand_in_the_order_of_their_last_use(client):
    chosen = [make_key(name=name).key for name in ("never", "long ago", "just now", "yesterday")]
    for key, ago in zip(chosen[1:], (timedelta(days=99), timedelta(0), timedelta(days=1)), strict=True):
        used(key, ago=ago)

    assert rows_of(choose(client, *chosen)) == ["just now", "yesterday", "long ago", "never"]


def test_replacements_that_are_not_chosen_are_told_of_and_work_on(client):
    old = make_key(name="Old").key
    replacement = keys.rotate(old)

    page = choose(client, old)
    send(client, fields(page, confirmation="REVOKE 1 KEY"))

    assert "1 replacement of these keys is not among them and works on." in text_of(page)
    assert revoked() == {"Old"}
    assert ApiKeyClient(replacement).get("/apikeys/whoami/").status_code == 200


def test_replacement_of_a_replacement_that_is_stopped_is_told_of(client):
    old = make_key(name="Old").key
    second = keys.rotate(old).key
    last = keys.rotate(second)
    keys.revoke(second, reason="unneeded")

    page = choose(client, old)

    assert "1 replacement of these keys is not among them and works on." in text_of(page)
    assert ApiKeyClient(last).get("/apikeys/whoami/").status_code == 200


def test_all_replacements_of_chosen_keys_are_counted_once_and_older_keys_never(client):
    first = make_key().key
    second = keys.rotate(first).key
    third = keys.rotate(second).key
    keys.rotate(third)

    assert "2 replacements of these keys are not among them" in text_of(choose(client, first, second))
    assert "1 replacement of these keys is not among them" in text_of(choose(client, second, third))


def test_nothing_is_said_of_replacements_that_are_chosen_too(client):
    old = make_key().key
    replacement = keys.rotate(old).key

    assert "works on" not in text_of(choose(client, old, replacement))


@pytest.mark.parametrize("reason", ["", "undelivered", "boredom"], ids=["none", "not-for-people", "unknown"])
def test_reason_is_required(client, reason):
    page = choose(client, make_key().key, make_key().key)

    refused = send(client, fields(page, reason=reason))

    assert errors_in(refused, "reason") != []
    assert "<title>Error: " in refused.content.decode()
    assert revoked() == set()


def test_other_reason_needs_a_note(client):
    page = choose(client, make_key().key, make_key().key)

    refused = send(client, fields(page, reason="other"))

    assert errors_in(refused, "note") == ["Say in a few words why."]
    assert revoked() == set()


@pytest.mark.parametrize("typed", ["", "REVOKE 3 KEYS", "revoke 2 keys", "REVOKE 2 KEY"])
def test_wrong_number_is_refused_and_the_right_one_told(client, typed):
    page = choose(client, make_key().key, make_key().key)

    refused = send(client, fields(page, confirmation=typed))

    assert "Type REVOKE 2 KEYS to confirm" in text_of(page)
    assert errors_in(refused, "confirmation") == ["This does not match. Type “REVOKE 2 KEYS”."]
    assert fields(refused)["keys"] == fields(page)["keys"]
    assert revoked() == set()


def test_one_key_is_confirmed_as_one(client):
    key = make_key(name="Only").key
    page = choose(client, key)

    done = send(client, fields(page, confirmation="REVOKE 1 KEY"))

    assert messages_of(done) == ["1 key is revoked. Requests with it now get 401."]


def test_pasted_key_is_refused_as_a_note_and_not_shown_again(client):
    issued = make_key()

    refused = send(client, fields(choose(client, issued.key), note=issued.plaintext, confirmation="REVOKE 1 KEY"))

    assert errors_in(refused, "note") == ["The note must not contain a key. Never paste it here."]
    assert issued.plaintext not in refused.content.decode()


def test_get_never_revokes(client):
    key = make_key().key
    page = choose(client, key)

    client.get(REVOKE_MANY, {**fields(page, confirmation="REVOKE 1 KEY"), "client": key.client.pk})
    client.get(REVOKE_MANY, fields(page, confirmation="REVOKE 1 KEY"))
    client.get(LIST, {"action": "revoke_chosen", "_selected_action": key.pk})

    assert revoked() == set()


def test_ids_are_in_no_address(client):
    page = choose(client, make_key().key, make_key().key)

    done = send(client, fields(page))

    assert (page.request["PATH_INFO"], page.request["QUERY_STRING"]) == (LIST, "")
    assert done.redirect_chain == [(LIST, 302)]


def test_second_submit_says_when_and_changes_nothing(client, gilfoyle):
    with time_machine.travel(NOW, tick=False):
        client.force_login(gilfoyle)
        form = fields(choose(client, make_key().key, make_key().key))
        send(client, form)

    again = send(client, {**form, "reason": "left"})

    assert again.status_code == 409
    assert "All 2 keys were revoked already, the last of them on 22 November 2026, 05:00 UTC." in text_of(again)
    assert set(KeyRevocation.objects.values_list("reason", flat=True)) == {"leaked"}
    assert KeyEvent.objects.filter(kind="revoked").count() == 2


def test_choosing_only_revoked_keys_says_when(client, gilfoyle):
    key = make_key().key
    with time_machine.travel(NOW, tick=False):
        keys.revoke(key, reason="left")

    response = choose(client, key)

    assert response.redirect_chain == [(LIST, 302)]
    assert messages_of(response) == ["1 key was revoked already, on 22 November 2026, 05:00 UTC."]


def test_keys_that_somebody_else_revoked_meanwhile_are_counted_apart(client):
    chosen = [make_key().key, make_key().key, make_key().key]
    page = choose(client, *chosen)
    keys.revoke(chosen[0], reason="left")

    done = send(client, fields(page))

    assert messages_of(done) == [
        "2 keys are revoked. Requests with them now get 401.",
        "1 key had been revoked meanwhile and stays as it was.",
    ]
    assert KeyRevocation.objects.get(key=chosen[0]).reason == "left"


def test_page_that_is_shown_again_counts_anew(client):
    chosen = [make_key().key, make_key().key, make_key().key]
    page = choose(client, *chosen)
    keys.revoke(chosen[0], reason="left")

    refused = send(client, fields(page, confirmation="no"))

    assert errors_in(refused, "confirmation") == ["This does not match. Type “REVOKE 2 KEYS”."]
    assert "1 more is revoked already and left out." in text_of(refused)


def test_rotation_after_the_page_was_opened_adds_the_replacement_before_anything_is_revoked(client):
    old, other = make_key(name="Old").key, make_key(name="Other").key
    page = choose(client, old, other)
    newer = keys.rotate(keys.rotate(old).key)

    refused = send(client, fields(page))
    nothing_revoked = revoked() == set()
    done = send(client, fields(refused))

    assert "2 keys were made after you opened this page, as replacements of some of these." in text_of(refused)
    assert control_in(refused, name="confirmation").get("value", "") == ""
    assert nothing_revoked
    assert ApiKeyClient(newer).get("/apikeys/whoami/").status_code == 401
    assert messages_of(done) == ["4 keys are revoked. Requests with them now get 401."]


def test_rotation_that_was_undone_by_revoking_the_replacement_is_no_reason_to_ask_again(client):
    old, other = make_key().key, make_key().key
    page = choose(client, old, other)
    keys.revoke(keys.rotate(old).key, reason="left")

    done = send(client, fields(page))

    assert messages_of(done) == ["2 keys are revoked. Requests with them now get 401."]
