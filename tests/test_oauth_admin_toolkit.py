"""The toolkit's pages in the admin, and the list of consents: to read, without a secret on any of them."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext
from oauth2_provider.models import (
    get_access_token_model,
    get_application_model,
    get_grant_model,
    get_refresh_token_model,
)

from apikeys.oauth import consents
from apikeys.oauth.models import Consent
from tests.admin_pages import CLIENTS, controls_in
from tests.factories import PersonFactory
from tests.oauth import error_of, get_code, get_token, issued, make_app, make_person, refresh
from tests.oauth_clients import PNG

pytestmark = pytest.mark.django_db

TOOLKIT = "/admin/oauth2_provider/"
CONSENTS = "/admin/apikeys_oauth/consent/"
LISTS = [f"{TOOLKIT}{name}/" for name in ("application", "accesstoken", "refreshtoken", "grant", "idtoken")]


@pytest.fixture(autouse=True)
def _signed_in(client):
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))


@pytest.mark.parametrize("address", [*LISTS, CONSENTS])
def test_nothing_is_made_by_hand(client, address):
    assert client.get(address).status_code == 200
    assert client.get(f"{address}add/").status_code == 403
    assert client.post(f"{address}add/", {"client_id": "x", "name": "x"}).status_code == 403


def test_no_page_shows_what_is_stored_of_a_secret(client):
    app, richard = make_app(), make_person()
    get_token(app, richard)
    get_code(app, richard)
    rows = [model.objects.get() for model in MODELS]
    stored = [
        rows[0].client_secret,
        rows[1].token_checksum,
        rows[2].token_checksum,
        rows[3].code,
    ]

    pages = [
        client.get(f"{TOOLKIT}{row._meta.model_name}/{rest}")
        for row in rows
        for rest in ("", f"{row.pk}/change/", f"{row.pk}/history/")
    ]

    assert {page.status_code for page in pages} == {200}
    assert [text for text in stored if not text or any(text in page.text for page in pages)] == []


@pytest.mark.parametrize(
    "lookup",
    [
        "application/?client_secret__startswith=",
        "accesstoken/?token__startswith=",
        "accesstoken/?token_checksum__startswith=",
        "refreshtoken/?token_checksum__startswith=",
        "grant/?code__startswith=",
    ],
)
def test_no_list_tells_letter_by_letter_what_is_stored_of_a_secret(client, lookup):
    assert client.get(f"{TOOLKIT}{lookup}a").status_code == 400


MODELS = (get_application_model(), get_access_token_model(), get_refresh_token_model(), get_grant_model())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.model_name)
def test_nothing_is_changed_by_hand(client, model):
    app, richard = make_app(), make_person()
    get_token(app, richard)
    get_code(app, richard)
    address = f"{TOOLKIT}{model._meta.model_name}/{model.objects.get().pk}"

    changed = client.post(f"{address}/change/", {"redirect_uris": "https://evil.example/", "skip_authorization": "on"})
    deleted = client.post(f"{address}/delete/", {"post": "yes"})

    assert (changed.status_code, deleted.status_code) == (403, 403)
    assert issued() == (1, 1, 1)


@pytest.mark.parametrize("name", ["accesstoken", "refreshtoken"])
def test_token_can_be_ended(client, name):
    app = make_app()
    token = get_token(app, make_person())
    row = get_access_token_model().objects.get() if name == "accesstoken" else get_refresh_token_model().objects.get()

    response = client.post(f"{TOOLKIT}{name}/", {"action": "revoke", "_selected_action": [row.pk]}, follow=True)

    assert "1 token no longer works." in response.text
    assert issued() == (0, 0, 0)
    assert error_of(refresh(app, token["refresh_token"])) == (400, "invalid_grant")


def test_refresh_token_that_was_spent_since_the_page_was_loaded_ends_with_what_came_of_it(client):
    app = make_app()
    spent = get_token(app, make_person())["refresh_token"]
    row = get_refresh_token_model().objects.get()
    fresh = refresh(app, spent).json()["refresh_token"]

    response = client.post(f"{TOOLKIT}refreshtoken/", {"action": "revoke", "_selected_action": [row.pk]}, follow=True)

    assert "1 token no longer works." in response.text
    assert issued() == (0, 0, 0)
    assert error_of(refresh(app, fresh)) == (400, "invalid_grant")


@pytest.mark.parametrize("name", ["accesstoken", "refreshtoken"])
def test_all_chosen_tokens_end_or_none(client, name):
    for _person in range(3):
        get_token(make_app(), make_person())
    address, everything = f"{TOOLKIT}{name}/", {"action": "revoke", "select_across": "1"}
    ended = []

    def fail_at_the_second(sender, instance, **kwargs):
        ended.append(instance)
        if len(ended) == 2:
            raise RuntimeError("the project's own fault")

    row = get_access_token_model().objects.first() or get_refresh_token_model().objects.first()
    post_delete.connect(fail_at_the_second, sender=get_access_token_model())
    try:
        with pytest.raises(RuntimeError):
            client.post(address, {**everything, "_selected_action": [row.pk]})
    finally:
        post_delete.disconnect(fail_at_the_second, sender=get_access_token_model())
    before = issued()
    response = client.post(address, {**everything, "_selected_action": [row.pk]}, follow=True)

    assert (before, issued()) == ((3, 3, 0), (0, 0, 0))
    assert "3 tokens no longer work." in response.text


def test_who_may_only_look_at_tokens_ends_none(client):
    get_token(make_app(), make_person())
    person = PersonFactory()
    person.user_permissions.set(Permission.objects.filter(codename="view_accesstoken"))
    client.force_login(person)
    row = get_access_token_model().objects.get()

    page = client.get(f"{TOOLKIT}accesstoken/")
    client.post(f"{TOOLKIT}accesstoken/", {"action": "revoke", "_selected_action": [row.pk]})

    assert controls_in(page, name="action") == []
    assert issued() == (1, 1, 0)


def test_consents_are_listed_for_who_may_see_them(client):
    richard, dinesh = make_person("richard"), make_person("dinesh")
    app, other = make_app(name="LLM Summariser").client, make_app(name="Watch").client
    consents.give(richard, app, scopes=["todo:read"])
    consents.give(dinesh, other, scopes=["todo:read"])

    page = client.get(f"{CONSENTS}?client__id__exact={app.pk}").text

    assert "LLM Summariser" in page
    assert "richard" in page
    assert "dinesh" not in page


def test_consent_is_not_withdrawn_by_hand(client):
    consents.give(make_person(), make_app().client, scopes=["todo:read"])
    row = Consent.objects.get()

    assert client.get(f"{CONSENTS}{row.pk}/change/").status_code == 200
    assert client.post(f"{CONSENTS}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Consent.objects.exists()


def test_person_is_deleted_with_what_apps_may_do_for_them(client):
    person = make_person()
    get_token(make_app(), person)

    response = client.post(f"/admin/auth/user/{person.pk}/delete/", {"post": "yes"})

    assert response.status_code == 302
    assert issued() == (0, 0, 0)
    assert not Consent.objects.exists()


def test_number_of_queries_does_not_grow_with_the_tokens(client):
    def queries_with(number):
        while get_access_token_model().objects.count() < number:
            get_token(make_app(), make_person())
        found = []
        for address in [*LISTS, CONSENTS]:
            with CaptureQueriesContext(connection) as queries:
                client.get(address)
            found.append(len(queries))
        return found

    queries_with(1)

    assert queries_with(2) == queries_with(4)


def test_no_list_loads_what_its_rows_do_not_show(client):
    app, person = make_app(logo=PNG), make_person()
    get_token(app, person)
    get_code(app, person)

    with CaptureQueriesContext(connection) as queries:
        pages = [client.get(address).text for address in [*LISTS, CONSENTS, CLIENTS]]

    assert [app.client.name in page for page in pages] == [True, True, True, True, False, True, True]
    assert not [query["sql"] for query in queries if re.search(r"\.\Wlogo\W", query["sql"])]
