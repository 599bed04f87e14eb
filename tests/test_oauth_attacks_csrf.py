from __future__ import annotations

import pytest
from django.test import Client as Browser

from apikeys.oauth import consents
from tests import oauth
from tests.oauth_pages import authorize_url

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["with the middleware", "without it"])
def _middleware(request, settings):
    if request.param == "without it":
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "Csrf" not in name]


@pytest.fixture
def richard():
    return oauth.make_person()


@pytest.fixture
def browser(richard, _middleware):
    """Return the browser of Richard, who has come to a page that sends forms here."""
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(richard)
    return browser


def test_no_other_site_consents(browser, richard):
    app = oauth.make_app()

    response = browser.post(authorize_url(app), {"allow": "yes"}, secure=True)

    assert response.status_code == 403
    assert consents.live(richard, app.client) is None
    assert oauth.issued() == (0, 0, 0)


def test_no_other_site_enters_the_code_of_its_device(browser):
    started = oauth.start_device(oauth.make_app(oauth.DEVICE_CODE, is_public=True)).json()

    response = browser.post("/o/device/", {"user_code": started["user_code"]}, secure=True)

    assert response.status_code == 403


def test_no_other_site_withdraws(browser, richard):
    app = oauth.make_app()
    consents.give(richard, app.client, scopes=["todo:read"])

    response = browser.post(f"/o/connected-apps/{app.client.client_id}/withdraw/", secure=True)

    assert response.status_code == 403
    assert consents.live(richard, app.client) is not None


def test_no_other_site_signs_anybody_out(browser):
    response = browser.post("/o/switch-account/", {"next": "/"}, secure=True)

    assert response.status_code == 403
    assert "_auth_user_id" in browser.session
