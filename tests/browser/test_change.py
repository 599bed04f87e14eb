from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apikeys.models import APIKey, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.admin_pages import LIST, page_of

pytestmark = pytest.mark.browser


@pytest.fixture
def issued(app):
    issued = make_key(client=app, name="Nightly export")
    APIKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    return issued


def test_overlap_of_24_hours_is_preselected(page, issued):
    page.goto(page_of(issued.key, "rotate"))

    expect(page.get_by_label(re.compile("^24 hours"))).to_be_checked()


def test_rotation_shows_a_replacement_that_works_beside_the_old_key(page, issued):
    page.goto(page_of(issued.key, "rotate"))
    page.get_by_role("button", name="Rotate key").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Copy the replacement key")
    plaintext = page.locator("#new-key").input_value()
    assert ApiKeyClient(plaintext).get("/apikeys/whoami/").status_code == 200
    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 200


def test_reload_of_the_reveal_makes_no_third_key(page, issued):
    page.goto(page_of(issued.key, "rotate"))
    page.get_by_role("button", name="Rotate key").click()
    expect(page.locator("#new-key")).to_be_visible()
    page.reload()

    assert APIKey.objects.count() == 2


def test_button_says_when_it_stops_the_old_key(page, issued):
    page.goto(page_of(issued.key, "rotate"))
    page.get_by_label("Stop now").check()

    expect(page.get_by_role("button", name="Rotate and stop the old key now")).to_be_visible()


def test_name_that_does_not_match_is_told_and_has_the_focus(page, issued):
    page.goto(page_of(issued.key, "revoke"))
    page.get_by_label("No longer needed").check()
    page.get_by_label("Type the key's name to confirm").fill("Nightly")
    page.get_by_role("button", name="Revoke key").click()

    expect(page.get_by_text("This does not match. Type “Nightly export”.")).to_be_visible()
    expect(page.get_by_label("Type the key's name to confirm")).to_be_focused()
    assert not KeyRevocation.objects.exists()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_revoked_key_gets_401(desk, issued, script):
    page = desk.page(java_script_enabled=script)
    page.goto(page_of(issued.key))
    page.get_by_role("link", name="Revoke…").click()
    page.get_by_label("No longer needed").check()
    page.get_by_label("Type the key's name to confirm").fill("Nightly export")
    page.get_by_role("button", name="Revoke key").click()

    expect(page.get_by_text("“Nightly export” is revoked. Requests with it now get 401.")).to_be_visible()
    assert ApiKeyClient(issued).get("/apikeys/whoami/").status_code == 401


def test_second_revocation_from_an_open_page_says_so(page, issued):
    page.goto(page_of(issued.key, "revoke"))
    KeyRevocation.objects.create(key=issued.key, reason="left")
    page.get_by_label("No longer needed").check()
    page.get_by_label("Type the key's name to confirm").fill("Nightly export")
    page.get_by_role("button", name="Revoke key").click()

    expect(page.get_by_text("Already revoked on")).to_be_visible()
    assert KeyRevocation.objects.get().reason == "left"


def test_key_id_is_copied_from_the_page_of_the_key(page, issued):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(page_of(issued.key))
    page.get_by_role("button", name="Copy key id").click()

    expect(page.get_by_role("status")).to_have_text("Copied to the clipboard.")
    assert page.evaluate("navigator.clipboard.readText()") == issued.key.key_id


def test_whole_key_in_the_search_box_is_not_sent(page, issued):
    page.goto(LIST)
    page.locator("#searchbar").fill(issued.plaintext)
    page.get_by_role("button", name="Search").click()

    expect(page.get_by_text("That looks like a whole key.")).to_be_visible()
    expect(page.locator("#searchbar")).to_have_value("")
    assert issued.plaintext not in page.url


def test_whole_key_that_was_sent_leaves_the_address_bar(page, issued):
    page.goto(f"{LIST}?q={issued.plaintext}")

    expect(page.get_by_text("This key is now in the server's access log.")).to_be_visible()
    assert issued.plaintext not in page.url
