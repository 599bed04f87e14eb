from __future__ import annotations

from datetime import timedelta

import pytest

from apikeys import keys
from apikeys.admin.client_admin import ClientAdmin
from apikeys.admin.key_admin import APIKeyAdmin
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, LIST, REVOKE_MANY, control_in, page_of
from tests.factories import ClientFactory, PersonFactory
from tests.many_keys import insert_keys
from tests.revoking_many import fields, messages_of, revoked, rows_of, send, text_of, used

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def all_keys_of(key, *, reason=""):
    return f"{REVOKE_MANY}?client={key.client.pk}{reason and f'&amp;reason={reason}'}"


NEXT = "Revoke all keys of this client"


def test_page_of_a_client_has_its_working_keys(client):
    web = ClientFactory(name="Web app")
    for name in ("One", "Two", "Dead"):
        make_key(client=web, name=name)
    make_key(name="Other")
    keys.revoke(APIKey.objects.get(name="Dead"), reason="left")

    page = client.get(REVOKE_MANY, {"client": web.pk, "reason": "leaked"})
    done = send(client, fields(page))

    assert sorted(rows_of(page)) == ["One", "Two"]
    assert "checked" in control_in(page, name="reason", value="leaked")
    assert revoked() == {"One", "Two", "Dead"}
    assert done.status_code == 200


@pytest.mark.parametrize("sent", ["", "x", "999999", "9" * 40, "\0"])
def test_unknown_client_leads_back_to_the_list(client, sent):
    response = client.get(REVOKE_MANY, {"client": sent}, follow=True)

    assert response.redirect_chain == [(LIST, 302)]


@pytest.mark.parametrize("has_key", [True, False], ids=["with-a-key", "without"])
def test_client_that_the_projects_admin_hides_is_as_an_unknown_one(client, monkeypatch, has_key):
    hidden = ClientFactory(name="Secret project")
    if has_key:
        make_key(client=hidden)
    for model_admin in (ClientAdmin, APIKeyAdmin):
        monkeypatch.setattr(model_admin, "get_queryset", lambda admin, _request: admin.model.objects.none())

    response = client.get(REVOKE_MANY, {"client": hidden.pk}, follow=True)
    unknown = client.get(REVOKE_MANY, {"client": 999_999}, follow=True)

    assert messages_of(response) == messages_of(unknown)
    assert "Secret project" not in response.content.decode()


def test_client_without_working_keys_leads_back_to_the_list(client):
    web = ClientFactory(name="Web app")

    response = client.get(REVOKE_MANY, {"client": web.pk}, follow=True)

    assert messages_of(response) == ["“Web app” has no working key."]


def test_client_with_too_many_keys_is_revoked_in_parts_the_most_used_first(client):
    made = insert_keys(1001, client=ClientFactory(name="Web app"))
    used(made[500], ago=timedelta(0))

    page = client.get(REVOKE_MANY, {"client": made[0].client.pk})

    assert "“Web app” has more than 1000 working keys. These are the 1000 that were used last" in text_of(page)
    assert f'<a href="{CLIENTS}{made[0].client.pk}/change/">Disable the client' in page.content.decode()
    assert len(fields(page)["keys"].split()) == 1000
    assert rows_of(page)[0] == made[500].name


def test_leak_leads_on_to_all_keys_of_the_client(client):
    key = make_key().key
    make_key(client=key.client)

    before = client.get(page_of(key, "revoke")).content.decode()
    keys.revoke(key, reason="leaked")
    after = client.get(page_of(key)).content.decode()

    link = f'<a href="{all_keys_of(key, reason="leaked")}">{NEXT}</a>'
    assert (link in before, link in after) == (True, True)


def test_nothing_leads_on_where_the_client_has_no_other_working_key(client):
    key = make_key().key

    before = client.get(page_of(key, "revoke")).content.decode()
    keys.revoke(key, reason="leaked")
    after = client.get(page_of(key)).content.decode()

    assert (NEXT in before, NEXT in after) == (False, False)


def test_nothing_leads_on_from_a_key_that_did_not_leak(client):
    key = make_key().key
    make_key(client=key.client)
    keys.revoke(key, reason="left")

    assert NEXT not in client.get(page_of(key)).content.decode()


@pytest.mark.parametrize(
    ("rights", "offered"),
    [(["change_client", "revoke_apikey"], True), (["view_client", "revoke_apikey"], True), (["change_client"], False)],
    ids=["change", "view", "without"],
)
def test_page_of_a_client_leads_to_all_of_its_keys_for_those_who_may_revoke(client, rights, offered):
    key = make_key().key
    client.force_login(PersonFactory(rights=rights))

    page = client.get(f"{CLIENTS}{key.client.pk}/change/").content.decode()

    assert (f'<a href="{all_keys_of(key)}">{NEXT}</a>' in page) == offered


def test_page_of_a_client_without_working_keys_leads_nowhere(client):
    assert NEXT not in client.get(f"{CLIENTS}{ClientFactory().pk}/change/").content.decode()
