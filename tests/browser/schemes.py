"""Light and dark, as people ask their system for them and browsers tell pages."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

#: Runs a test in a light and in a dark window; it may ask for ``color_scheme``, which desks and windows follow.
IN_BOTH_SCHEMES = pytest.mark.parametrize("color_scheme", ["light", "dark"])

#: Runs a test in a window with script and in one without.
WITH_AND_WITHOUT_SCRIPT = pytest.mark.parametrize("has_script", [True, False], ids=["script", "no-script"])

_BRIGHTNESS_OF_TEXT = """() => Math.max(...getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3))"""


def scheme_of(page: Page) -> str:
    """Return the scheme in which *page* shows its text: what is bright can be read on dark alone."""
    return "dark" if page.evaluate(_BRIGHTNESS_OF_TEXT) > 127 else "light"  # half of the most
