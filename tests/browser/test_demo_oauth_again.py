"""The way to an app of the demonstration, for who has allowed it a moment ago and signs in on the way."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.example_server import Demo

# One process of the tests serves the demonstration, not each.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demonstration")]


@pytest.fixture(autouse=True)
def _plain_http() -> None:
    # The pages come from other processes, with settings and databases of their own.
    pass


def sign_in_on_the_way_to_the_summariser(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.hooli}/")
    page.get_by_role("button", name="Summarise my day").click()
    page.get_by_label("Username").fill("dinesh")
    page.get_by_label("Password").fill("pakistani-denzel")
    page.get_by_role("button", name="Sign in").click()


def test_who_is_not_asked_again_comes_back_to_the_summariser(window, demo):
    first, second = window(is_signed_in=False), window(is_signed_in=False)
    sign_in_on_the_way_to_the_summariser(first, demo)
    first.get_by_role("button", name="Allow").click()
    expect(first.get_by_role("heading", name="Your day", exact=True)).to_be_visible()

    sign_in_on_the_way_to_the_summariser(second, demo)

    expect(second.get_by_role("heading", name="Your day", exact=True)).to_be_visible()
    first.wait_for_load_state()
    second.wait_for_load_state()
