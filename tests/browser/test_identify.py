from __future__ import annotations

import logging
import re

import pytest
from playwright.sync_api import expect

from apikeys.models import KeyEvent
from apikeys.testing import make_key
from apikeys.testing.leaks import assert_not_stored
from tests.admin_pages import LIST
from tests.browser.test_pages import faults_of, is_wider

IDENTIFY = f"{LIST}identify/"

pytestmark = pytest.mark.browser


@pytest.fixture
def issued(app):
    return make_key(client=app, name="Nightly export")


def identify(page, text):
    page.goto(IDENTIFY)
    # As pasting does, which an input of one line takes without its line breaks.
    page.get_by_label("Key or piece of a log").evaluate("(field, text) => { field.value = text; }", text)
    page.get_by_role("button", name="Identify").click()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_full_key_is_found_from_the_list(desk, issued, script):
    page = desk.page(java_script_enabled=script)
    page.goto(LIST)
    page.get_by_role("link", name="Identify a key").click()
    page.get_by_label("Key or piece of a log").fill(issued.plaintext)
    page.get_by_role("button", name="Identify").click()

    expect(page.get_by_role("heading", name="Nightly export")).to_be_visible()
    expect(page.locator("#found").get_by_text("Web app", exact=True)).to_be_visible()


def test_keys_in_lines_of_a_log_are_found(page, app, issued):
    other = make_key(client=app, name="Backup")
    lines = f"05:00:01 GET /?key={issued.plaintext}\n05:00:02 GET /?key={other.plaintext}\n05:00:03 the end"

    identify(page, lines)

    expect(page.get_by_role("heading", name="Nightly export")).to_be_visible()
    expect(page.get_by_role("heading", name="Backup")).to_be_visible()


def test_way_on_revokes_it_as_leaked(page, issued):
    identify(page, issued.plaintext)
    page.get_by_role("link", name="Revoke as leaked").click()

    expect(page.get_by_label("It leaked or may have leaked")).to_be_checked()


def test_nothing_of_the_secret_is_in_the_address_the_page_the_logs_or_the_audit(page, issued, caplog):
    with caplog.at_level(logging.DEBUG):
        identify(page, issued.plaintext)
        expect(page.get_by_role("heading", name="Nightly export")).to_be_visible()

    secret = issued.plaintext.rpartition("_")[2]
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])")
    expect(page).to_have_url(re.compile(f"{IDENTIFY}$"))
    assert KeyEvent.objects.filter(kind="identified", key=issued.key).count() == 1
    assert secret not in page.content()
    assert_not_stored(issued.plaintext, also={"logs": caplog.text, "browser": kept, "cookies": page.context.cookies()})


def test_wrong_tag_is_told(page, issued):
    other = "a" if issued.plaintext[-1] != "a" else "b"

    identify(page, issued.plaintext[:-1] + other)

    expect(page.get_by_text("The tag is wrong: a letter is missing or changed, or it was not")).to_be_visible()


def test_more_look_ups_than_allowed_are_told(page, issued, person, client):
    client.force_login(person)
    statuses = {client.post(IDENTIFY, {"text": "nothing"}).status_code for _ in range(30)}
    assert statuses == {200}

    identify(page, issued.plaintext)

    expect(page.get_by_text("You may look up 30 texts a minute. Wait a minute, then try again.")).to_be_visible()
    expect(page.get_by_role("heading", name="Nightly export")).to_have_count(0)


def test_whole_key_in_the_search_box_leads_to_the_page(page, issued):
    page.goto(LIST)
    page.locator("#searchbar").fill(issued.plaintext)
    page.get_by_role("button", name="Search").click()
    page.locator("#whole-key").get_by_role("link", name="Identify a key").click()

    expect(page).to_have_url(re.compile(f"{IDENTIFY}$"))


def test_answer_has_no_accessibility_fault_in_light_and_dark(desk, issued):
    page = desk.page(width=390)
    identify(page, f"{issued.plaintext} {issued.plaintext[:-3]}")
    expect(page.get_by_role("heading", name="Nightly export")).to_be_visible()

    assert faults_of(desk, page) == []
    assert not is_wider(page)
