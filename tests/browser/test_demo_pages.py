"""Every page of the demonstration, in a browser, as ``manage.py demo`` serves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from tests.example_server import Demo, paste, running_demo

pytestmark = pytest.mark.browser

# Another process answers, on a machine that may be busy.
expect.set_options(timeout=15_000)

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


PAGES: dict[Callable[[Page], None], str] = {
    home: "One API, four apps, two users. See who can do what.",
    asked: "One API, four apps, two users. See who can do what.",
    reveal: "Copy your new key",
    login: "Sign in",
    refused_login: "Sign in",
    todos: "To-dos",
    code: "The code of the home page",
}


def see(page: Page, visit: Callable[[Page], None]) -> None:
    """Do *visit* and wait until the page is there, with its style and script."""
    visit(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[visit])
    page.wait_for_load_state("load")


@pytest.fixture(autouse=True)
def _plain_http() -> None:
    # The pages come from another process, with settings and a database of its own.
    pass


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture(scope="module")
def signed_in(browser: Browser, demo: Demo) -> Any:
    """Return the cookies of Richard, whose password takes a while to check."""
    context = browser.new_context(base_url=demo.url)
    page = context.new_page()
    page.goto("/login/")
    page.get_by_label("Username").fill("richard")
    page.get_by_label("Password").fill("middle-out")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title("To-dos – Pied Piper Todo")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def window(browser: Browser, demo: Demo, signed_in: Any) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a window; a word on its console or a call to another host fails the test."""
    faults: list[str] = []
    contexts = []

    def own_host_alone(request: Request) -> None:
        if not request.url.startswith(f"{demo.url}/"):
            faults.append(request.url)

    def open_window(width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(
            base_url=demo.url, storage_state=signed_in, viewport={"width": width, "height": 900}, **options
        )
        contexts.append(context)
        context.on("request", own_host_alone)
        context.on("console", lambda message: faults.append(message.text))
        context.on("weberror", lambda error: faults.append(str(error.error)))
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    assert faults == []


@pytest.mark.parametrize("visit", PAGES, ids=lambda visit: visit.__name__)
def test_a_page_is_accessible_in_light_and_dark(window, visit):
    page = window(color_scheme="light")
    see(page, visit)

    light = Axe().run(page).response
    page.emulate_media(color_scheme="dark")
    dark = Axe().run(page).response

    assert (light["violations"], dark["violations"]) == ([], [])


@pytest.mark.parametrize("visit", PAGES, ids=lambda visit: visit.__name__)
def test_a_page_does_not_scroll_sideways_on_a_phone(window, visit):
    page = window(390)

    see(page, visit)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_page_allows_this_sites_own_files_alone(window):
    page = window()

    policy = page.request.get("/").headers["content-security-policy"]

    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy


def test_a_cell_opens_to_its_request_and_response(window):
    page = window()
    page.goto("/?as=dinesh")
    page.get_by_role("button", name="Ask the API").click()

    cell = page.get_by_role("row", name="LLM Summariser").get_by_role("cell").nth(1)
    cell.locator("summary").click()

    expect(cell.locator("pre").first).to_contain_text("POST /api/todos/ HTTP/1.1")
    expect(cell.locator("pre").last).to_contain_text('scope="todo:write"')
    expect(cell.locator("pre").last).to_be_visible()


def test_switching_the_person_asks_again_for_that_one(window):
    page = window()
    page.goto("/")
    page.get_by_role("button", name="Ask the API").click()

    page.get_by_role("button", name="Dinesh").click()

    expect(page.get_by_role("columnheader", name="See Richard's to-dos")).to_be_visible()
    expect(page.locator("summary")).to_have_count(20)
    expect(page.get_by_text("This is a bug")).to_have_count(0)


@pytest.mark.parametrize("app", ["Web app", "LLM Summariser", "Apple Watch app", "Analytics"])
def test_a_key_from_the_page_gets_its_first_200(window, app):
    page = window()
    page.goto("/")
    page.get_by_role("radio", name=app).check()
    page.get_by_role("button", name="Give me a key").click()

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
    page = window(permissions=["clipboard-read", "clipboard-write"])
    see(page, reveal)

    page.get_by_role("button", name="Copy key").click()

    expect(page.get_by_text("Copied to the clipboard.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.get_by_label("Key for").input_value()


@pytest.mark.parametrize("visit", [asked, reveal, todos], ids=lambda visit: visit.__name__)
def test_a_page_works_without_script(window, visit):
    page = window(java_script_enabled=False)

    see(page, visit)

    expect(page.get_by_role("button", name="Copy")).to_have_count(0)


def test_without_script_the_key_is_shown(window):
    page = window(java_script_enabled=False)

    see(page, reveal)

    assert A_KEY.fullmatch(page.get_by_label("Key for").input_value())


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
