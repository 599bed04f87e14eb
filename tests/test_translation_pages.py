from __future__ import annotations

import html
import re

import pytest
from django.utils import timezone, translation

from apikeys import keys
from apikeys.testing import make_key

from .admin_pages import ADD, CLIENTS, LIST, REVOKE_MANY, control_in, issue_fields, keys_in, page_of
from .catalogue import english_parts
from .factories import ClientFactory, PersonFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _back_to_english():
    # A request leaves its language behind, for whatever the thread does next.
    with translation.override("en"):
        yield


@pytest.fixture
def gilfoyle(client):
    person = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(person)
    return person


def list_page(browser):
    make_key(name="Nightly export")
    return browser.get(LIST)


def empty_list_page(browser):
    return browser.get(LIST)


def issue_page(browser):
    return browser.get(ADD)


def refused_issue_page(browser):
    return browser.post(ADD, {"name": "", "expires": "custom", "custom_date": "2020-01-01", "allowed_networks": "10"})


def reveal_page(browser):
    ClientFactory(name="Web app")
    response = browser.post(ADD, issue_fields())
    assert keys_in(response)
    return response


def page_about_a_key(page):
    def fetch(browser):
        key = make_key(name="Nightly export").key
        key.last_used_at = timezone.now()
        key.save(update_fields=["last_used_at"])
        return browser.get(page_of(key, page))

    return fetch


def rotating_key_page(browser):
    key = make_key(name="Nightly export").key
    keys.rotate(key)
    return browser.get(page_of(key))


def revoked_key_page(browser):
    key = make_key(name="Nightly export").key
    keys.revoke(key, reason="leaked")
    return browser.get(page_of(key))


def revoke_many_page(browser):
    key = make_key(name="Nightly export").key
    keys.rotate(key)
    return browser.get(f"{REVOKE_MANY}?client={key.client.pk}")


def refused_revoke_many_page(browser):
    key = make_key(name="Nightly export").key
    dead = make_key(name="Dead").key
    keys.revoke(dead, reason="left")
    keys.rotate(key)
    return browser.post(REVOKE_MANY, {"keys": f"{key.pk} {dead.pk} 0", "reason": "other"})


def revoked_twice_page(browser):
    key = make_key(name="Nightly export").key
    keys.revoke(key, reason="leaked")
    return browser.post(REVOKE_MANY, {"keys": str(key.pk)})


def client_page(browser):
    return browser.get(f"{CLIENTS}{ClientFactory().pk}/change/")


def events_page(browser):
    keys.rotate(make_key().key)
    return browser.get("/admin/apikeys/keyevent/")


PAGES = {
    "list": list_page,
    "empty-list": empty_list_page,
    "issue": issue_page,
    "issue-refused": refused_issue_page,
    "reveal": reveal_page,
    "detail": page_about_a_key("change"),
    "detail-rotating": rotating_key_page,
    "detail-revoked": revoked_key_page,
    "rotate": page_about_a_key("rotate"),
    "revoke": page_about_a_key("revoke"),
    "revoke-many": revoke_many_page,
    "revoke-many-refused": refused_revoke_many_page,
    "revoke-many-twice": revoked_twice_page,
    "edit": page_about_a_key("edit"),
    "narrow": page_about_a_key("narrow"),
    "client": client_page,
    "events": events_page,
}


def text_of(response):
    """Return the page as text, tags and all, without the commands to paste, which are the same everywhere."""
    return html.unescape(re.sub(r"<pre.*?</pre>", "", response.content.decode(), flags=re.DOTALL))


@pytest.mark.usefixtures("gilfoyle")
@pytest.mark.parametrize("fetch", PAGES.values(), ids=PAGES)
def test_page_has_no_english_sentence_left(fetch, client):
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"

    page = text_of(fetch(client))

    assert '<html lang="de"' in page
    assert [part for part in english_parts() if part in page] == []


@pytest.mark.usefixtures("gilfoyle")
def test_issue_page_is_german(client):
    response = client.get(ADD, HTTP_ACCEPT_LANGUAGE="de")

    assert "<h1>API-Schlüssel ausstellen</h1>" in text_of(response)
    assert control_in(response, type="submit", **{"class": "default"})["value"] == "Schlüssel ausstellen"
    assert ">Abbrechen</a>" in text_of(response)
