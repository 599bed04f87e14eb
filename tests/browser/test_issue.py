from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.admin_pages import ADD
from tests.browser.test_pages import fill_issue_form
from tests.factories import ClientFactory, PersonFactory

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("app")]


def test_nothing_is_preselected_but_ninety_days(page):
    page.goto(ADD)

    assert page.locator("#permissions input:checked").count() == 0
    assert page.locator("input[name=expires]:checked").input_value() == "90"


def test_first_fault_has_the_focus_and_the_title_says_error(page):
    fill_issue_form(page)
    page.get_by_label("Client").fill("Nobody")
    page.get_by_role("button", name="Issue key").click()

    expect(page).to_have_title(re.compile("^Error: Issue an API key"))
    expect(page.get_by_text("There is no client “Nobody”.")).to_be_visible()
    expect(page.get_by_label("Client")).to_be_focused()


def test_double_click_makes_one_key_and_shows_it(page):
    fill_issue_form(page)
    page.get_by_role("button", name="Issue key").dblclick()

    expect(page.locator("#new-key")).to_have_value(re.compile("^ak_live_"))
    assert APIKey.objects.count() == 1


def test_prefilled_link_fills_and_does_not_submit(page):
    page.goto(f"{ADD}?name=Export&client=Web+app&scope=todo:read&expires=30")

    expect(page.get_by_label("Name")).to_have_value("Export")
    expect(page.get_by_label("Read", exact=True)).to_be_checked()
    assert page.locator("input[name=expires]:checked").input_value() == "30"
    assert not APIKey.objects.exists()


def test_choosing_a_client_disables_what_it_may_not_hold(page):
    ClientFactory(name="LLM summariser", allowed_scopes=["todo:read"])
    page.goto(ADD)
    page.get_by_label("Client").fill("LLM summariser")
    page.get_by_label("Client").blur()

    expect(page.get_by_text("The client “LLM summariser” may only read.")).to_be_visible()
    expect(page.get_by_role("radio", name="Read and write")).to_be_disabled()
    expect(page.get_by_label("Read", exact=True)).to_be_enabled()


def test_works_with_script_off(desk):
    page = desk.page(java_script_enabled=False)
    fill_issue_form(page, name="")
    page.get_by_role("button", name="Issue key").click()
    expect(page.get_by_text("Give the key a name.")).to_be_visible()
    page.get_by_label("Name").fill("Nightly export")
    page.get_by_role("button", name="Issue key").click()

    expect(page.locator("#new-key")).to_have_value(re.compile("^ak_live_"))


def test_works_with_the_keyboard_alone(page):
    page.goto(ADD)
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Nightly export")
    page.keyboard.press("Tab")
    page.keyboard.type("Web app")
    for _press in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id")
        if focused == "id_scopes-0-none":
            page.keyboard.press("ArrowDown")
        if page.evaluate("document.activeElement.value") == "Issue key":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.keyboard.press("Enter")

    expect(page.locator("#new-key")).to_have_value(re.compile("^ak_live_"))
    assert outline != "none"
    assert APIKey.objects.get().scopes == ["todo:read"]


def test_people_are_suggested_while_typing_and_never_all(page):
    for _number in range(30):
        PersonFactory()
    PersonFactory(username="richard")
    page.goto(ADD)
    loaded = page.content()
    page.get_by_label("Owner").fill("")
    page.get_by_label("Owner").press_sequentially("ri")

    expect(page.locator("#people option")).to_have_count(1)
    assert page.locator("#people option").get_attribute("value") == "richard"
    assert "richard" not in loaded
    assert "person-" not in loaded


def test_summary_follows_what_is_chosen(page):
    page.goto(ADD)
    page.get_by_role("radio", name="Read and write").check()

    expect(page.locator("#summary")).to_have_text(
        "This key will be able to: view to-dos, change to-dos. It will not be able to: read usage numbers."
    )


def test_custom_date_is_asked_for_only_where_it_is_chosen(page):
    page.goto(ADD)
    field = page.get_by_label("Custom date").and_(page.locator("[type=date]"))
    expect(field).to_be_hidden()
    page.get_by_role("radio", name="Custom date").check()

    expect(field).to_be_visible()


def test_warning_about_service_keys_stands_out_only_where_one_is_chosen(page):
    page.goto(ADD)
    warning = page.get_by_text("A service key acts for nobody")
    plain = "rgba(0, 0, 0, 0)"
    expect(warning).to_be_visible()
    expect(warning).to_have_css("background-color", plain)
    page.get_by_role("radio", name="No person (service key)").check()

    expect(warning).not_to_have_css("background-color", plain)


def test_preset_chooses_what_reads(page):
    page.goto(ADD)
    page.get_by_role("button", name="Read only").click()

    expect(page.get_by_label("Read", exact=True)).to_be_checked()
    expect(page.get_by_label("Read usage numbers")).to_be_checked()


def test_permissions_can_be_the_same_as_another_key_has(page, app):
    key = make_key(client=app, name="Old export", scopes=["todo:read", "todo:write"]).key
    page.goto(ADD)
    page.get_by_label("Same as key…").fill(key.masked)
    page.get_by_label("Same as key…").press("Enter")

    expect(page.get_by_role("radio", name="Read and write")).to_be_checked()
    expect(page.get_by_label("Read usage numbers")).not_to_be_checked()
    assert APIKey.objects.count() == 1
