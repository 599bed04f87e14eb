"""German is longer than English: on a phone, too, everything can be read."""

from __future__ import annotations

import pytest
from oauth2_provider.models import get_device_grant_model

from apikeys import clients
from apikeys.oauth import consents
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, page_of
from tests.browser.test_pages import is_wider
from tests.claims import SHARING, declared
from tests.oauth import DEVICE_CODE, make_app, start_device
from tests.oauth_clients import sign_in_fields
from tests.oauth_pages import authorize_url

pytestmark = pytest.mark.browser

#: What shows its text only in part: a box that hides the rest, a button that is too narrow, or what is out of the
#: window. Fields and lists that scroll by themselves are left out, and texts that only screen readers have.
_CUT_OFF = """() => [...document.querySelectorAll("main *, #content *")].filter((one) => {
  const box = one.getBoundingClientRect();
  if (box.width <= 1 || one.closest("pre, textarea, select, .results, input:not([type=submit])")) return false;
  const keeps = one.matches("button, .button, [type=submit]") || getComputedStyle(one).overflowX !== "visible";
  return box.right > innerWidth + 1 || (keeps && one.scrollWidth > one.clientWidth + 1);
}).map((one) => one.outerHTML.slice(0, 150))"""


@pytest.fixture
def phone(desk):
    return desk.page(width=390, locale="de-DE")


@pytest.fixture
def summariser(desk):
    app = make_app(
        name="LLM Summariser",
        publisher="Hooli Labs",
        website="https://summariser.example",
        privacy_policy="https://summariser.example/privacy",
        optional_scopes=["todo:write"],
    )
    consents.give(desk.person, app.client, scopes=["todo:read"])
    return app


def faults_of(page):
    """Return what is wrong with the page that is open: not German, sideways scroll, or a text that is cut off."""
    page.wait_for_load_state()
    faults = page.evaluate(_CUT_OFF)
    if is_wider(page):
        faults.append("wider than the window")
    if page.locator("html").get_attribute("lang") != "de":
        faults.append("not German")
    return [(page.url, fault) for fault in faults]


def test_pages_for_people_fit_a_phone_in_german(phone, desk, summariser):
    start_device(make_app(DEVICE_CODE, name="Apple Watch app", is_public=True))
    get_device_grant_model().objects.update(user=desk.person)
    device = get_device_grant_model().objects.get()

    faults = []
    for address in (
        authorize_url(summariser, scope="todo:read todo:write"),
        authorize_url(summariser, client_id="unknown"),
        "/o/device/",
        f"/o/device-confirm/{device.pk}/",
        "/o/device-done/allowed/",
        "/o/connected-apps/?withdrawn",
        f"/o/connected-apps/{summariser.client_id}/withdraw/",
        "/apikeys/scopes/",
    ):
        phone.goto(address)
        faults += faults_of(phone)

    assert faults == []


def test_pages_about_sign_in_fit_a_phone_in_german(phone, summariser):
    page_of_client = f"{CLIENTS}{summariser.client.pk}/"

    faults = []
    for address in (f"{page_of_client}change/", f"{page_of_client}secret/"):
        phone.goto(address)
        faults += faults_of(phone)
    phone.locator("[type=submit].default").click()
    phone.locator("#new-key").wait_for()
    faults += faults_of(phone)
    phone.goto(f"{CLIENTS}add/")
    for name in ("name", "redirect_uris"):
        phone.locator(f"[name={name}]").fill(sign_in_fields(redirect_uris="http://app.example/#here")[name])
    phone.get_by_label("OAuth mit Autorisierungscode").check()
    phone.locator("[name=_save]").click()
    phone.locator(".errornote").wait_for()
    faults += faults_of(phone)

    assert faults == []


def test_pages_about_claims_fit_a_phone_in_german(phone, app):
    faults = []
    with declared():
        servers = [SHARING, "https://summaries.internal.example.com/api/v2"]
        for number, resource in enumerate(servers):
            clients.create(name=f"Server {number}", resource=resource)
        clients.edit(app, audiences=servers)
        clients.set_claims(app, claims={"subscription": "free", "regions": ["eu", "us"], "contract": "w" * 200})
        key = make_key(client=app, claims={"seats": 3, "plans": ["small"]}).key
        page_of_client = f"{CLIENTS}{app.pk}/change/"

        for address in (page_of(key), page_of(key, "claims"), page_of_client):
            phone.goto(address)
            faults += faults_of(phone)
        for name, text in (
            ("claim_regions", "eu\neu"),
            ("audiences", "https://elsewhere.example.com"),
            ("resource", "#"),
        ):
            phone.locator(f"[name={name}]").fill(text)
        phone.locator("[name=_save]").click()
        phone.locator(".errornote").wait_for()
        faults += faults_of(phone)

    assert faults == []
