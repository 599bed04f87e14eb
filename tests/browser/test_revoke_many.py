from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from apikeys.models import KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.admin_pages import LIST, REVOKE_MANY
from tests.many_keys import insert_keys

pytestmark = pytest.mark.browser


@pytest.fixture
def issued(app):
    return [make_key(client=app, name=name) for name in ("Nightly export", "Weekly export")]


def run(page: Page) -> None:
    page.get_by_label("Action:").select_option("Revoke…")
    page.locator(".actions button[type=submit]").click()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_keys_chosen_in_the_list_are_counted_confirmed_and_get_401(desk, issued, script):
    page = desk.page(java_script_enabled=script)
    before = [ApiKeyClient(each).get("/apikeys/whoami/").status_code for each in issued]
    page.goto(LIST)
    for each in issued:
        page.get_by_label(str(each.key)).check()
    run(page)

    expect(page.get_by_role("heading", level=1)).to_have_text("Revoke 2 keys?")
    expect(page.get_by_text("2 keys will be revoked. By client: Web app (2).")).to_be_visible()
    expect(page.get_by_text("2 of them were used in the last 24 hours.")).to_be_visible()
    assert page.url.endswith(LIST)
    page.get_by_label("It leaked or may have leaked").check()
    page.get_by_label("Type REVOKE 2 KEYS to confirm").fill("REVOKE 2 KEYS")
    page.get_by_role("button", name="Revoke 2 keys").click()

    expect(page.get_by_text("2 keys are revoked. Requests with them now get 401.")).to_be_visible()
    after = [ApiKeyClient(each).get("/apikeys/whoami/").status_code for each in issued]
    assert (before, after) == ([200, 200], [401, 401])


def test_number_that_does_not_match_is_told_and_has_the_focus(page, app, issued):
    page.goto(f"{REVOKE_MANY}?client={app.pk}&reason=leaked")
    page.get_by_label("Type REVOKE 2 KEYS to confirm").fill("REVOKE 3 KEYS")
    page.get_by_role("button", name="Revoke 2 keys").click()

    expect(page.get_by_text("This does not match. Type “REVOKE 2 KEYS”.")).to_be_visible()
    expect(page.get_by_label("Type REVOKE 2 KEYS to confirm")).to_be_focused()
    assert not KeyRevocation.objects.exists()


def test_keyboard_alone_scrolls_the_list_and_revokes(page, app):
    insert_keys(40, client=app)
    page.goto(f"{REVOKE_MANY}?client={app.pk}")
    names = page.locator(".apikeys-many")
    names.focus()
    page.keyboard.press("End")
    # Scrolling is smooth and begins a frame later; waiting by a string would need `unsafe-eval`.
    names.evaluate(
        "el => new Promise(done => el.scrollTop ? done() : el.addEventListener('scroll', () => done(), {once: true}))"
    )
    page.get_by_label("It leaked or may have leaked").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("REVOKE 40 KEYS")
    page.keyboard.press("Enter")

    expect(page.get_by_text("40 keys are revoked.")).to_be_visible()
    assert KeyRevocation.objects.count() == 40


def test_all_keys_of_several_pages_are_chosen_at_once(page, app):
    insert_keys(60, client=app)
    page.goto(LIST)
    page.locator("#action-toggle").check()
    page.get_by_role("button", name="Select all 60").click()
    run(page)

    expect(page.get_by_role("heading", level=1)).to_have_text("Revoke 60 keys?")


def test_leak_shows_the_way_to_all_keys_of_the_client_which_shows_and_changes_nothing(page, issued):
    page.goto(f"{LIST}{issued[0].key.pk}/revoke/")
    link = page.get_by_role("link", name="Revoke all keys of this client")
    expect(link).to_be_hidden()
    page.get_by_label("It leaked or may have leaked").check()
    link.click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Revoke 2 keys?")
    expect(page.get_by_label("It leaked or may have leaked")).to_be_checked()
    assert not KeyRevocation.objects.exists()
