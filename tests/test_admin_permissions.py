from __future__ import annotations

from typing import Any

import pytest

from apikeys import clients, keys
from apikeys.models import APIKey, Client, KeyRevocation
from apikeys.testing import make_key
from tests.admin_pages import ADD, CLIENTS, EVERYTHING, LIST, issue_fields, keys_in, page_of, rotate_fields
from tests.factories import ClientFactory, PersonFactory

pytestmark = pytest.mark.django_db


def all_but(*rights):
    return [right for right in EVERYTHING if right not in rights]


@pytest.fixture(autouse=True)
def app():
    return ClientFactory(name="Web app")


@pytest.fixture
def signed_in(client):
    def sign_in(*rights):
        person = PersonFactory(username="dinesh", rights=rights)
        client.force_login(person)
        return person

    return sign_in


@pytest.mark.parametrize(
    ("rights", "fields"),
    [
        pytest.param(
            ["view_apikey", "change_apikey", "rotate_apikey", "revoke_apikey"],
            {"owner": "dinesh"},
            id="no-issuing-right",
        ),
        pytest.param(["issue_apikey"], {"owner": "richard"}, id="for-somebody-else"),
        pytest.param(all_but("issue_apikey_for_others"), {"owner": "richard"}, id="for-somebody-else-with-all-others"),
        pytest.param(all_but("issue_service_apikey"), {"acts_for": "nobody", "owner": ""}, id="service-key"),
        pytest.param(["issue_service_apikey"], {"owner": "dinesh"}, id="for-oneself-with-another-right"),
    ],
)
def test_forged_issue_is_forbidden(client, signed_in, rights, fields):
    PersonFactory(username="richard")
    signed_in(*rights)

    response = client.post(ADD, issue_fields(**fields))

    assert response.status_code == 403
    assert not APIKey.objects.exists()


@pytest.mark.parametrize(
    ("rights", "fields"),
    [
        pytest.param(["issue_apikey"], {"owner": "dinesh"}, id="for-oneself"),
        pytest.param(["issue_apikey_for_others"], {"owner": "richard"}, id="for-somebody-else"),
        pytest.param(["issue_service_apikey"], {"acts_for": "nobody", "owner": ""}, id="service-key"),
    ],
)
def test_one_right_is_enough_for_what_it_is_for(client, signed_in, rights, fields):
    PersonFactory(username="richard")
    signed_in(*rights)

    response = client.post(ADD, issue_fields(**fields))

    assert len(keys_in(response)) == 1


def test_nobody_issues_a_key_for_a_person_with_more_rights(client, signed_in):
    PersonFactory(username="gilfoyle", is_superuser=True)
    signed_in(*EVERYTHING)

    response = client.post(ADD, issue_fields(owner="gilfoyle"))

    assert "gilfoyle holds rights that you lack" in response.content.decode()
    assert not APIKey.objects.exists()


def test_owner_is_not_offered_to_those_who_issue_only_service_keys(client, signed_in):
    signed_in("issue_service_apikey")

    assert 'name="owner"' not in client.get(ADD).content.decode()


def test_owner_is_fixed_for_those_who_issue_only_for_themselves(client, signed_in):
    signed_in("issue_apikey")

    page = client.get(ADD).content.decode()

    assert "readonly" in page.split('name="owner"')[1].split(">")[0]
    assert "No person" not in page


@pytest.mark.parametrize("page", ["people", "clients", "describe", "same_as"])
def test_suggestions_are_forbidden_without_the_right(client, signed_in, page):
    signed_in("view_apikey", "change_apikey")

    assert client.post(f"{ADD}{page}/").status_code == 403


def test_people_are_suggested_only_to_those_who_issue_for_others(client, signed_in):
    signed_in(*all_but("issue_apikey_for_others"))

    assert client.post(f"{ADD}people/").status_code == 403


@pytest.mark.parametrize("method", ["get", "post"])
def test_rotating_is_forbidden_without_the_right(client, signed_in, method):
    signed_in(*all_but("rotate_apikey"))
    key = make_key().key

    response = getattr(client, method)(page_of(key, "rotate"), rotate_fields())

    assert response.status_code == 403
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_rotating_the_key_of_a_person_with_more_rights_is_forbidden(client, signed_in, method):
    signed_in(*EVERYTHING)
    key = make_key(owner=PersonFactory(is_superuser=True)).key

    response = getattr(client, method)(page_of(key, "rotate"), rotate_fields())

    assert response.status_code == 403
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_revoking_is_forbidden_without_the_right(client, signed_in, method):
    signed_in(*all_but("revoke_apikey"))
    key = make_key().key

    response = getattr(client, method)(page_of(key, "revoke"), {"reason": "leaked"})

    assert response.status_code == 403
    assert not KeyRevocation.objects.exists()


@pytest.mark.parametrize("page", ["edit", "narrow"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_changing_is_forbidden_without_the_right(client, signed_in, method, page):
    signed_in(*all_but("change_apikey"))
    key = make_key(name="Old", scopes=["todo:read", "todo:write"]).key

    response = getattr(client, method)(page_of(key, page), {"name": "New", "note": "", "scopes": ["todo:read"]})

    key.refresh_from_db()
    assert response.status_code == 403
    assert (key.name, key.scopes) == ("Old", ["todo:read", "todo:write"])


def test_looking_is_forbidden_without_the_right(client, signed_in):
    signed_in(*all_but("view_apikey", "change_apikey"))
    key = make_key().key

    assert client.get(LIST).status_code == 403
    assert client.get(page_of(key)).status_code == 403


def test_those_who_only_look_see_no_buttons(client, signed_in):
    signed_in("view_apikey")
    key = make_key().key

    page = client.get(page_of(key)).content.decode() + client.get(LIST).content.decode()

    for button in ("Rotate…", "Revoke…", "Edit name and note", "Narrow permissions", "Issue a key"):
        assert button not in page


def test_those_with_all_rights_see_all_buttons(client, signed_in):
    signed_in(*EVERYTHING)
    key = make_key().key

    page = client.get(page_of(key)).content.decode() + client.get(LIST).content.decode()

    for button in ("Rotate…", "Revoke…", "Edit name and note", "Narrow permissions", "Issue a key"):
        assert button in page


def test_secret_is_shown_to_those_who_may_issue_but_not_look(client, signed_in):
    signed_in("issue_apikey")

    response = client.post(ADD, issue_fields(owner="dinesh"))

    key = APIKey.objects.get()
    assert len(keys_in(response)) == 1
    assert f'href="{page_of(key)}"' not in response.content.decode()


@pytest.mark.parametrize("model", ["apikey", "client", "keyevent"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_nothing_is_deleted_even_by_superusers(client, model, method):
    client.force_login(PersonFactory(is_superuser=True))
    key = make_key().key
    row: Any = {"apikey": key, "client": key.client, "keyevent": key.events.get()}
    address = f"/admin/apikeys/{model}/"

    deleted = getattr(client, method)(f"{address}{row[model].pk}/delete/", {"post": "yes"})
    client.post(address, {"action": "delete_selected", "_selected_action": [row[model].pk], "post": "yes"})

    row[model].refresh_from_db()
    assert deleted.status_code == 403
    pages = client.get(address).content.decode() + client.get(f"{address}{row[model].pk}/change/").content.decode()
    assert "/delete/" not in pages
    assert "Delete" not in pages
    assert "delete_selected" not in pages


@pytest.mark.parametrize("model", ["keyrevocation", "tagsecret"])
def test_some_tables_have_no_page(client, model):
    client.force_login(PersonFactory(is_superuser=True))

    assert client.get(f"/admin/apikeys/{model}/").status_code == 404


@pytest.mark.parametrize("page", ["add", "1/change"])
def test_events_are_only_read(client, page):
    client.force_login(PersonFactory(is_superuser=True))
    event = make_key().key.events.get()

    response = client.post(f"/admin/apikeys/keyevent/{page.replace('1', str(event.pk))}/", {"kind": "revoked"})

    event.refresh_from_db()
    assert response.status_code == 403
    assert event.kind == "issued"


def test_forged_change_of_a_key_changes_nothing(client):
    client.force_login(PersonFactory(is_superuser=True))
    key = make_key(name="Old", scopes=["todo:read"]).key

    response = client.post(page_of(key), {"name": "New", "scopes": "todo:read todo:write", "verifier": "x"})

    key.refresh_from_db()
    assert response.status_code == 405
    assert (key.name, key.scopes) == ("Old", ["todo:read"])


def test_signed_out_people_are_asked_to_sign_in(client):
    response = client.post(ADD, issue_fields())

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("page", ["add", "change"])
def test_clients_are_changed_only_by_those_who_may(client, page):
    person = PersonFactory(username="dinesh", rights=["view_client"])
    client.force_login(person)
    app = clients.create(name="Analytics")
    address = f"{CLIENTS}add/" if page == "add" else f"{CLIENTS}{app.pk}/change/"

    response = client.post(address, {"name": "Forged", "kind": "first_party", "is_active": "on"})

    assert response.status_code == 403
    assert not Client.objects.filter(name="Forged").exists()


def test_verifier_is_on_no_page(client):
    client.force_login(PersonFactory(is_superuser=True))
    key = make_key().key
    replacement = keys.rotate(key).key

    addresses = [LIST, "/admin/apikeys/keyevent/", page_of(key), page_of(replacement), page_of(key, "history")]
    pages = "".join(client.get(address).content.decode() for address in addresses)

    assert "argon2" not in pages
    assert key.verifier.rpartition("$")[2] not in pages


@pytest.mark.parametrize("lookup", ["verifier__regex=^argon2id", "verifier__startswith=a", "form_id__startswith=a"])
def test_what_no_page_shows_can_not_be_guessed_letter_by_letter(client, lookup):
    make_key()
    client.force_login(PersonFactory(rights=["view_apikey"]))

    assert client.get(f"{LIST}?{lookup}").status_code == 400


@pytest.mark.parametrize("page", ["rotate", "revoke", "edit", "narrow"])
def test_whether_a_key_exists_is_nothing_for_those_without_the_right(client, page):
    key = make_key().key
    client.force_login(PersonFactory(rights=["view_apikey"]))

    assert [client.get(f"{LIST}{pk}/{page}/").status_code for pk in (key.pk, key.pk + 1000)] == [403, 403]
