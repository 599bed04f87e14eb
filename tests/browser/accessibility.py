"""What axe-core finds wrong with a page that stands still."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

#: What differs between light and dark, where nothing else does.
COLOURS = {"type": "rule", "values": ["color-contrast"]}
_IS_THERE = "() => 'axe' in window"
# The admin's links change their colour bit by bit after the scheme changes.
_STAND_STILL = "async () => { await Promise.allSettled(document.getAnimations().map((each) => each.finished)) }"
_RUN = """async ([context, options]) => (await axe.run(context ?? document, options)).violations.flatMap(
  (fault) => fault.nodes.map((node) => `${fault.id}: ${node.html.slice(0, 150)}`))"""


def violations(page: Page, *, context: Any = None, **options: Any) -> list[str]:
    """Return address, rule and element of each. *options* are those of ``axe.run``."""
    # After a click, the page may be there before its style is.
    page.wait_for_load_state()
    # It is half a megabyte.
    if not page.evaluate(_IS_THERE):
        page.evaluate(AXE_SCRIPT)
    page.evaluate(_STAND_STILL)
    found = page.evaluate(_RUN, [context, {"resultTypes": ["violations"], **options}])
    return [f"{page.url}: {fault}" for fault in found]


def violations_in_both_schemes(page: Page, *, context: Any = None, **options: Any) -> list[str]:
    """Return what is wrong with a page that is light, and what then is with its colours when it turns dark."""
    found = violations(page, context=context, **options)
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {fault}" for fault in violations(page, context=context, **{**options, "runOnly": COLOURS})]
    page.emulate_media(color_scheme="light")
    return found
