from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client as TestClient
from django.test import override_settings
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from apikeys.conf import settings
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
_PATIENCE_MS = 10_000


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

    def __init__(self, browser: Browser, server: LiveServer, person: Any) -> None:
        self.browser = browser
        self.url = server.url
        self.person = person
        self.faults: list[str] = []
        self._contexts: list[BrowserContext] = []

    def context(self, *, url: str = "", **options: Any) -> BrowserContext:
        """Return a new context, signed in at *url*."""
        context = self.browser.new_context(base_url=url or self.url, **options)
        context.set_default_timeout(_PATIENCE_MS)
        client = TestClient()
        client.force_login(self.person)
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": url or self.url}])
        context.on("console", lambda message: self._note(message.type, message.text))
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        # Leaving a reveal page asks; tests that care listen themselves, first.
        context.on("dialog", lambda dialog: dialog.accept())
        self._contexts.append(context)
        return context

    def page(self, **options: Any) -> Page:
        """Return the window of a new context."""
        return self.context(**options).new_page()

    def close(self) -> None:
        """Close all windows."""
        for context in self._contexts:
            context.close()

    def _note(self, kind: str, text: str) -> None:
        # A status that a test asks for, and a header that plain HTTP makes useless, are no faults of the page.
        expected = "Failed to load resource" in text or "Cross-Origin-Opener-Policy header has been ignored" in text
        if kind in {"error", "warning"} and not expected:
            self.faults.append(text)


@pytest.fixture
def desk(browser: Browser, live_server: LiveServer, person: Any) -> Iterator[Desk]:
    """Return the person's desk. A console error or a violation of the policy fails the test."""
    desk = Desk(browser, live_server, person)
    yield desk
    desk.close()
    assert desk.faults == []


@pytest.fixture
def page(desk: Desk) -> Page:
    """Return one window, with script, light, 1280 pixels wide."""
    return desk.page(viewport={"width": 1280, "height": 800}, color_scheme="light")
