from __future__ import annotations

import pytest
from playwright.sync_api import expect

from apikeys.testing import make_key

pytestmark = pytest.mark.browser

DOCS = "/docs/"


@pytest.fixture(autouse=True)
def _site(settings):
    settings.ROOT_URLCONF = "tests.openapi_urls"


def authorize(page, scheme, text):
    """Give Swagger UI *text* as the credential of *scheme*."""
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".modal-ux")
    form = dialog.locator("form, .auth-container").filter(has=page.get_by_text(f"{scheme} ", exact=False)).first
    form.get_by_role("textbox").first.fill(text)
    form.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").last.click()


def try_out(page):
    """Ask who is calling, and return the request that Swagger UI sent and the status that it got."""
    block = page.locator("#operations-apikeys-apikeys_whoami")
    block.get_by_role("button").first.click()
    block.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/whoami/") as answered:
        block.get_by_role("button", name="Execute").click()
    shown = block.locator(".live-responses-table .response-col_status").last
    expect(shown).to_contain_text(str(answered.value.status))
    return answered.value.request, answered.value.status


@pytest.mark.parametrize(
    ("scheme", "header", "before"),
    [("ApiKey", "authorization", "Bearer "), ("ApiKeyHeader", "x-api-key", "")],
    ids=["bearer", "header"],
)
def test_real_key_authorizes_calls(page, scheme, header, before):
    key = make_key(name="Try it out")
    page.goto(DOCS)
    authorize(page, scheme, key.plaintext)

    request, status = try_out(page)

    assert status == 200
    assert request.headers[header] == before + key.plaintext
    expect(page.get_by_text('"name": "Try it out"').first).to_be_visible()


def test_key_is_gone_after_a_reload(page):
    key = make_key()
    page.goto(DOCS)
    authorize(page, "ApiKey", key.plaintext)
    page.reload()

    request, status = try_out(page)

    assert status == 401
    assert "authorization" not in request.headers
    assert key.plaintext not in page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert key.plaintext not in page.content()


def test_permission_is_told_beside_the_operation(page):
    page.goto(DOCS)
    page.locator("#operations-api-api_tidy_up_create").get_by_role("button").first.click()

    expect(page.get_by_text("Needs the permission “Change to-dos” (todo:write).")).to_be_visible()
