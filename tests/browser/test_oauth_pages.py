from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import override_settings
from oauth2_provider.models import get_device_grant_model, get_grant_model
from playwright.sync_api import expect

from apikeys.conf import settings
from apikeys.models import ClientKind
from apikeys.oauth import consents
from tests.browser.accessibility import violations_in_both_schemes
from tests.browser.schemes import IN_BOTH_SCHEMES, WITH_AND_WITHOUT_SCRIPT, scheme_of
from tests.browser.test_pages import is_wider
from tests.factories import PersonFactory
from tests.oauth import DEVICE_CODE, Code, exchange, make_app
from tests.oauth_clients import PNG
from tests.oauth_pages import STATE, authorize_url
from tests.oauth_views import send

pytestmark = pytest.mark.browser

#: What the challenge of ``authorize_url`` was made of (RFC 7636 appendix B).
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture
def callback(live_server):
    """Return an address of another origin, as an app's is; what answers there is of no interest."""
    return live_server.url.replace("localhost", "127.0.0.1") + "/callback"


@pytest.fixture
def summariser(callback):
    return make_app(
        name="LLM Summariser",
        redirect_uris=[callback],
        publisher="Hooli Labs",
        website="https://summariser.example",
        privacy_policy="https://summariser.example/privacy",
        optional_scopes=["usage:read"],
        scopes=["todo:read", "todo:write", "usage:read"],
        logo=PNG,
    )


@pytest.fixture
def device(person):
    app = make_app(DEVICE_CODE, name="Apple Watch app", is_public=True)
    grants = get_device_grant_model()
    return grants.objects.create(
        client_id=app.client_id,
        device_code="digest",
        user_code="BDFHKLMN",
        scope="todo:read todo:write",
        expires="2100-01-01T00:00Z",
    )


def faults_of(desk, page):
    before = len(desk.faults)
    found = violations_in_both_schemes(page)
    # Some of its rules try inline styles, which the policy refuses: no fault of the page.
    del desk.faults[before:]
    return found


#: Embeds an address in the page that is open, and waits until the browser is done with it.
EMBED = """([name, src]) => new Promise((done) => {
  const embedded = document.createElement(name);
  embedded.onload = embedded.onerror = () => done();
  embedded.src = src;
  document.body.append(embedded);
})"""


def press(page, button):
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_url("**/callback?*")
    return parameters_of(page)


def parameters_of(page):
    """Return the parameters of the app's address, where the page is."""
    assert urlsplit(page.url).path == "/callback"
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def token_for(app, found, callback):
    """Return what the token endpoint answers *app* to the code that its address was given."""
    return exchange(app, Code(found["code"], VERIFIER), redirect_uri=callback).json()


@IN_BOTH_SCHEMES
def test_page_is_shown_in_the_scheme_of_its_window(page, summariser, callback, color_scheme):
    page.goto(authorize_url(summariser, redirect_uri=callback))

    assert scheme_of(page) == color_scheme


@IN_BOTH_SCHEMES
def test_page_of_an_app_that_reads_says_everything_a_person_needs_to_know(page, callback):
    with override_settings(APIKEYS={**settings.given(), "SITE_NAME": "Piper Todo"}):
        reader = make_app(
            name="LLM Summariser",
            redirect_uris=[callback],
            publisher="Hooli Labs",
            website="https://summariser.example",
            privacy_policy="https://summariser.example/privacy",
        )
        page.goto(authorize_url(reader, redirect_uri=callback))
        said = page.locator("body").inner_text()

    assert page.title() == "Allow LLM Summariser? – Piper Todo"
    assert " ".join(said.split()) == " ".join(
        [
            "Piper Todo",
            "Signed in as gilfoyle Not you?",
            "LLM Summariser wants to use your Piper Todo account",
            "by Hooli Labs · third-party app · summariser.example",
            "Piper Todo has not checked this app. Continue only if you trust it.",
            "It will be able to",
            "✓ View your to-dos: titles, notes, due dates and status",
            "It will not be able to",
            "✕ Create, edit and delete your to-dos",
            "✕ Read usage numbers",
            "✕ See your e-mail address or password",
            "Until you withdraw it, at most 90 days. You can withdraw any time under Settings → Connected apps.",
            f"After you continue, you go to {urlsplit(callback).netloc}",
            "Cancel Allow",
            "Privacy policy of LLM Summariser",
        ]
    )


@IN_BOTH_SCHEMES
@WITH_AND_WITHOUT_SCRIPT
def test_allow_leads_to_the_app_with_a_code_for_exactly_what_is_listed_and_ticked(
    desk, summariser, callback, has_script
):
    page = desk.page(java_script_enabled=has_script)
    page.goto(authorize_url(summariser, scope="todo:read usage:read", redirect_uri=callback))
    listed = page.get_by_role("region", name="It will be able to").get_by_role("listitem").all_inner_texts()
    page.get_by_label("Read usage numbers").uncheck()

    found = press(page, "Allow")

    assert [" ".join(line.split()) for line in listed] == [
        "✓ View your to-dos: titles, notes, due dates and status",
        "Read usage numbers You may leave this out.",
    ]
    assert found["state"] == STATE
    assert token_for(summariser, found, callback)["scope"] == "todo:read"
    assert consents.live(desk.person, summariser.client).scopes == ["todo:read"]


@IN_BOTH_SCHEMES
@WITH_AND_WITHOUT_SCRIPT
def test_cancel_leads_to_the_app_with_access_denied(desk, summariser, callback, has_script):
    page = desk.page(java_script_enabled=has_script)
    page.goto(authorize_url(summariser, redirect_uri=callback))

    found = press(page, "Cancel")

    assert (found["error"], found["state"]) == ("access_denied", STATE)
    assert consents.live(desk.person, summariser.client) is None


@IN_BOTH_SCHEMES
def test_request_without_scope_asks_for_the_minimum_of_the_app_not_for_all(page, callback):
    app = make_app(redirect_uris=[callback], minimum_scopes=["todo:read"])
    page.goto(authorize_url(app, scope=None, redirect_uri=callback))
    listed = page.get_by_role("region", name="It will be able to").get_by_role("listitem")
    expect(listed).to_have_count(1)

    found = press(page, "Allow")

    assert token_for(app, found, callback)["scope"] == "todo:read"


@IN_BOTH_SCHEMES
def test_request_without_scope_of_an_app_without_minimum_goes_back_with_an_error(page, summariser, callback):
    page.goto(authorize_url(summariser, scope=None, redirect_uri=callback))

    found = parameters_of(page)
    assert (found["error"], found["state"], "code" in found) == ("invalid_scope", STATE, False)


@IN_BOTH_SCHEMES
@pytest.mark.parametrize("is_allowed_unasked", [False, True], ids=["asked", "unasked"])
def test_wrong_redirect_address_is_never_gone_to(desk, callback, is_allowed_unasked):
    kind = ClientKind.FIRST_PARTY if is_allowed_unasked else ClientKind.THIRD_PARTY
    app = make_app(redirect_uris=[callback], kind=kind, skips_consent=is_allowed_unasked)
    page = desk.page()
    asked = []
    page.on("request", note := lambda request: asked.append(urlsplit(request.url).netloc))

    page.goto(authorize_url(app, redirect_uri=callback.replace("/callback", "/elsewhere")))
    page.wait_for_load_state("networkidle")
    page.remove_listener("request", note)

    expect(page.get_by_role("heading", level=1)).to_have_text("This link is broken")
    assert page.url.startswith(f"{desk.url}/o/authorize/")
    assert set(asked) == {urlsplit(desk.url).netloc}
    assert not get_grant_model().objects.exists()


def test_keyboard_reaches_cancel_before_allow_and_neither_has_the_focus(page, summariser, callback):
    page.goto(authorize_url(summariser, redirect_uri=callback))
    buttons = [page.get_by_role("button", name=name, exact=True) for name in ("Cancel", "Allow")]
    sizes = [button.bounding_box() for button in buttons]

    assert page.evaluate("document.activeElement === document.body")
    assert (sizes[0]["width"], sizes[0]["height"]) == (sizes[1]["width"], sizes[1]["height"])
    buttons[0].focus()
    page.keyboard.press("Tab")
    expect(buttons[1]).to_be_focused()


@pytest.fixture(scope="module")
def elsewhere():
    """Return the port of another server, whose one page is empty."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><title>Win!</title>")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("localhost", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(
    params=[
        pytest.param(("localhost", "frame-ancestors 'none'"), id="same-site"),
        # The session's cookie stays out: it is the page to sign in.
        pytest.param(("127.0.0.1", "X-Frame-Options"), id="cross-site"),
    ]
)
def attacker(request, elsewhere):
    """Return the address of a page of another origin, and why the browser frames nothing of this site there."""
    host, refusal = request.param
    return f"http://{host}:{elsewhere}/", refusal


@IN_BOTH_SCHEMES
@pytest.mark.parametrize("is_allowed", [False, True], ids=["asked", "allowed-a-moment-ago"])
def test_image_and_frame_of_another_origin_show_no_button_and_give_no_code(
    desk, summariser, callback, attacker, is_allowed
):
    address, refusal = attacker
    url = desk.url + authorize_url(summariser, redirect_uri=callback)
    page = desk.page()
    page.goto(url)
    expect(page.get_by_role("button", name="Allow", exact=True)).to_be_visible()
    if is_allowed:
        # Who follows the app's link now gets a code, without a page.
        consents.give(desk.person, summariser.client, scopes=["todo:read"])
    page.goto(address)

    for element in ("img", "iframe"):
        page.evaluate(EMBED, [element, url])

    assert page.frame_locator("iframe").get_by_role("button").count() == 0
    assert [frame.url for frame in page.frames[1:]] == ["chrome-error://chromewebdata/"]
    assert [refusal in fault for fault in desk.faults] == [True]
    assert not get_grant_model().objects.exists()
    # It says so on its console, as it should.
    desk.faults.clear()


@IN_BOTH_SCHEMES
@WITH_AND_WITHOUT_SCRIPT
def test_watch_is_let_in(desk, device, has_script):
    page = desk.page(java_script_enabled=has_script)
    page.goto("/o/device/")
    page.get_by_label("Code").fill("bdfh klmn")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Device: Apple Watch app. Continue only if you started this yourself.")).to_be_visible()
    page.get_by_role("button", name="Allow", exact=True).click()

    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    device.refresh_from_db()
    assert (device.status, device.user) == ("authorized", desk.person)


@IN_BOTH_SCHEMES
@WITH_AND_WITHOUT_SCRIPT
def test_connection_is_withdrawn_and_its_token_refused_at_once(desk, summariser, callback, has_script):
    page = desk.page(java_script_enabled=has_script)
    page.goto(authorize_url(summariser, redirect_uri=callback))
    token = token_for(summariser, press(page, "Allow"), callback)["access_token"]
    before = send(token).status_code

    page.goto("/o/connected-apps/")
    page.get_by_role("link", name="Withdraw access").click()
    page.get_by_role("button", name="Withdraw access").click()

    expect(page.get_by_text("Access was withdrawn.")).to_be_visible()
    expect(page.get_by_role("heading", name="LLM Summariser")).to_have_count(0)
    assert consents.live(desk.person, summariser.client) is None
    assert (before, send(token).status_code) == (200, 401)


@IN_BOTH_SCHEMES
def test_two_people_never_see_each_others_connections(desk, summariser):
    dinesh = PersonFactory(username="dinesh")
    consents.give(desk.person, summariser.client, scopes=["todo:read"])
    consents.give(dinesh, make_app(name="Video chat").client, scopes=["todo:read"])
    pages = [desk.page(), desk.page(person=dinesh)]

    for page in pages:
        page.goto("/o/connected-apps/")
    shown = [page.get_by_role("article").get_by_role("heading").all_inner_texts() for page in pages]
    pages[1].goto(f"/o/connected-apps/{summariser.client_id}/withdraw/")

    assert shown == [["LLM Summariser"], ["Video chat"]]
    expect(pages[1].get_by_role("button", name="Withdraw access")).to_have_count(0)
    expect(pages[1].get_by_text("LLM Summariser")).to_have_count(0)


def test_pages_have_no_accessibility_fault_in_light_and_dark_and_fit_a_phone(desk, summariser, callback, device):
    page = desk.page(width=390)
    consents.give(desk.person, make_app(name="W" * 80, publisher="مُلخّص").client, scopes=["todo:read", "todo:write"])
    asked = {"scope": "todo:read todo:write usage:read", "redirect_uri": callback}
    device.__class__.objects.update(user=desk.person)
    paths = [
        authorize_url(summariser, **asked),
        authorize_url(summariser, client_id="unknown"),
        "/o/device/",
        f"/o/device-confirm/{device.pk}/",
        "/o/device-done/allowed/",
        "/o/connected-apps/",
    ]
    for path in paths:
        page.goto(path)

        assert faults_of(desk, page) == []
        assert not is_wider(page)
    page.get_by_role("link", name="Withdraw access").click()
    expect(page.get_by_role("button", name="Withdraw access")).to_be_visible()

    assert faults_of(desk, page) == []
    assert not is_wider(page)
