"""What is said of clients and keys, on their pages: with and without a script, light and dark, narrow and wide."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from apikeys import clients
from apikeys.models import Client
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, page_of
from tests.browser.test_pages import faults_of, is_wider
from tests.claims import SHARING, declared

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _claims():
    with declared():
        yield


@pytest.fixture
def key(app):
    clients.create(name="Sharing", resource=SHARING)
    clients.edit(app, audiences=[SHARING])
    clients.set_claims(app, claims={"subscription": "free", "regions": ["eu", "us"], "contract": "w" * 200})
    return make_key(client=app, name="Nightly export", claims={"subscription": "premium", "plans": ["small"]}).key


@pytest.mark.parametrize("has_script", [True, False], ids=["script", "no-script"])
def test_a_client_is_given_claims_and_an_api_server(desk, app, has_script):
    clients.create(name="Sharing", resource=SHARING)
    page = desk.page(java_script_enabled=has_script)
    page.goto(f"{CLIENTS}{app.pk}/change/")

    page.get_by_label("API servers that may know its keys").fill(SHARING)
    page.get_by_label("Subscription").select_option("premium")
    page.get_by_label("Seats").fill("3")
    page.get_by_label("Beta").select_option("Yes")
    page.get_by_label("Regions").fill("eu\nus")
    page.get_by_label("small").check()
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("was changed successfully")).to_be_visible()
    stored = Client.objects.get(pk=app.pk)
    assert stored.claims == {
        "subscription": "premium",
        "seats": 3,
        "beta": True,
        "regions": ["eu", "us"],
        "plans": ["small"],
    }
    assert stored.audiences == [SHARING]


@pytest.mark.parametrize("has_script", [True, False], ids=["script", "no-script"])
def test_a_key_is_given_a_claim_of_its_own(desk, key, has_script):
    page = desk.page(java_script_enabled=has_script)
    page.goto(page_of(key))
    page.get_by_role("link", name="Claims…").click()
    page.get_by_label("Subscription").select_option("– as the client: free –")
    page.get_by_label("Tier").select_option("2")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("“Nightly export” was changed.")).to_be_visible()
    key.refresh_from_db()
    assert key.claims == {"plans": ["small"], "tier": 2}


def test_a_fault_has_the_focus(desk, key):
    page = desk.page()
    page.goto(page_of(key, "claims"))
    page.get_by_label("Regions").fill("eu\neu")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("“regions” must be a list of different texts")).to_be_visible()
    expect(page.get_by_label("Regions")).to_be_focused()


def test_pages_are_accessible_and_no_wider_than_the_window(desk, page, app, key):

    found = []
    for path in (page_of(key), page_of(key, "claims"), f"{CLIENTS}{app.pk}/change/", f"{CLIENTS}add/"):
        page.goto(path)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            found += [(path, width, fault) for fault in faults_of(desk, page)]
            if is_wider(page):
                found.append((path, width, "wider than the window"))

    assert found == []
