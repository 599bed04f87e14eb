from __future__ import annotations

import secrets

import pytest
from django.test import override_settings
from django.utils import translation

from apikeys import clients
from apikeys.conf import settings
from apikeys.models import ClientKind, EventKind, KeyEvent
from apikeys.oauth import applications, consents
from apikeys.testing import make_key

from .admin_pages import CLIENTS
from .admin_pages import page_of as page_of_key
from .catalogue import english_in, page_text
from .factories import ClientFactory, PersonFactory
from .oauth import DEVICE_CODE, get_token, make_app, make_person, press, start_device
from .oauth_clients import PNG, sign_in_fields
from .oauth_pages import authorize_url, declaring

pytestmark = pytest.mark.django_db

DEVICE, CONNECTED = "/o/device/", "/o/connected-apps/"
EVENTS = "/admin/apikeys/keyevent/"
SCOPES = "/apikeys/scopes/"
ALL = "todo:read todo:write"
#: More than the page lists one by one, one of them about people and one beyond the person's rights.
MANY = {"note:read": "View notes", "mail:read": "See the e-mail address"} | {
    f"thing{number}:read": f"View thing {number}" for number in range(7)
}


@pytest.fixture(autouse=True)
def _back_to_english():
    # A request leaves its language behind, for whatever the thread does next.
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _site_name():
    with override_settings(APIKEYS={**settings.given(), "SITE_NAME": "Piper Todo"}):
        yield


@pytest.fixture
def browser(client):
    """Return a browser in which Gilfoyle is signed in, who reads German."""
    # Somebody of whom no earlier test has counted codes: a rolled back one leaves its number to the next.
    client.gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True, pk=secrets.randbelow(2**30))
    client.force_login(client.gilfoyle)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    return client


def get(browser, address):
    return browser.get(address, secure=True)


def post(browser, address, data=()):
    return browser.post(address, dict(data), secure=True)


def summariser(**fields):
    told = {"publisher": "Hooli Labs", "website": "https://hooli.example", "privacy_policy": "https://hooli.example/p"}
    return make_app(name="LLM Summariser", **{**told, "optional_scopes": ["todo:write"], **fields})


def watch():
    return make_app(DEVICE_CODE, name="Apple Watch app", is_public=True)


def own_app():
    return make_app(name="Web app", kind=ClientKind.FIRST_PARTY)


def connect(browser, app, *, scopes=("todo:read",), **fields):
    consents.give(browser.gilfoyle, app.client, scopes=list(scopes), **fields)
    return app


def consent_page(browser):
    return get(browser, authorize_url(summariser(), scope=ALL))


def consent_page_of_nothing_ticked(browser):
    return press(browser, authorize_url(summariser(optional_scopes=["todo:read"])), {"allow": "yes"})


def consent_page_of_more(browser):
    return get(browser, authorize_url(connect(browser, summariser()), scope=ALL))


def consent_page_of_nothing_new(browser):
    return get(browser, authorize_url(connect(browser, summariser()), prompt="consent"))


def consent_page_of_an_own_app(browser):
    return get(browser, authorize_url(own_app()))


def consent_page_of_an_app_on_the_device(browser):
    address = "com.example.app:/callback"
    return get(browser, authorize_url(summariser(redirect_uris=[address], is_public=True), redirect_uri=address))


def consent_page_of_many(browser):
    with declaring({**MANY, "note:write": {"label": "Write notes", "permissions": ["todo.none"]}}):
        app = make_app(scopes=["mail:read", "note:write"])
        browser.force_login(make_person())
        return get(browser, authorize_url(app, scope="mail:read note:write"))


def broken_page(browser):
    return get(browser, authorize_url(own_app(), redirect_uri="https://elsewhere.example/"))


def device_page(browser):
    return get(browser, DEVICE)


def device_page_after(code):
    return lambda browser: post(browser, DEVICE, {"user_code": code})


def device_page_after_many_codes(browser):
    for _ in range(10):
        post(browser, DEVICE, {"user_code": "BDFH-KLMN"})
    return post(browser, DEVICE, {"user_code": "BDFH-KLMN"})


def confirm_address(browser):
    code = start_device(watch()).json()["user_code"]
    return post(browser, DEVICE, {"user_code": code})["Location"]


def device_consent_page(browser):
    return get(browser, confirm_address(browser))


def device_done_page(allow):
    return lambda browser: get(browser, press(browser, confirm_address(browser), {"allow": allow})["Location"])


def answered_device_page(browser):
    address = confirm_address(browser)
    press(browser, address, {"allow": "yes"})
    return get(browser, address)


def empty_connected_page(browser):
    return get(browser, CONNECTED)


def connected_page(browser):
    connect(browser, summariser())
    connect(browser, own_app(), is_implied=True)
    clients.disable(connect(browser, make_app()).client)
    clients.set_ceiling(connect(browser, make_app()).client, scopes=["todo:write"])
    return get(browser, f"{CONNECTED}?withdrawn")


def withdraw_page(browser):
    return get(browser, f"{CONNECTED}{connect(browser, summariser()).client_id}/withdraw/")


def client_page(browser):
    app = connect(browser, summariser(logo=PNG))
    get_token(app, browser.gilfoyle)
    return get(browser, f"{CLIENTS}{app.client.pk}/change/")


def new_client_page(browser):
    return get(browser, f"{CLIENTS}add/")


def refused_client_page(**fields):
    return lambda browser: post(browser, f"{CLIENTS}add/", sign_in_fields(**fields))


def read_client_page(browser):
    app = summariser()
    browser.force_login(PersonFactory(rights=["view_client"]))
    return get(browser, f"{CLIENTS}{app.client.pk}/change/")


def public_client_page(browser):
    return get(browser, f"{CLIENTS}{watch().client.pk}/change/")


def client_list_page(browser):
    summariser()
    ClientFactory()
    return get(browser, CLIENTS)


def reveal_page(browser):
    response = post(browser, f"{CLIENTS}add/", sign_in_fields())
    assert 'id="new-key"' in page_text(response)
    return response


def secret_page(**fields):
    return lambda browser: get(browser, f"{CLIENTS}{summariser(**fields).client.pk}/secret/")


def first_secret_page(browser):
    app = summariser(is_public=True)
    applications.edit(app.link, is_public=False)
    return get(browser, f"{CLIENTS}{app.client.pk}/secret/")


def conflicting_secret_page(browser):
    return post(browser, f"{CLIENTS}{summariser().client.pk}/secret/", {"seen": "2020-01-01T00:00:00+00:00"})


def consents_page(browser):
    connect(browser, summariser())
    return get(browser, "/admin/apikeys_oauth/consent/")


def events_page(browser):
    app = connect(browser, summariser())
    consents.withdraw(browser.gilfoyle, app.client)
    for kind, details in (
        (EventKind.SIGN_IN_CHANGED, {"changed": ["redirect_uris"], "ended": 2}),
        (EventKind.SECRET_REPLACED, {}),
        (EventKind.OAUTH_REFUSED, {"error": "invalid_client"}),
        (EventKind.TOKEN_REPLAYED, {"what": "code"}),
    ):
        KeyEvent.objects.create(kind=kind, client=app.client, source="request", details=details)
    return get(browser, EVENTS)


def reach_page(browser):
    return get(browser, page_of_key(make_key().key))


def scopes_page(browser):
    summariser()
    return get(browser, SCOPES)


def empty_scopes_page(browser):
    with declaring({}):
        return get(browser, SCOPES)


PAGES = {
    "consent": consent_page,
    "consent-nothing-ticked": consent_page_of_nothing_ticked,
    "consent-more": consent_page_of_more,
    "consent-nothing-new": consent_page_of_nothing_new,
    "consent-own-app": consent_page_of_an_own_app,
    "consent-on-the-device": consent_page_of_an_app_on_the_device,
    "consent-many": consent_page_of_many,
    "broken": broken_page,
    "device": device_page,
    "device-no-code": device_page_after(""),
    "device-half-a-code": device_page_after("BDFH"),
    "device-unknown-code": device_page_after("BDFH-KLMN"),
    "device-many-codes": device_page_after_many_codes,
    "device-consent": device_consent_page,
    "device-allowed": device_done_page("yes"),
    "device-refused": device_done_page("no"),
    "device-answered": answered_device_page,
    "connected-empty": empty_connected_page,
    "connected": connected_page,
    "withdraw": withdraw_page,
    "client": client_page,
    "client-new": new_client_page,
    "client-public": public_client_page,
    "client-read": read_client_page,
    "client-list": client_list_page,
    "client-refused-address": refused_client_page(redirect_uris="http://elsewhere.example/#here"),
    "client-refused-skip": refused_client_page(skips_consent="on"),
    "client-refused-nothing": refused_client_page(sign_in=""),
    "client-refused-public": refused_client_page(sign_in="client-credentials", is_public="on", redirect_uris=""),
    "reveal": reveal_page,
    "secret": secret_page(),
    "secret-first": first_secret_page,
    "secret-conflict": conflicting_secret_page,
    "consents": consents_page,
    "events": events_page,
    "reach": reach_page,
    "scopes": scopes_page,
    "scopes-empty": empty_scopes_page,
}


@pytest.mark.parametrize("fetch", PAGES.values(), ids=PAGES)
def test_page_has_no_english_sentence_left(fetch, browser):
    response = fetch(browser)

    assert '<html lang="de"' in page_text(response)
    assert english_in(response) == []
