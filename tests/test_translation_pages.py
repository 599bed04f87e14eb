from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from apikeys import clients, keys
from apikeys.models import APIKey, EventKind, KeyEvent
from apikeys.testing import make_key

from .admin_pages import ADD, CLIENTS, LIST, REVOKE_MANY, control_in, issue_fields, keys_in, page_of
from .catalogue import english_in, page_text
from .factories import ClientFactory, PersonFactory
from .key_use import last_used_from, refused, roll_up, used

pytestmark = pytest.mark.django_db

IDENTIFY = f"{LIST}identify/"
USAGE = "/admin/apikeys/usagecount/"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


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


def busy_key():
    """Return a key that was used and refused, with limits of its own, among keys that are to be looked after."""
    client = ClientFactory(name="Web app", rates=["600/min"])
    key = make_key(name="Busy", client=client, scopes=["todo:read", "todo:write"], quotas=["100000/month"]).key
    APIKey.objects.filter(pk=key.pk).update(created_at=timezone.now() - 100 * DAY)
    used(key, 2, ago=99 * DAY)
    used(key, 7, ago=2 * DAY)
    used(key, 2, ago=2 * HOUR)
    used(key, 1, ago=2 * HOUR, outcome="limited")
    refused("key_expired", 3, ago=2 * HOUR, key=key)
    refused("key_invalid", 3, ago=2 * HOUR)
    last_used_from(key, "203.0.113.9", ago=2 * HOUR)
    endless = make_key(name="Endless", client=client).key
    APIKey.objects.filter(pk=endless.pk).update(expires_at=None)
    make_key(name="Ending", client=client, lifetime=DAY)
    return key


def page_about_a_busy_key(page):
    return lambda browser: browser.get(page_of(busy_key(), page))


def key_waiting_for_its_replacement_page(browser):
    key = busy_key()
    keys.rotate(key, overlap=keys.FROM_FIRST_USE)
    return browser.get(page_of(key))


def key_left_alone_page(browser):
    key = busy_key()
    keys.rotate(key)
    last_used_from(key, "203.0.113.9", ago=12 * HOUR)
    return browser.get(page_of(key))


def busy_list_page(browser):
    busy_key()
    return browser.get(LIST)


def refused_limits_page(browser):
    return browser.post(page_of(busy_key(), "limits"), {"rates": "600/fortnight", "quotas": "1/week"})


def whole_key_page(browser):
    return browser.get(LIST, {"q": make_key().plaintext})


def identify_page(browser):
    return browser.get(IDENTIFY)


def refused_identify_page(browser):
    return browser.post(IDENTIFY, {"text": ""})


def identified_page(browser):
    issued = make_key(name="Found")
    last_used_from(issued.key, "203.0.113.9", ago=2 * HOUR)
    return browser.post(IDENTIFY, {"text": f"{issued.plaintext} {issued.plaintext[:-2]}zz"})


def nothing_identified_page(browser):
    return browser.post(IDENTIFY, {"text": "nothing"})


def usage_page(query=""):
    def fetch(browser):
        busy_key()
        roll_up()
        return browser.get(f"{USAGE}{query}")

    return fetch


def empty_usage_page(browser):
    return browser.get(USAGE)


def stale_usage_page(browser):
    used(make_key().key, ago=DAY)
    return browser.get(USAGE)


def usage_of_nothing_page(browser):
    return browser.get(f"{USAGE}?key=none", follow=True)


def usage_of_a_key_page(browser):
    return browser.get(f"{USAGE}?key={busy_key().key_id}")


def usage_by_a_client_page(browser):
    return browser.get(f"{USAGE}?client={busy_key().client.client_id}")


def busy_client_page(browser):
    key = busy_key()
    clients.set_ceiling(key.client, scopes=["todo:read", "todo:write", "usage:read"])
    return browser.get(f"{CLIENTS}{key.client.pk}/change/")


def all_events_page(browser):
    key = busy_key()
    keys.set_limits(key, rates=["20/s"], quotas=[])
    keys.rotate(key, overlap=keys.FROM_FIRST_USE)
    now = timezone.now().isoformat()
    for kind, details in (
        (EventKind.OVERLAP_STARTED, {"first_used_at": now, "stops_at": now}),
        (EventKind.NEW_NETWORK, {"network": "203.0.113.0/24", "is_first": True}),
        (EventKind.NEW_NETWORK, {"network": "198.51.100.0/24"}),
        (EventKind.GUESSING, {"network": "203.0.113.0/24", "count": 100}),
        (EventKind.IDENTIFIED, {"unknown": 1}),
    ):
        KeyEvent.objects.create(kind=kind, key=key, source="request", details=details)
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
    "list-used": busy_list_page,
    "list-whole-key": whole_key_page,
    "detail-used": page_about_a_busy_key("change"),
    "detail-waiting": key_waiting_for_its_replacement_page,
    "detail-left-alone": key_left_alone_page,
    "rotate-used": page_about_a_busy_key("rotate"),
    "limits": page_about_a_busy_key("limits"),
    "limits-refused": refused_limits_page,
    "client-used": busy_client_page,
    "identify": identify_page,
    "identify-refused": refused_identify_page,
    "identify-found": identified_page,
    "identify-nothing": nothing_identified_page,
    "usage": usage_page(),
    "usage-24h": usage_page("?period=24h"),
    "usage-empty": empty_usage_page,
    "usage-stale": stale_usage_page,
    "usage-of-nothing": usage_of_nothing_page,
    "usage-of-a-key": usage_of_a_key_page,
    "usage-by-a-client": usage_by_a_client_page,
    "events-of-all-kinds": all_events_page,
}


@pytest.mark.usefixtures("gilfoyle")
@pytest.mark.parametrize("fetch", PAGES.values(), ids=PAGES)
def test_page_has_no_english_sentence_left(fetch, client):
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"

    response = fetch(client)

    assert '<html lang="de"' in page_text(response)
    assert english_in(response) == []


@pytest.mark.usefixtures("gilfoyle")
def test_issue_page_is_german(client):
    response = client.get(ADD, HTTP_ACCEPT_LANGUAGE="de")

    assert "<h1>API-Schlüssel ausstellen</h1>" in page_text(response)
    assert control_in(response, type="submit", **{"class": "default"})["value"] == "Schlüssel ausstellen"
    assert ">Abbrechen</a>" in page_text(response)
