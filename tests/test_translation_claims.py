from __future__ import annotations

import pytest
from django.test import override_settings
from django.utils import translation

from apikeys import clients, keys
from apikeys.conf import settings
from apikeys.models import Client, EventKind, KeyEvent
from apikeys.testing import make_key

from .admin_pages import CLIENTS, page_of
from .catalogue import english_in, page_text
from .claims import SHARING, declared
from .factories import ClientFactory, PersonFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _back_to_english():
    # A request leaves its language behind, for whatever the thread does next.
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _claims():
    with declared(word="text"):
        yield


@pytest.fixture
def browser(client):
    """Return a browser in which Gilfoyle is signed in, who reads German."""
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    return client


def make_app():
    """Return a client that says something, and whose keys an API server may know."""
    clients.create(name="Sharing", resource=SHARING)
    app = ClientFactory(name="Web app")
    clients.edit(app, audiences=[SHARING])
    clients.set_claims(app, claims={"subscription": "free", "beta": True, "regions": ["eu"], "plans": ["small"]})
    return app


def client_page(browser):
    return browser.get(f"{CLIENTS}{make_app().pk}/change/")


def read_client_page(browser):
    browser.force_login(PersonFactory(username="dinesh", rights=["view_client"]))
    return client_page(browser)


def refused_client_page(**fields):
    def fetch(browser):
        address = f"{CLIENTS}{make_app().pk}/change/"
        return browser.post(address, {"name": "Web app", "kind": "first_party", **fields})

    return fetch


def named_server_page(browser):
    make_app()
    server = Client.objects.get(resource=SHARING)
    return browser.post(f"{CLIENTS}{server.pk}/change/", {"name": "Sharing", "kind": "first_party", "resource": ""})


def key_page(page):
    def fetch(browser):
        key = make_key(client=make_app(), claims={"seats": 3, "contract": "2026/7"}).key
        return browser.get(page_of(key, page))

    return fetch


def key_that_no_server_knows_page(browser):
    with override_settings(APIKEYS={**settings.given(), "ISSUER": "https://testserver/authority"}):
        return browser.get(page_of(make_key().key))


def refused_claims_page(**fields):
    return lambda browser: browser.post(page_of(make_key(client=make_app()).key, "claims"), fields)


def events_page(browser):
    key = make_key(client=make_app()).key
    keys.set_claims(key, claims={"beta": False})
    keys.set_claims(key, claims={})
    for kind in (EventKind.TOKEN_REVOKED, EventKind.SIGNING_KEY_MADE):
        KeyEvent.objects.create(kind=kind, source="request")
    return browser.get("/admin/apikeys/keyevent/")


#: Each page, and a text that it has.
PAGES = {
    "client": (client_page, "Leer lassen für diese Website allein."),
    "client-read": (read_client_page, "Merkmale:"),
    "client-refused-claim": (refused_client_page(claim_regions="eu\neu"), "„regions“ muss"),
    "client-refused-server": (refused_client_page(audiences="https://b.example"), "Kein Client ist der API-Server"),
    "client-refused-address": (refused_client_page(resource="https://b.example/?c"), "kann keinen API-Server"),
    "client-taken-address": (refused_client_page(resource=SHARING), "Ein anderer Client ist bereits"),
    "client-named-address": (named_server_page, "Andere Clients nennen"),
    "key": (key_page("change"), "Quelle: dieser Schlüssel."),
    "key-that-no-server-knows": (key_that_no_server_knows_page, "Diese Website allein"),
    "claims": (key_page("claims"), "wie der Client: free"),
    "claims-refused-list": (refused_claims_page(claim_regions="eu\neu"), "„regions“ muss"),
    "claims-refused-text": (refused_claims_page(claim_word="a\tb"), "„word“ muss Text"),
    "claims-refused-length": (refused_claims_page(claim_word="w" * 1100), "höchstens 1024 Bytes"),
    "events": (events_page, "beta: vorher keine, jetzt Nein"),
}


@pytest.mark.parametrize(("fetch", "german"), PAGES.values(), ids=PAGES)
def test_page_is_german_and_has_no_english_sentence_left(fetch, german, browser):
    response = fetch(browser)

    assert '<html lang="de"' in page_text(response)
    assert german in page_text(response)
    assert english_in(response) == []
