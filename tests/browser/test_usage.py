"""How keys are used, in a browser: on the list, on the page of a key, and on the page about all of them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from apikeys import keys
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, LIST, page_of
from tests.browser.test_pages import faults_of, is_wider, is_wider_when_small
from tests.factories import ClientFactory
from tests.key_use import last_used_from, refused, roll_up, used

pytestmark = pytest.mark.browser

USAGE = "/admin/apikeys/usagecount/"
DAY = timedelta(days=1)


@pytest.fixture
def busy(app, person):
    """Return a key with a week of use, some of it denied, beside others."""
    busy = make_key(client=app, name="Nightly export " + "w" * 60, by=person).key
    for days in range(7):
        used(busy, 100 * (days + 1), ago=days * DAY + timedelta(hours=2))
        used(busy, 10, ago=days * DAY + timedelta(hours=2), outcome="scope_missing")
    last_used_from(busy, "203.0.113.9", ago=timedelta(minutes=2))
    make_key(client=app, name="Soon over", lifetime=2 * DAY)
    endless = make_key(client=ClientFactory(name="Watch"), name="Endless").key
    APIKey.objects.filter(pk=endless.pk).update(expires_at=None)
    refused("key_invalid", 30, ago=2 * DAY)
    roll_up()
    return busy


def numbers_of(rows):
    """Return the cells of a table's body."""
    return rows.evaluate_all("rows => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))")


def test_u1_numbers_are_those_that_were_counted(page, busy):
    page.goto(USAGE)

    expect(page.get_by_role("link", name="2,900 Requests")).to_be_visible()
    expect(page.get_by_role("link", name="3% Denied")).to_be_visible()
    reasons = page.get_by_role("region", name="Why requests were denied").last
    assert numbers_of(reasons.locator("tbody tr")) == [["Permission missing", "70"], ["Unknown key", "30"]]


def test_u2_chart_and_table_agree(page, busy):
    page.goto(USAGE)
    chart = page.locator("#chart")
    chart.locator("summary").click()

    table = {
        day: (int(requests.replace(",", "")), int(denied))
        for day, requests, denied in numbers_of(chart.locator("tbody tr"))
    }
    bars = chart.locator("svg g").evaluate_all(
        """bars => bars.map((bar) => [
            bar.querySelector("title").textContent,
            [...bar.querySelectorAll("rect")].map((rect) => Number(rect.getAttribute("height"))),
        ])"""
    )

    most = max(requests for requests, _denied in table.values())
    drawn = {}
    for title, (allowed, *denied) in bars:
        requests = round((allowed + sum(denied)) * most / 120)
        assert f"{requests:,} request" in title
        drawn[title.partition(":")[0]] = (requests, round(sum(denied) * most / 120))
    assert drawn == {day: counted for day, counted in table.items() if counted[0]}


@pytest.mark.parametrize("where", ["usage", "key", "client"])
def test_u3_no_script_is_needed(desk, busy, where):
    page = desk.page(java_script_enabled=False)
    page.goto({"usage": USAGE, "key": page_of(busy), "client": f"{CLIENTS}{busy.client.pk}/change/"}[where])

    page.get_by_text("The numbers as a table").click()

    expect(page.get_by_role("img", name=re.compile("requests in 30 days"))).to_be_visible()
    expect(page.locator(".apikeys-chart tbody tr").first).to_be_visible()


def test_u3_period_is_a_link(desk, busy):
    page = desk.page(java_script_enabled=False)
    page.goto(USAGE)

    page.get_by_role("link", name="7 days", exact=True).click()

    expect(page.get_by_role("img", name=re.compile("requests in 7 days"))).to_be_visible()
    expect(page.get_by_role("link", name="7 days", exact=True)).to_have_attribute("aria-current", "page")


def test_u4_chart_is_an_image_that_says_what_it_shows(page, busy):
    page.goto(USAGE)

    image = page.get_by_role(
        "img", name=re.compile(r"^2,900 requests in 30 days, 100 of them denied; most on .+: \d+\.$")
    )

    expect(image).to_have_count(1)


def test_u4_small_chart_in_the_list_says_what_it_shows(page, busy):
    page.goto(LIST)

    expect(page.get_by_role("img", name="2,870 requests in 14 days")).to_be_visible()


def test_u5_pages_have_no_accessibility_fault_in_light_and_dark(desk, page, busy, person):
    rotated = make_key(client=busy.client, name="Rotated").key
    last_used_from(rotated, "203.0.113.9")
    keys.rotate(rotated, by=person)

    faults = []
    for address in (
        USAGE,
        f"{USAGE}?period=24h",
        f"{USAGE}?key={busy.key_id}",
        f"{USAGE}?client={busy.client.client_id}",
        LIST,
        page_of(busy),
        page_of(rotated),
        page_of(busy, "revoke"),
        f"{CLIENTS}{busy.client.pk}/change/",
    ):
        page.goto(address)
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        faults += faults_of(desk, page)

    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_u5_bars_stand_out_from_the_page(desk, busy, scheme):
    page = desk.page(color_scheme=scheme)
    page.goto(USAGE)

    def colour(selector, name):
        return page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{name}")

    behind = colour("body", "backgroundColor")
    assert contrast(colour(".apikeys-bar-allowed", "fill"), behind) >= 3
    assert contrast(colour(".apikeys-bar-denied", "fill"), behind) >= 3


def contrast(one, other):
    """Return how much two colours differ in lightness (WCAG 2.2, contrast ratio)."""

    def luminance(colour):
        parts = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("label", ["Working keys", "Expire in 7 days", "Never used", "Without expiry"])
def test_u6_tile_leads_to_the_list_of_what_it_counts(page, busy, label):
    page.goto(USAGE)
    tile = page.locator(".apikeys-tiles a", has_text=label)
    number = int(tile.locator("strong").inner_text())

    tile.click()

    expect(page.locator("#result_list tbody tr")).to_have_count(number)


def test_no_page_scrolls_sideways(page, busy):
    wider = []
    for address in (USAGE, f"{USAGE}?key={busy.key_id}", page_of(busy), f"{CLIENTS}{busy.client.pk}/change/"):
        page.goto(address)
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        wider += [address] if is_wider(page) or is_wider_when_small(page) else []

    assert wider == []


def test_list_with_bars_needs_no_sideways_scroll(page, busy):
    page.goto(LIST)

    assert page.evaluate("((list) => list.scrollWidth <= list.clientWidth)(document.querySelector('.results'))")


def test_each_page_has_one_heading_and_a_title_of_its_own(page, busy):
    titles = []
    for address in (USAGE, f"{USAGE}?key={busy.key_id}", f"{USAGE}?client={busy.client.client_id}", page_of(busy)):
        page.goto(address)
        titles.append(page.title())
        expect(page.locator("h1")).to_have_count(1)

    assert len(set(titles)) == 4
