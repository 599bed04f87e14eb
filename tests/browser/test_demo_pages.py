"""Every page of the demonstration, in a browser, as ``manage.py demo`` serves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.accessibility import violations_in_both_schemes
from tests.browser.schemes import IN_BOTH_SCHEMES
from tests.example_server import paste

# One process of the tests serves the demonstration, not each.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demonstration")]

A_KEY = re.compile(r"ak_live_\w{12}_\w{51}")


def home(page: Page) -> None:
    page.goto("/")


def asked(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Ask the API").click()
    page.locator("summary").nth(9).click()


def reveal(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Give me a key").click()


def login(page: Page) -> None:
    page.goto("/login/")


def refused_login(page: Page) -> None:
    page.goto("/login/")
    page.get_by_label("Username").fill("richard")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()


def todos(page: Page) -> None:
    page.goto("/todos/")


def code(page: Page) -> None:
    page.goto("/code/")


HOME = "One API, four apps, two users. See who can do what."
PAGES: dict[Callable[[Page], None], str] = {
    home: HOME,
    reveal: "Copy your new key",
    login: "Sign in",
    refused_login: "Sign in",
    todos: "To-dos",
    code: "The code of the home page",
}


def see(page: Page, visit: Callable[[Page], None]) -> None:
    """Do *visit* and wait until the page is there, with its style and script."""
    visit(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES.get(visit, HOME))
    page.wait_for_load_state("load")


def faults_of(page: Page) -> list[str]:
    """Return what is wrong with the page that is open, in light and dark, and on a phone."""
    found = violations_in_both_schemes(page)
    page.set_viewport_size({"width": 390, "height": 900})
    if page.evaluate("document.documentElement.scrollWidth") > 390:
        found.append("wider than a phone")
    page.set_viewport_size({"width": 1280, "height": 900})
    return found


@pytest.fixture(autouse=True)
def _plain_http() -> None:
    # The pages come from another process, with settings and a database of its own.
    pass


@pytest.mark.parametrize("visit", PAGES, ids=lambda visit: visit.__name__)
def test_a_page_is_accessible_in_light_and_dark_and_fits_a_phone(window, visit):
    page = window()
    see(page, visit)

    assert faults_of(page) == []


def test_every_page_allows_this_sites_own_files_alone(window):
    page = window()

    policy = page.request.get("/").headers["content-security-policy"]

    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy


@pytest.fixture(scope="module")
def matrix(open_windows: Callable[..., Page]) -> Page:
    """Return the home page that asked the API for Richard: 28 calls, which the tests of what it says share."""
    page = open_windows()
    page.goto("/")
    page.get_by_role("button", name="Ask the API").click()
    expect(page.locator("summary")).to_have_count(28)
    page.wait_for_load_state("load")
    return page


@pytest.fixture(scope="module")
def switched_matrix(open_windows: Callable[..., Page]) -> Page:
    """Return the home page that asked the API for Richard, and then for Dinesh."""
    page = open_windows()
    page.goto("/")
    page.get_by_role("button", name="Ask the API").click()
    page.get_by_role("button", name="Dinesh").click()
    expect(page.get_by_role("columnheader", name="See Richard's to-dos")).to_be_visible()
    return page


@contextmanager
def opened(cell: Locator) -> Iterator[Locator]:
    """Open *cell* of the matrix, yield what it shows, and close it again: its tests share the page."""
    cell.locator("summary").click()
    yield cell.locator("pre")
    cell.locator("summary").click()


@pytest.mark.parametrize("number", [9, 6], ids=["call", "exchange-and-call"])
def test_an_opened_cell_is_accessible_in_light_and_dark_and_fits_a_phone(matrix, number):
    with opened(matrix.locator("tbody td").filter(has=matrix.locator("summary")).nth(number)):
        assert faults_of(matrix) == []


@IN_BOTH_SCHEMES
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_that_can_be_clicked_lies_under_an_opened_cell(window, width):
    page = window(width, java_script_enabled=False)
    page.goto("/")
    page.get_by_role("button", name="Ask the API").click()
    cells = page.locator("summary")
    expect(cells).to_have_count(28)

    for number in (0, 21):
        cells.nth(number).click()

        for other in page.locator("main :is(summary, a, button, [type=radio])").all():
            other.click(trial=True)


def test_a_cell_opens_to_its_request_and_response(matrix):
    with opened(matrix.get_by_role("row", name="LLM Summariser").get_by_role("cell").nth(1)) as shown:
        expect(shown.first).to_contain_text("POST /api/todos/ HTTP/1.1")
        expect(shown.last).to_contain_text('scope="todo:write"')
        expect(shown.last).to_be_visible()


def test_a_cell_of_summaries_opens_to_the_exchange_and_then_the_call(matrix):
    with opened(matrix.get_by_role("row", name="Web app").get_by_role("cell").nth(6)) as shown:
        expect(shown).to_have_count(4)
        expect(shown.nth(0)).to_contain_text("POST /authority/token HTTP/1.1")
        expect(shown.nth(1)).to_contain_text('"access_token": "eyJ')
        expect(shown.nth(2)).to_contain_text("GET /api/summary HTTP/1.1")
        expect(shown.nth(3)).to_contain_text('"subscription": "premium"')
        expect(shown.nth(3)).to_be_visible()
    assert not re.search(r"eyJ[\w-]{20}", matrix.content())


@pytest.mark.parametrize("asked_for", ["matrix", "switched_matrix"], ids=["richard", "dinesh"])
def test_both_api_servers_answer_as_expected_for_both_users(request, asked_for):
    page = request.getfixturevalue(asked_for)

    for app, status in (("Web app", 200), ("LLM Summariser", 200), ("Apple Watch app", 200), ("Analytics", 403)):
        for column in (5, 6):
            cell = page.get_by_role("row", name=app).get_by_role("cell").nth(column)
            expect(cell.locator("strong")).to_have_text(str(status))
    expect(page.get_by_text("This is a bug")).to_have_count(0)


def test_switching_the_person_asks_again_for_that_one(switched_matrix):
    expect(switched_matrix.get_by_role("columnheader", name="See Richard's to-dos")).to_be_visible()
    expect(switched_matrix.locator("summary")).to_have_count(28)
    expect(switched_matrix.get_by_text("This is a bug")).to_have_count(0)


@pytest.mark.parametrize("app", ["Web app", "LLM Summariser", "Apple Watch app", "Analytics"])
def test_a_key_from_the_page_gets_its_first_200(window, app):
    page = window()
    page.goto("/")
    page.get_by_role("radio", name=app).check()
    page.get_by_role("button", name="Give me a key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[reveal])
    page.wait_for_load_state("load")

    key = page.get_by_label("Key for").input_value()
    command = page.get_by_role("region", name="Commands").inner_text().splitlines()[-1]

    assert A_KEY.fullmatch(key)
    assert paste(command.replace("$PIPER_KEY", key))[0] == 200


def test_reload_and_back_show_no_key(window):
    page = window()
    see(page, reveal)

    page.reload()
    reloaded = page.content()
    page.go_back()

    assert not A_KEY.search(reloaded)
    assert not A_KEY.search(page.content())


def test_copying_puts_the_key_on_the_clipboard(window):
    page = window()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    see(page, reveal)

    page.get_by_role("button", name="Copy key").click()

    expect(page.get_by_text("Copied to the clipboard.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.get_by_label("Key for").input_value()


@pytest.mark.parametrize("visit", [asked, todos], ids=lambda visit: visit.__name__)
def test_a_page_works_without_script(window, visit):
    page = window(java_script_enabled=False)

    see(page, visit)

    expect(page.get_by_role("button", name="Copy")).to_have_count(0)


def test_without_script_the_key_is_shown_and_no_button_is_dead(window):
    page = window(java_script_enabled=False)

    see(page, reveal)

    assert A_KEY.fullmatch(page.get_by_label("Key for").input_value())
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)


def test_a_todo_can_be_added_and_ticked_off(window):
    page = window()
    see(page, todos)

    page.get_by_label("Title").fill("Sell the jacket")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="Mark as done: Sell the jacket").click()

    expect(page.get_by_role("button", name="Reopen: Sell the jacket")).to_be_visible()


def test_starting_over_says_so(window):
    page = window()
    page.goto("/")

    page.get_by_role("button", name="Start over").click()

    expect(page.get_by_role("status")).to_contain_text("All demo data are fresh.")
