"""How clients sign in, on their page: with and without a script, light and dark, narrow and wide."""

from __future__ import annotations

import pytest

from apikeys.models import Client
from apikeys.oauth import applications, consents
from apikeys.oauth.models import ClientApplication
from tests.admin_pages import CLIENTS
from tests.browser.test_pages import _OURS, faults_of
from tests.factories import ClientFactory, PersonFactory
from tests.oauth import App, client_credentials
from tests.oauth_clients import CALLBACK, PNG

pytestmark = pytest.mark.browser

#: Without what Django's own lists say under themselves.
_OUR_PARTS = {**_OURS, "exclude": [*_OURS["exclude"], ["#toolbar"], [".paginator"]]}


def fill(page):
    page.goto(f"{CLIENTS}add/")
    page.get_by_label("Name:").fill("Analytics")
    page.get_by_label("Read", exact=True).check()
    page.get_by_label("OAuth client credentials").check()
    page.get_by_label("View to-dos (todo:read)").first.check()


@pytest.mark.parametrize("has_script", [True, False], ids=["script", "no-script"])
def test_client_is_made_and_its_secret_shown_once(desk, has_script):
    page = desk.page(java_script_enabled=has_script)
    fill(page)

    page.get_by_role("button", name="Save", exact=True).click()
    secret = page.get_by_label("Client secret of “Analytics”").input_value()
    page.wait_for_load_state()
    with_script = page.get_by_role("button", name="Copy client secret").is_visible()
    page.reload()

    app = App(link=ClientApplication.objects.select_related("client", "application").get(), secret=secret)
    assert client_credentials(app).status_code == 200
    assert with_script is has_script
    assert secret not in page.content()
    assert Client.objects.count() == 1


def test_pages_are_accessible_and_no_wider_than_the_window(desk):
    app = ClientFactory(name="LLM Summariser " + "w" * 60, kind="third_party")
    address = "https://summariser.example/" + "callback-" * 30
    applications.create(
        app, sign_in="authorization-code", redirect_uris=[CALLBACK, address], publisher="w" * 80, logo=PNG
    )
    consents.give(PersonFactory(username="richard"), app, scopes=["todo:read"])
    page = desk.page(width=390)

    found = []
    for path in (
        f"{CLIENTS}{app.pk}/change/",
        f"{CLIENTS}{app.pk}/secret/",
        "/admin/oauth2_provider/application/",
        f"/admin/oauth2_provider/application/{app.client_application.application.pk}/change/",
        "/admin/apikeys_oauth/consent/",
    ):
        page.goto(path)
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            found.append((path, "wider than the window"))
        found += [(path, fault) for fault in faults_of(desk, page, context=_OUR_PARTS)]

    assert found == []
