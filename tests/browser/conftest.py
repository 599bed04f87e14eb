from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client as TestClient
from django.test import override_settings
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from apikeys.conf import settings
from tests.browser.windows import PATIENCE_MS, Window, Windows
from tests.example_server import Demo, running_demo
from tests.factories import ClientFactory, PersonFactory

#: A name that is this machine, but no secure context as ``localhost`` is.
INSECURE_HOST = "intranet.test"
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
]

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Return the one browser of this process."""
    # Playwright runs an event loop in this thread, which Django takes for a view that must not query.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=_ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def windows(browser: Browser) -> Windows:
    """Return the windows of this process that stand open for the next test."""
    return Windows(browser)


@pytest.fixture(scope="session")
def live_server(django_db_setup: None) -> Iterator[LiveServer]:
    """Return the server, whose pages carry the strictest policy that they must work under."""
    middleware = ["tests.browser.csp.StrictPolicy", *django_settings.MIDDLEWARE]
    with override_settings(MIDDLEWARE=middleware):
        server = LiveServer("localhost")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _plain_http(transactional_db: None) -> Iterator[None]:
    with override_settings(APIKEYS={**settings.given(), "REQUIRE_HTTPS": False}, ALLOWED_HOSTS=["*"]):
        yield


@pytest.fixture
def person(transactional_db: None) -> Any:
    """Return the person who is signed in: Gilfoyle, who may do everything."""
    return PersonFactory(username="gilfoyle", is_superuser=True)


@pytest.fixture
def app(transactional_db: None) -> Any:
    """Return a client that may hold keys."""
    return ClientFactory(name="Web app")


class Desk:
    """A signed-in person's browser windows, and what went wrong in them."""

    def __init__(self, windows: Windows, server: LiveServer, person: Any, *, color_scheme: str) -> None:
        self.url = server.url
        self.person = person
        self.color_scheme = color_scheme
        self.faults: list[str] = []
        self._windows = windows
        self._taken: list[Window] = []

    def page(self, *, url: str = "", person: Any = None, **options: Any) -> Page:
        """
        Return an empty window, in which *person* is signed in at *url*; by default who sits here, at the server.

        The next test gets the same one: take listeners off again, and leave no script in it.
        """
        window = self._windows.take(base_url=url or self.url, **{"color_scheme": self.color_scheme, **options})
        self._taken.append(window)
        window.hears_console = self._note
        client = TestClient()
        client.force_login(person or self.person)
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
        window.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": url or self.url}])
        return window.page

    def close(self) -> None:
        """Give all windows back."""
        for window in self._taken:
            self._windows.give_back(window)

    def _note(self, kind: str, text: str) -> None:
        # A status that a test asks for, and a header that plain HTTP makes useless, are no faults of the page.
        expected = "Failed to load resource" in text or "Cross-Origin-Opener-Policy header has been ignored" in text
        if kind in {"error", "warning"} and not expected:
            self.faults.append(text)


@pytest.fixture
def color_scheme() -> str:
    """Return the scheme of the windows of one test; ``IN_BOTH_SCHEMES`` replaces it."""
    return "light"


@pytest.fixture
def desk(windows: Windows, live_server: LiveServer, person: Any, color_scheme: str) -> Iterator[Desk]:
    """Return the person's desk. A console error or a violation of the policy fails the test."""
    desk = Desk(windows, live_server, person, color_scheme=color_scheme)
    yield desk
    desk.close()
    assert desk.faults == []


@pytest.fixture
def page(desk: Desk) -> Page:
    """Return one window, with script, light unless the test asks for dark, 1280 pixels wide."""
    return desk.page()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Return the demonstration, its programs beside it: other processes, with settings and a database of their own."""
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture(scope="session")
def richards_cookies(windows: Windows, demo: Demo) -> Any:
    """Return the cookies of Richard, whose password takes a while to check."""
    window = windows.take(base_url=demo.url)
    page = window.page
    page.goto("/login/")
    page.get_by_label("Username").fill("richard")
    page.get_by_label("Password").fill("middle-out")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title("To-dos – Pied Piper Todo")
    cookies = window.context.cookies()
    windows.give_back(window)
    return cookies


@contextmanager
def richards_windows(
    windows: Windows, demo: Demo, cookies: Any, *, color_scheme: str = "light"
) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens Richard's window; a word on its console or a call to a strange host is a fault."""
    faults: list[str] = []
    taken = []

    def own_hosts_alone(request: Request) -> None:
        if not request.url.startswith((f"{demo.url}/", f"{demo.hooli}/", f"{demo.piper}/", "data:")):
            faults.append(request.url)

    def open_window(width: int = 1280, *, is_signed_in: bool = True, **options: Any) -> Page:
        window = windows.take(base_url=demo.url, width=width, height=900, color_scheme=color_scheme, **options)
        taken.append(window)
        window.hears_request = own_hosts_alone
        window.hears_console = lambda _kind, text: faults.append(text)
        if is_signed_in:
            window.context.add_cookies(cookies)
        return window.page

    yield open_window
    for each in taken:
        windows.give_back(each)
    assert faults == []


@pytest.fixture
def window(windows: Windows, demo: Demo, richards_cookies: Any, color_scheme: str) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a window for one test."""
    with richards_windows(windows, demo, richards_cookies, color_scheme=color_scheme) as open_window:
        yield open_window


@pytest.fixture(scope="module")
def open_windows(windows: Windows, demo: Demo, richards_cookies: Any) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a window for the tests of a file, which only look at what it shows."""
    with richards_windows(windows, demo, richards_cookies) as open_window:
        yield open_window
