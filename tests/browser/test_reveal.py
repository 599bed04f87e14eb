from __future__ import annotations

import re
import subprocess

import pytest
from playwright.sync_api import expect

from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient
from apikeys.testing.leaks import assert_not_stored
from tests.admin_pages import ADD, LIST, page_of
from tests.browser.conftest import INSECURE_HOST
from tests.browser.test_pages import fill_issue_form, reveal

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("app")]

CLIPBOARD = ["clipboard-read", "clipboard-write"]


def test_shown_key_has_the_right_shape_and_is_accepted(page):
    plaintext = reveal(page)

    assert re.fullmatch("ak_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{51}", plaintext)
    assert ApiKeyClient(plaintext).get("/apikeys/whoami/").status_code == 200


def test_no_header_address_cookie_or_storage_holds_the_key(page):
    answers = []

    def note(answer):
        answers.append(f"{answer.url} {answer.headers}")

    page.on("response", note)
    plaintext = reveal(page)
    page.get_by_role("link", name="I have stored it").click()
    page.goto(LIST)
    page.remove_listener("response", note)

    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert plaintext.rpartition("_")[2] not in " ".join([*answers, kept, str(page.context.cookies())])
    assert_not_stored(plaintext)


def test_reload_shows_no_key_and_creates_none(page):
    plaintext = reveal(page)
    page.reload()

    expect(page).to_have_url(re.compile(page_of(APIKey.objects.get())))
    assert plaintext not in page.content()
    assert APIKey.objects.count() == 1


def test_back_and_forward_show_no_key(page):
    plaintext = reveal(page)
    page.evaluate("history.back()")
    expect(page).to_have_url(re.compile(ADD))
    behind = page.content()
    page.evaluate("history.forward()")
    expect(page).to_have_url(re.compile(page_of(APIKey.objects.get())))

    assert plaintext not in behind + page.content()
    assert page.locator("input").evaluate_all("inputs => inputs.map(input => input.value)").count(plaintext) == 0
    assert APIKey.objects.count() == 1


def test_page_that_is_left_is_emptied(page):
    reveal(page)
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")

    expect(page.locator("#new-key")).to_have_value("")
    assert page.locator("#new-key").get_attribute("value") is None


def test_second_tab_never_shows_the_key(page):
    plaintext = reveal(page)
    second = page.context.new_page()
    texts = []
    for address in ("/admin/", LIST, ADD, page_of(APIKey.objects.get())):
        second.goto(address)
        texts.append(second.content())

    assert plaintext.rpartition("_")[2] not in "".join(texts)


def test_copy_puts_exactly_the_key_on_the_clipboard(page):
    page.context.grant_permissions(CLIPBOARD)
    plaintext = reveal(page)
    page.get_by_role("button", name="Copy key").click()

    expect(page.get_by_role("status")).to_have_text("Copied to the clipboard.")
    assert page.evaluate("navigator.clipboard.readText()") == plaintext


def test_copy_command_copies_what_is_shown(page):
    page.context.grant_permissions(CLIPBOARD)
    plaintext = reveal(page)
    page.get_by_label("HTTPie").check()
    page.get_by_role("button", name="Copy command").click()

    expect(page.get_by_role("status")).to_have_text("Copied to the clipboard.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "http -A bearer" in copied
    assert plaintext not in copied


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_double_click_selects_all(desk, script):
    page = desk.page(java_script_enabled=script)
    plaintext = reveal(page)
    page.locator("#new-key").dblclick()

    selected = "input => input.value.slice(input.selectionStart, input.selectionEnd)"
    assert page.locator("#new-key").evaluate(selected) == plaintext


def test_without_script_the_key_is_visible_and_no_button_is_dead(desk):
    page = desk.page(java_script_enabled=False)
    reveal(page)

    expect(page.locator("#new-key")).to_be_visible()
    expect(page.locator("#content-main button:visible")).to_have_count(0)
    page.get_by_label("Python").check()
    expect(page.get_by_text("from getpass import getpass")).to_be_visible()
    expect(page.get_by_text("read -rs API_KEY")).to_have_count(2)


@pytest.mark.parametrize(
    ("works", "said"),
    [
        pytest.param("true", "Copied to the clipboard.", id="older-command"),
        pytest.param("false", "Selected. Press Ctrl+C to copy.", id="nothing-works"),
    ],
)
def test_insecure_origin_falls_back(desk, live_server, works, said):
    page = desk.page(url=live_server.url.replace("localhost", INSECURE_HOST))
    plaintext = reveal(page)
    page.evaluate(f"document.execCommand = () => {works}")
    page.get_by_role("button", name="Copy key").click()

    expect(page.get_by_role("status")).to_have_text(said)
    selected = "input => input.value.slice(input.selectionStart, input.selectionEnd)"
    assert page.locator("#new-key").evaluate(selected) == plaintext


def test_tab_goes_from_the_key_to_the_end(page):
    reveal(page)
    expect(page.locator("#new-key")).to_be_focused()
    order = []
    for _press in range(4):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))

    assert order == ["copy-key", "snippet-curl", "copy-command", "stored"]


def test_reveal_violates_no_policy_though_one_is_in_force(desk):
    page = desk.page()
    reveal(page)
    own_faults = list(desk.faults)
    page.goto(LIST)
    violated = page.evaluate(
        """() => new Promise(resolve => {
            document.addEventListener("securitypolicyviolation", event => resolve(event.effectiveDirective));
            document.body.appendChild(Object.assign(document.createElement("script"), {textContent: "1"}));
        })"""
    )

    desk.faults.clear()
    assert own_faults == []
    assert violated.startswith("script-src")


def test_snippet_returns_200_in_a_shell(page):
    plaintext = reveal(page)
    snippet = page.locator(".apikeys-snippet-curl").text_content()

    shell = subprocess.run(  # noqa: S603  # our own snippet
        ["bash", "-c", f"{snippet} --silent --write-out ' %{{http_code}}'"],  # noqa: S607  # as a person would
        input=f"{plaintext}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert shell.stdout.endswith(" 200"), shell.stderr
    assert '"Nightly export"' in shell.stdout


def test_leaving_before_copying_asks(page):
    fill_issue_form(page)
    page.get_by_role("button", name="Issue key").click()
    page.locator("#new-key").click()
    page.wait_for_load_state()

    asked = leave(page)

    assert asked == ["beforeunload"]


def test_leaving_after_copying_does_not_ask(page):
    page.context.grant_permissions(CLIPBOARD)
    reveal(page)
    page.get_by_role("button", name="Copy key").click()
    expect(page.get_by_role("status")).to_have_text("Copied to the clipboard.")

    asked = leave(page)

    assert asked == []


def leave(page):
    """Go on to the list of keys, and return what was asked on the way."""
    asked = []

    def note(dialog):
        asked.append(dialog.type)

    page.on("dialog", note)
    page.goto(LIST)
    page.remove_listener("dialog", note)
    return asked


def test_revoke_link_stops_wrong_settings(page):
    reveal(page)
    page.get_by_role("link", name="Revoke this key").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Revoke “Nightly export”?")
