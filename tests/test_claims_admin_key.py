"""The page of a key: what it says, and where that is changed."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

from apikeys import clients, keys
from apikeys.conf import settings
from apikeys.drf import HasClaim, HasScopes
from apikeys.models import KeyEvent
from apikeys.testing import make_key
from tests.admin_pages import LIST, control_in, errors_in, page_of
from tests.factories import PersonFactory

from .claims import EMPTY, FILLED, SAID, SHARING, declared, html_of, stored
from .drf_views import view

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _claims():
    with declared():
        yield


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def test_the_page_of_a_key_says_what_it_says_who_said_so_and_who_is_told(client):
    clients.create(name="Sharing", resource=SHARING)
    app = clients.create(name="Web app", allowed_scopes="todo:read", audiences=[SHARING])
    key = make_key(client=app, claims={"subscription": "premium", "regions": ["eu"]}).key
    clients.set_claims(app, claims={"subscription": "free", "seats": 3})

    page = html_of(client.get(page_of(key)))

    assert (
        "Subscription: <strong>premium</strong> <code>subscription</code> Said by this key. "
        "Told: each API server that may know the key."
    ) in page
    assert f"<strong>eu</strong> <code>regions</code> Said by this key. Told: {SHARING}." in page
    assert "<strong>3</strong> <code>seats</code> Said by the client. Told: nobody else." in page
    assert f"<dt>API servers</dt><dd><code>{SHARING}</code>" in page


def test_the_page_of_a_key_that_says_nothing_has_no_line_for_it(client):
    with override_settings(APIKEYS={**settings.given(), "ISSUER": ""}):
        page = html_of(client.get(page_of(make_key().key)))

    assert "<dt>Claims</dt>" not in page
    assert "<dt>API servers</dt>" not in page


def test_the_page_of_a_key_says_that_this_site_alone_knows_it(client):
    with override_settings(APIKEYS={**settings.given(), "ISSUER": "https://auth.example.com"}):
        page = html_of(client.get(page_of(make_key().key)))

    assert "<dt>API servers</dt><dd>This site alone</dd>" in page


def test_the_claims_of_a_key_and_its_replacement_are_changed(client):
    old = make_key().key
    new = keys.rotate(old).key

    response = client.post(page_of(new, "claims"), FILLED, follow=True)

    assert "was changed." in html_of(response)
    assert stored(old).claims == stored(new).claims == SAID
    event = KeyEvent.objects.get(key=new, kind="claims_set")
    assert (event.actor_name, event.source) == ("gilfoyle", "admin")


def test_an_empty_control_leaves_it_to_the_client_and_says_what_that_is(client):
    key = make_key(claims={"seats": 5}).key
    clients.set_claims(key.client, claims={"subscription": "premium", "beta": True, "regions": ["eu", "us"]})

    page = html_of(client.get(page_of(key, "claims")))

    assert '<option value="" selected>– as the client: premium –</option>' in page
    assert '<option value="" selected>– as the client: Yes –</option>' in page
    assert "One a line. Leave empty for what the client says: eu, us." in page
    assert '<option value="" selected>– not set –</option>' in page
    assert control_in(client.get(page_of(key, "claims")), name="claim_seats")["value"] == "5"


def test_what_the_client_says_at_length_is_cut(client):
    key = make_key().key
    clients.set_claims(key.client, claims={"contract": "a" * 61, "plans": ["small"]})

    page = html_of(client.get(page_of(key, "claims")))

    assert f"Leave empty for what the client says: {'a' * 59}…." in page
    assert "Tick none for what the client says: small." in page


def test_a_fault_on_the_page_changes_nothing(client):
    key = make_key().key

    response = client.post(page_of(key, "claims"), {**EMPTY, "claim_regions": "eu\neu", "claim_seats": "3"})

    assert errors_in(response, "claim_regions") == [
        "“regions” must be a list of different texts, each on one line.",
    ]
    assert "<title>Error: " in response.content.decode()
    assert stored(key).claims == {}


def test_a_key_pasted_on_its_page_is_not_shown_again(client):
    issued = make_key()

    page = html_of(client.post(page_of(issued.key, "claims"), {**EMPTY, "claim_contract": issued.plaintext}))

    assert "A claim must not contain a key." in page
    assert issued.plaintext not in page


def test_the_page_is_for_those_who_may_set_claims(client):
    key = make_key().key
    client.force_login(PersonFactory(rights=["view_apikey", "change_apikey", "change_client", "rotate_apikey"]))

    answers = [client.get(page_of(key, "claims")), client.post(page_of(key, "claims"), FILLED)]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert page_of(key, "claims") not in html_of(client.get(page_of(key)))
    assert stored(key).claims == {}


def test_the_page_of_a_key_leads_to_its_claims(client):
    key = make_key().key

    assert f'href="{page_of(key, "claims")}"' in html_of(client.get(page_of(key)))


def test_the_way_to_claims_is_not_there_where_none_is_declared(client):
    key = make_key().key

    with override_settings(APIKEYS={**settings.given(), "CLAIMS": {}}):
        assert page_of(key, "claims") not in html_of(client.get(page_of(key)))


def test_the_history_says_what_changed(client):
    key = make_key(claims={"subscription": "free", "seats": 3}).key
    keys.set_claims(key, claims={"subscription": "premium", "regions": ["eu", "us"]})

    page = html_of(client.get(page_of(key)))

    assert "Claims changed" in page
    assert "regions: from none to eu, us; seats: from 3 to none; subscription: from free to premium" in page


def test_the_list_of_keys_asks_nothing_more_because_of_claims(client):
    def queries_with(claims):
        keys.set_claims(key, claims=claims)
        with CaptureQueriesContext(connection) as queries:
            client.get(LIST)
        return len(queries)

    key = make_key().key
    queries_with({})

    assert queries_with({}) == queries_with(SAID)


def test_the_page_of_a_key_costs_as_many_queries_with_claims(client):
    def queries_with(claims):
        clients.set_claims(key.client, claims=claims)
        with CaptureQueriesContext(connection) as queries:
            client.get(page_of(key))
        return len(queries)

    key = make_key().key
    queries_with({})

    assert queries_with({}) == queries_with(SAID)


class Address:
    """One endpoint for premium keys, beside the admin."""

    urlpatterns = [
        path(
            "premium/",
            view(permission_classes=[HasScopes("todo:read") & HasClaim("subscription", "premium")]).as_view(),
        ),
        path("", include("tests.urls")),
    ]


@pytest.mark.parametrize(("said", "is_listed"), [("premium", True), ("free", False)], ids=["premium", "free"])
def test_the_page_of_a_key_lists_what_its_claims_open(client, said, is_listed):
    key = make_key(scopes=["todo:read"]).key
    clients.set_claims(key.client, claims={"subscription": said})

    with override_settings(ROOT_URLCONF=Address):
        assert ("GET /premium/" in html_of(client.get(page_of(key)))) is is_listed
