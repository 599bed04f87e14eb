"""What holds on every page: accessible in light and dark, no wider than the window, one heading, a title of its own."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apikeys import keys
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.admin_pages import ADD, CLIENTS, LIST, REVOKE_MANY, page_of
from tests.browser.accessibility import violations_in_both_schemes
from tests.browser.conftest import Desk
from tests.factories import PersonFactory

pytestmark = pytest.mark.browser

SEPARATOR = "\u203a"

#: What is ours: not the admin's header, its side bar and the links of its filters.
_OURS = {"include": [["#content"]], "exclude": [["#changelist-filter"]]}
_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


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
        page_of(key, "limits"),
        f"{LIST}identify/",
        f"{REVOKE_MANY}?client={app.pk}",
        f"{CLIENTS}{app.pk}/change/",
    ]


def faults_of(desk: Desk, page: Page, *, context: Any = _OURS) -> list[str]:
    """Return what is wrong with the page that is open, in light and in dark."""
    before = len(desk.faults)
    found = violations_in_both_schemes(page, context=context, runOnly=_RULES)
    # Some of its rules try inline styles, which the policy refuses: no fault of the page.
    del desk.faults[before:]
    return found


def test_pages_have_no_accessibility_fault_in_light_and_dark_and_fit_a_small_window(desk, page, addresses, app):
    faults = []
    for address in addresses:
        page.goto(address)
        faults += faults_of(desk, page)
        faults += [f"{address}: wider than a small window"] if is_wider_when_small(page) else []
    page.goto(f"{REVOKE_MANY}?client={app.pk}")
    page.get_by_role("button", name="Revoke").click()
    expect(page).to_have_title(re.compile("^Error:"))
    faults += faults_of(desk, page)
    page.goto(f"{ADD}?client=Web+app&scope=todo:write")
    page.get_by_role("button", name="Issue key").click()
    expect(page).to_have_title(re.compile("^Error:"))
    faults += faults_of(desk, page)

    assert faults == []


def test_reveal_has_no_accessibility_fault_in_light_and_dark_and_fits_a_small_window(desk, page, app):
    reveal(page)

    assert faults_of(desk, page) == []
    assert not is_wider_when_small(page)


@pytest.mark.parametrize("address", [LIST, CLIENTS], ids=["keys", "clients"])
def test_list_needs_no_sideways_scroll(page, addresses, address):
    page.goto(address)

    assert page.evaluate("((list) => list.scrollWidth <= list.clientWidth)(document.querySelector('.results'))")


def is_wider(page: Page) -> bool:
    page.wait_for_load_state()
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def is_wider_when_small(page: Page) -> bool:
    """Make the window small for a moment, and return whether the page then scrolls sideways."""
    size = page.viewport_size
    assert size
    page.set_viewport_size({"width": 390, "height": 800})
    found = is_wider(page)
    page.set_viewport_size(size)
    return found


def test_every_page_has_one_heading_a_title_of_its_own_and_separated_breadcrumbs(page, addresses):
    titles, headings, run_together = [], [], []
    for address in addresses:
        page.goto(address)
        titles.append(page.title())
        headings.append(page.locator("h1").count())
        if address != LIST and not address.startswith(CLIENTS) and not has_separated_breadcrumbs(page):
            run_together.append(address)

    assert len(set(titles)) == len(addresses)
    assert set(headings) == {1}
    assert run_together == []


def has_separated_breadcrumbs(page: Page) -> bool:
    after = page.locator("ol.breadcrumbs li").evaluate_all(
        "items => items.map((item) => getComputedStyle(item, '::after').content)"
    )
    return [SEPARATOR in text for text in after] == [True] * (len(after) - 1) + [False]
