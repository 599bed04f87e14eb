from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from apikeys.models import APIKey, KeyEvent, KeyRevocation
from apikeys.testing import make_key
from tests.admin_pages import LIST, REVOKE_MANY, controls_in, page_of
from tests.factories import PersonFactory
from tests.many_keys import insert_keys
from tests.request_path import statements
from tests.revoking_many import choose, fields, messages_of, revoked, rows_of, send, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


@pytest.mark.parametrize("forged", ["999999", "x", "-1", "9" * 40, "1e3", "\u0661"])
def test_forged_ids_in_the_page_are_left_out_with_a_message(client, forged):
    page = choose(client, make_key(name="Real").key)
    form = fields(page, confirmation="REVOKE 1 KEY")

    done = send(client, {**form, "keys": f"{form['keys']} {forged}"})

    assert messages_of(done)[0] == "1 of the chosen ids belongs to no key and was left out."
    assert revoked() == {"Real"}


@pytest.mark.parametrize("forged", ["999999", "x", "9" * 40, "\0"])
def test_forged_ids_in_the_list_are_left_out_with_a_message(client, forged):
    page = choose(client, make_key(name="Real").key, forged)

    assert messages_of(page) == ["1 of the chosen ids belongs to no key and was left out."]
    assert rows_of(page) == ["Real"]


@pytest.mark.parametrize("sent", ["", "x", "999999", "\0"])
def test_page_without_any_key_leads_back_to_the_list(client, sent):
    response = send(client, {"keys": sent, "reason": "left", "note": "", "confirmation": "REVOKE 0 KEYS"})

    assert response.redirect_chain == [(LIST, 302)]
    assert messages_of(response)[-1] == "No key was chosen."


def test_address_without_a_client_leads_back_to_the_list(client):
    response = client.get(REVOKE_MANY, follow=True)

    assert response.redirect_chain == [(LIST, 302)]
    assert messages_of(response) == ["Choose keys in the list, and then the action “Revoke…”."]


@pytest.mark.parametrize("method", ["get", "post"])
def test_page_needs_the_right_to_revoke(client, method):
    key = make_key().key
    form = fields(choose(client, key), confirmation="REVOKE 1 KEY")
    client.force_login(PersonFactory(rights=["view_apikey", "change_apikey", "rotate_apikey"]))

    response = getattr(client, method)(REVOKE_MANY, {**form, "client": key.client.pk})

    assert response.status_code == 403
    assert revoked() == set()


def test_right_to_revoke_is_enough_without_the_right_to_see_the_list(client):
    key = make_key(name="Real").key
    client.force_login(PersonFactory(rights=["revoke_apikey"]))

    page = client.get(REVOKE_MANY, {"client": key.client.pk})
    done = client.post(REVOKE_MANY, fields(page, confirmation="REVOKE 1 KEY"))

    assert page_of(key) not in page.content.decode()
    assert done["Location"] == "/admin/"
    assert revoked() == {"Real"}


@pytest.mark.parametrize(
    ("rights", "offered"),
    [
        pytest.param(["view_apikey", "revoke_apikey"], ["", "revoke_chosen"], id="with"),
        pytest.param(["view_apikey", "change_apikey"], None, id="without"),
    ],
)
def test_list_offers_to_revoke_only_with_the_right_and_never_to_delete(client, rights, offered):
    make_key()
    client.force_login(PersonFactory(rights=rights))

    response = client.get(LIST)

    form = response.context.get("action_form")
    assert (form and [value for value, label in form.fields["action"].choices]) == offered
    assert "delete" not in response.content.decode().lower()


def test_action_without_the_right_does_nothing(client):
    key = make_key().key
    client.force_login(PersonFactory(rights=["view_apikey"]))

    response = choose(client, key)

    assert controls_in(response, name="keys") == []
    assert revoked() == set()


def test_page_is_kept_out_of_caches_and_frames(client):
    page = choose(client, make_key().key)

    assert "no-store" in page["Cache-Control"]
    assert page["X-Frame-Options"] == "DENY"


def test_all_keys_that_a_search_finds_can_be_chosen_across_pages(client):
    insert_keys(60)
    make_key(name="Other")

    page = choose(client, APIKey.objects.first(), address=f"{LIST}?q=Key", select_across="1")

    assert text_of(page).count("never used") == 60
    assert "Revoke 60 keys?" in text_of(page)


@pytest.mark.parametrize(("count", "is_taken"), [(1000, True), (1001, False)])
def test_a_thousand_keys_are_the_most(client, count, is_taken):
    insert_keys(count)

    page = choose(client, APIKey.objects.first(), select_across="1")

    assert (f"Revoke {count} keys?" in text_of(page)) == is_taken
    refused = [] if is_taken else [TOO_MANY]
    assert messages_of(page) == refused


TOO_MANY = (
    "At most 1000 keys can be revoked at once. Nothing was revoked. Narrow the list with its filters, or disable the "
    "client, which stops all of its keys."
)


@pytest.mark.parametrize(("count", "is_taken"), [(1000, True), (1001, False)])
def test_a_thousand_keys_are_the_most_that_a_page_can_send(client, count, is_taken):
    made = insert_keys(count)
    ids = " ".join(str(key.pk) for key in made)

    done = send(
        client, {"keys": ids, "rotated": "", "reason": "left", "note": "", "confirmation": f"REVOKE {count} KEYS"}
    )

    assert KeyRevocation.objects.count() == (count if is_taken else 0)
    assert (messages_of(done) == [TOO_MANY]) != is_taken


def queries_of(client, count):
    made = insert_keys(count)
    with statements() as shown:
        page = choose(client, *made)
    with statements() as sent:
        send(client, fields(page))
    revoked_at_all = KeyRevocation.objects.count()
    for model in (KeyRevocation, KeyEvent, LogEntry, APIKey):
        model.objects.all().delete()
    assert revoked_at_all == count
    return len(shown), len(sent)


def test_forty_keys_cost_as_many_queries_as_two(client):
    # What a process reads once, such as the types of content.
    queries_of(client, 2)

    few, many = queries_of(client, 2), queries_of(client, 40)

    assert few == many
    assert few[0] <= 9
