"""Browser windows that tests take one after the other: to open one costs more than most tests do in it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, Request, ViewportSize
from playwright.sync_api import Error as PlaywrightError

#: What any step in a browser may take on a machine that is busy with other tests.
PATIENCE_MS = 30_000
_WIDTH, _HEIGHT = 1280, 800

_FORGET = "() => { try { localStorage.clear(); sessionStorage.clear(); } catch { /* a page of nobody has none */ } }"


class Window:
    """A window of a context of its own, that starts empty: no cookie, no history, no right of a site, no listener."""

    def __init__(self, browser: Browser, *, base_url: str, **options: Any) -> None:
        self.context = browser.new_context(base_url=base_url, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.on("console", lambda message: self.hears_console(message.type, message.text))
        self.context.on("weberror", lambda error: self.hears_console("error", str(error.error)))
        self.context.on("request", self._request)
        # Leaving a reveal page asks; tests that care listen themselves, first.
        self.context.on("dialog", lambda dialog: dialog.accept())
        self.page: Page = self.context.new_page()
        self._base_url = base_url
        self._protocol: CDPSession = self.context.new_cdp_session(self.page)
        self.hears_console: Callable[[str, str], None]
        self.hears_request: Callable[[Request], None]
        self.ignore()

    def ignore(self) -> None:
        """Tell nobody what happens in it."""
        self.hears_console = lambda _kind, _text: None
        self.hears_request = lambda _request: None

    def set(self, *, width: int, height: int, color_scheme: Any) -> None:
        """Give it this size and scheme."""
        size: ViewportSize = {"width": width, "height": height}
        if self.page.viewport_size != size:
            self.page.set_viewport_size(size)
        self.page.emulate_media(color_scheme=color_scheme)

    def empty(self) -> None:
        """Make it as it was when it was new, but for the files of the site that it keeps."""
        for other in self.context.pages:
            if other is not self.page:
                other.close()
        self.page.evaluate(_FORGET)
        self.page.goto("about:blank")
        # Where it was left, it would point at something of the next page.
        self.page.mouse.move(0, 0)
        self._protocol.send("Page.resetNavigationHistory")
        self._protocol.send("Storage.clearDataForOrigin", {"origin": self._base_url, "storageTypes": "local_storage"})
        self.context.clear_cookies()
        self.context.clear_permissions()

    def _request(self, request: Request) -> None:
        self.hears_request(request)


class Windows:
    """The windows of a browser that nobody uses right now."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: dict[str, list[Window]] = defaultdict(list)
        self._kinds: dict[Window, str] = {}

    def take(
        self, *, base_url: str, width: int = _WIDTH, height: int = _HEIGHT, color_scheme: str = "light", **options: Any
    ) -> Window:
        """Return an empty window. *options* are those of ``new_context`` that can't be changed later."""
        kind = json.dumps([base_url, options], sort_keys=True)
        window = self._idle[kind].pop() if self._idle[kind] else Window(self._browser, base_url=base_url, **options)
        self._kinds[window] = kind
        window.set(width=width, height=height, color_scheme=color_scheme)
        return window

    def give_back(self, window: Window) -> None:
        """Empty *window* for the next; where that fails, it is closed."""
        kind = self._kinds.pop(window)
        try:
            window.empty()
        except PlaywrightError:
            window.context.close()
        else:
            self._idle[kind].append(window)
        window.ignore()
