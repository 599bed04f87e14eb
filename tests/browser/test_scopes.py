from __future__ import annotations

from itertools import chain

import pytest
from django.urls import resolve
from playwright.sync_api import expect

from apikeys.registry import scope_registry
from tests.browser.schemes import IN_BOTH_SCHEMES, scheme_of
from tests.browser.test_pages import faults_of, is_wider

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("app")]

PAGE = "/apikeys/scopes/"


@pytest.fixture(autouse=True)
def _site(settings):
    settings.ROOT_URLCONF = "tests.openapi_urls"


def shown(page):
    """Return the names of the permissions that the page shows."""
    return page.locator(".permission:visible .anchor").all_inner_texts()


@IN_BOTH_SCHEMES
def test_page_is_shown_in_the_scheme_of_its_window(page, color_scheme):
    page.goto(PAGE)

    assert scheme_of(page) == color_scheme


@IN_BOTH_SCHEMES
def test_every_permission_is_shown_under_one_heading(page):
    page.goto(PAGE)

    assert shown(page) == list(scope_registry())
    assert page.locator("h1").all_inner_texts() == [page.title()]
    assert page.get_by_role("main").count() == 1


@IN_BOTH_SCHEMES
def test_endpoints_of_a_permission_are_those_of_the_url_configuration(page):
    page.goto(PAGE)

    found = page.locator(".permission").evaluate_all(
        """all => Object.fromEntries(all.map((one) => [one.querySelector(".anchor").innerText,
            [...one.querySelectorAll(".endpoints code")].map((code) => code.innerText)]))"""
    )

    assert found == {
        "todo:read": [
            "GET /api/either/",
            "GET /api/notes/",
            "GET /api/notes/count/",
            "GET /api/notes/{id}/",
            "GET /api/numbers/",
            "PUT /api/numbers/",
            "GET /api/profile/",
        ],
        "todo:write": ["POST /api/notes/", "GET /api/numbers/", "PUT /api/numbers/", "POST /api/tidy-up/"],
        "usage:read": ["GET /api/either/", "GET /api/notes/count/", "GET /api/numbers/", "PUT /api/numbers/"],
        "apikeys:usage": ["GET /apikeys/usage/"],
        "apikeys:introspect": [],
    }
    # Each is an address of this site; others would raise here.
    for call in chain.from_iterable(found.values()):
        resolve(call.partition(" ")[2].replace("{id}", "1"))


def test_search_shows_what_has_all_words(page):
    page.goto(PAGE)
    page.get_by_label("Search permissions and endpoints").fill("due titles")

    expect(page.get_by_role("status")).to_have_text(f"1 of {len(scope_registry())} permissions")
    assert shown(page) == ["todo:read"]
    expect(page.get_by_role("heading", name="Usage")).to_be_hidden()


def test_search_finds_endpoints(page):
    page.goto(PAGE)
    page.get_by_label("Search permissions and endpoints").fill("/api/tidy-up/")

    expect(page.get_by_role("status")).to_contain_text("1 of")
    assert shown(page) == ["todo:write"]


def test_enter_in_the_search_stays_on_the_page(page):
    page.goto(PAGE)
    field = page.get_by_label("Search permissions and endpoints")
    field.fill("todo")
    field.press("Enter")

    assert page.url.endswith(PAGE)


@IN_BOTH_SCHEMES
def test_anchor_leads_to_its_permission_past_a_search(page):
    page.goto(PAGE)
    page.get_by_label("Search permissions and endpoints").fill("usage")
    page.get_by_role("navigation").get_by_role("link", name="todo:write").click()

    expect(page.locator("#todo-write")).to_be_in_viewport()
    assert page.url.endswith("#todo-write")
    assert shown(page) == list(scope_registry())


@IN_BOTH_SCHEMES
def test_page_works_without_script(desk):
    page = desk.page(java_script_enabled=False)
    page.goto(f"{PAGE}#usage-read")

    expect(page.locator("#usage-read")).to_be_in_viewport()
    expect(page.get_by_role("searchbox")).to_be_hidden()
    assert len(shown(page)) == len(scope_registry())


@IN_BOTH_SCHEMES
def test_link_leads_to_a_form_with_the_permission_chosen(page):
    page.goto(PAGE)
    page.locator("#usage-read").get_by_role("link", name="Issue a key with this permission").click()

    expect(page).to_have_title("Issue an API key | Django site admin")
    expect(page.locator("input[name=scopes][value='usage:read']")).to_be_checked()


def test_page_has_no_accessibility_fault_in_light_and_dark(desk, page):
    page.goto(PAGE)

    assert faults_of(desk, page, context="body") == []


def test_page_is_no_wider_than_a_small_window(desk):
    page = desk.page(width=390)
    page.goto(PAGE)

    assert not is_wider(page)
