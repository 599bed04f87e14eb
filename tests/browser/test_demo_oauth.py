"""The apps of the demonstration as people use them: consent, watch, numbers, and the way back."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from example_project.todo.seed import TODOS
from tests.browser.accessibility import violations_in_both_schemes
from tests.browser.schemes import IN_BOTH_SCHEMES, WITH_AND_WITHOUT_SCRIPT, scheme_of
from tests.example_server import Demo

# One process of the tests serves the demonstration, not each.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demonstration")]


def open_titles(name: str) -> set[str]:
    return {title for _days, title, is_done in TODOS[name] if not is_done}


@pytest.fixture(autouse=True)
def _plain_http() -> None:
    # The pages come from other processes, with settings and databases of their own.
    pass


def connect_summariser(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.hooli}/")
    page.get_by_role("button", name="Summarise my day").click()
    # Who came a moment ago is not asked again.
    allow = page.get_by_role("button", name="Allow")
    summary = page.get_by_role("heading", name="Your day", exact=True)
    expect(allow.or_(summary)).to_be_visible()
    if allow.is_visible():
        allow.click()
    expect(summary).to_be_visible()
    page.wait_for_load_state()


def pair_watch(page: Page, demo: Demo) -> str:
    """Show a code on the watch, and return it."""
    page.goto(f"{demo.piper}/watch/")
    page.get_by_role("button", name="Pair this watch").click()
    code = page.locator(".user-code").inner_text()
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", code)
    return code


def hooli(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.hooli}/")


def summary(page: Page, demo: Demo) -> None:
    connect_summariser(page, demo)


def watch(page: Page, demo: Demo) -> None:
    pair_watch(page, demo)


def analytics(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.piper}/analytics/")


def web(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.piper}/")
    page.get_by_role("button", name="Sign in with Pied Piper").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Richard")


def permissions(page: Page, demo: Demo) -> None:
    page.goto("/apikeys/scopes/")


def connected(page: Page, demo: Demo) -> None:
    connect_summariser(page, demo)
    page.goto("/o/connected-apps/")


PAGES: list[Callable[..., None]] = [hooli, summary, watch, analytics, web, permissions, connected]


@pytest.mark.parametrize("visit", PAGES, ids=lambda visit: visit.__name__)
def test_a_page_is_accessible_and_fits_a_phone_in_light_and_dark(window, demo, visit):
    page = window(390)
    visit(page, demo)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)

    assert violations_in_both_schemes(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@IN_BOTH_SCHEMES
def test_pages_are_shown_in_the_scheme_of_their_window(window, demo, color_scheme):
    page = window()

    for address in (f"{demo.hooli}/", f"{demo.piper}/watch/", "/todos/"):
        page.goto(address)

        assert scheme_of(page) == color_scheme


@IN_BOTH_SCHEMES
@WITH_AND_WITHOUT_SCRIPT
def test_the_summariser_shows_richards_titles_alone_after_he_allowed_it(window, demo, has_script):
    page = window(java_script_enabled=has_script)

    connect_summariser(page, demo)

    text = page.locator("main").inner_text()
    assert {title for title in open_titles("richard") if title in text} == open_titles("richard")
    assert not [title for _days, title, _is_done in TODOS["dinesh"] if title in text]


def test_who_knew_the_visitors_session_before_has_nothing_of_the_token(window, demo):
    page = window()
    page.goto(f"{demo.hooli}/")
    before = session_of(page)

    connect_summariser(page, demo)

    assert session_of(page) != before


def session_of(page: Page) -> str:
    return next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "hooli_session")


def test_who_declines_shows_the_summariser_nothing(window, demo):
    page = window()
    page.goto("/o/connected-apps/")
    withdraw_if_connected(page)
    page.goto(f"{demo.hooli}/")
    page.get_by_role("button", name="Summarise my day").click()

    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_role("alert")).to_have_text("You said no. We have seen nothing.")


def test_who_withdraws_locks_the_summariser_out_at_once(window, demo):
    page = window()
    connect_summariser(page, demo)

    page.goto("/o/connected-apps/")
    withdraw_if_connected(page)
    page.goto(f"{demo.hooli}/")

    expect(page.get_by_role("alert")).to_contain_text("no longer lets us in")


def withdraw_if_connected(page: Page) -> None:
    """Withdraw what the Summariser may do, on the page of connected apps."""
    app = page.get_by_role("article", name="LLM Summariser")
    if app.count():
        app.get_by_role("link", name="Withdraw access").click()
        page.get_by_role("button", name="Withdraw").click()
        expect(page.get_by_text("Access was withdrawn.")).to_be_visible()


@IN_BOTH_SCHEMES
def test_what_is_said_to_the_watch_appears_in_the_web_app(window, demo, color_scheme):
    # The other scheme's is on the list already.
    title = f"Buy a {color_scheme} watch strap"
    wrist, desk = window(390), window()
    code = pair_watch(wrist, demo)

    desk.goto("/o/device/")
    desk.get_by_label("Code").fill(code)
    desk.get_by_role("button", name="Continue").click()
    desk.get_by_role("button", name="Allow").click()
    wrist.get_by_label("Say what is to do").fill(title)
    wrist.get_by_role("button", name="Add").click()
    expect(wrist.get_by_role("listitem").filter(has_text=title)).to_be_visible()
    desk.goto("/todos/")

    expect(desk.get_by_text(title)).to_be_visible()


@IN_BOTH_SCHEMES
def test_analytics_shows_numbers_and_no_text(window, demo):
    page = window()

    analytics(page, demo)

    text = page.locator("main").inner_text()
    numbers = [int(cell) for cell in page.get_by_role("cell").all_inner_texts()]
    assert len(numbers) == 3
    assert numbers[0] == 3
    assert not [title for todos in TODOS.values() for _days, title, _is_done in todos if title in text]


def test_who_signs_in_on_the_way_comes_back_to_the_web_app_unasked(window, demo):
    page = window(is_signed_in=False)
    page.goto(f"{demo.piper}/")
    page.get_by_role("button", name="Sign in with Pied Piper").click()
    page.get_by_label("Username").fill("dinesh")
    page.get_by_label("Password").fill("pakistani-denzel")

    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Dinesh")
    expect(page.get_by_text("the key says that Web app calls")).to_be_visible()


def test_connecting_the_summariser_ticks_the_step(window, demo):
    page = window()

    connect_summariser(page, demo)
    page.goto("/")

    step = page.get_by_role("listitem").filter(has_text="Connect the Summariser")
    expect(step.get_by_text("(done)")).to_have_count(1)


def test_a_viewer_can_not_add_todos_until_made_an_editor_again(window):
    page = window()
    page.goto("/")
    page.get_by_role("radio", name="a viewer").check()
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status")).to_contain_text("Richard is now a viewer")

    page.get_by_role("button", name="Ask the API").click()
    denied = page.get_by_role("row", name="Apple Watch app").get_by_role("cell").nth(1)
    expect(denied).to_contain_text("lacks todo:write")
    expect(page.get_by_text("This is a bug")).to_have_count(0)
    page.goto("/")
    page.get_by_role("radio", name="an editor").check()
    page.get_by_role("button", name="Change the role").click()

    expect(page.get_by_role("status")).to_contain_text("Richard is now an editor")


def test_the_docs_show_every_endpoint_from_this_site(window):
    page = window()

    page.goto("/api/docs/")

    expect(page.get_by_role("heading", level=1)).to_contain_text("Pied Piper Todo")
    for path in ("/api/todos/", "/api/usage/", "/api/profile/"):
        expect(page.locator(f'[data-path="{path}"]').first).to_be_visible()
