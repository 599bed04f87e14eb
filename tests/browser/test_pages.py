"""What holds on every page: accessible in light and dark, no wider than the window, one heading, a title of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page

from apikeys import keys
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.admin_pages import ADD, CLIENTS, LIST, REVOKE_MANY, page_of
from tests.browser.conftest import Desk
from tests.factories import PersonFactory

pytestmark = pytest.mark.browser

SEPARATOR = "\u203a"

#: What is ours: not the admin's header, its side bar and the links of its filters.
_OURS = {"include": [["#content"]], "exclude": [["#changelist-filter"]]}
_RULES = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    # Only colours differ.
    "dark": {"type": "rule", "values": ["color-contrast"]},
}


def fill_issue_form(page: Page, *, name: str = "Nightly export") -> None:
    page.goto(ADD)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Client").fill("Web app")
    page.get_by_label("Read", exact=True).check()


def reveal(page: Page, *, name: str = "Nightly export") -> str:
    """Issue a key and return it as the page shows it."""
    fill_issue_form(page, name=name)
    page.get_by_role("button", name="Issue key").click()
    plaintext = page.locator("#new-key").input_value()
    # The script is deferred: before the page is whole, nobody listens to what a test does next.
    page.wait_for_load_state()
    return plaintext


@pytest.fixture
def addresses(app, person):
    key = make_key(client=app, name="Nightly export " + "w" * 60, owner=PersonFactory(username="richard")).key
    APIKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
    rotated = make_key(client=app, name="Old export").key
    keys.rotate(rotated, by=person)
    revoked = make_key(client=app, name="Revoked").key
    keys.revoke(revoked, reason="leaked", by=person)
    make_key(client=app, name="Soon over", lifetime=timedelta(days=2))
    return [
        LIST,
        ADD,
        page_of(key),
        page_of(rotated),
        page_of(revoked),
        page_of(key, "rotate"),
        page_of(key, "revoke"),
        page_of(key, "edit"),
        page_of(key, "narrow"),
        f"{REVOKE_MANY}?client={app.pk}",
        f"{CLIENTS}{app.pk}/change/",
    ]


def faults_of(desk: Desk, page: Page, scheme: str) -> list[str]:
    before = len(desk.faults)
    options = {"runOnly": _RULES[scheme], "resultTypes": ["violations"]}
    found = Axe().run(page, context=_OURS, options=options).response["violations"]
    # Some of its rules try inline styles, which the policy refuses: no fault of the page.
    del desk.faults[before:]
    return [f"{page.url}: {fault['id']}: {node['html'][:150]}" for fault in found for node in fault["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_accessibility_fault(desk, addresses, app, scheme):
    page = desk.page(color_scheme=scheme, viewport={"width": 1280, "height": 800})

    faults = []
    for address in addresses:
        page.goto(address)
        faults += faults_of(desk, page, scheme)
    page.goto(f"{REVOKE_MANY}?client={app.pk}")
    page.get_by_role("button", name="Revoke").click()
    faults += faults_of(desk, page, scheme)
    page.goto(f"{ADD}?client=Web+app&scope=todo:write")
    page.get_by_role("button", name="Issue key").click()
    faults += faults_of(desk, page, scheme)

    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reveal_has_no_accessibility_fault(desk, app, scheme):
    page = desk.page(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    reveal(page)

    assert faults_of(desk, page, scheme) == []


def test_no_page_is_wider_than_a_small_window(desk, addresses):
    page = desk.page(viewport={"width": 390, "height": 800})
    reveal(page)

    wider = [page.url] if is_wider(page) else []
    for address in addresses:
        page.goto(address)
        wider += [address] if is_wider(page) else []

    assert wider == []


def test_list_of_keys_needs_no_sideways_scroll(page, addresses):
    page.goto(LIST)

    assert page.evaluate("((list) => list.scrollWidth <= list.clientWidth)(document.querySelector('.results'))")


def is_wider(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def test_every_page_has_one_heading_and_a_title_of_its_own(page, addresses):
    titles, headings = [], []
    for address in addresses:
        page.goto(address)
        titles.append(page.title())
        headings.append(page.locator("h1").count())

    assert len(set(titles)) == len(addresses)
    assert set(headings) == {1}


def test_breadcrumbs_are_separated_on_our_pages(page, addresses):
    ours = [address for address in addresses if address != LIST and not address.startswith(CLIENTS)]
    faulty = []
    for address in ours:
        page.goto(address)
        after = page.locator("ol.breadcrumbs li").evaluate_all(
            "items => items.map((item) => getComputedStyle(item, '::after').content)"
        )
        if [SEPARATOR in text for text in after] != [True] * (len(after) - 1) + [False]:
            faulty.append(address)

    assert faulty == []
