from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from apikeys import clients
from apikeys.models import ClientKind
from apikeys.oauth import consents
from tests.oauth import browser_of, error_of, exchange, get_code, get_token, make_app, make_person, refresh
from tests.oauth_clients import PNG
from tests.oauth_pages import answer, ask, text_of
from tests.oauth_views import send
from tests.request_path import statements

pytestmark = pytest.mark.django_db

CONNECTED = "/o/connected-apps/"


@pytest.fixture
def richard():
    return make_person("Richard")


@pytest.fixture
def summariser(richard):
    app = make_app(name="LLM Summariser", publisher="Hooli Labs")
    consents.give(richard, app.client, scopes=["todo:read"])
    return app


def connected(person):
    return browser_of(person).get(CONNECTED, secure=True)


def withdraw(person, app, *, method="post"):
    return getattr(browser_of(person), method)(f"{CONNECTED}{app.client.client_id}/withdraw/", secure=True)


def test_nobody_connected_is_said(richard):
    assert "No app can use your account." in text_of(connected(richard))


def test_each_app_is_one_entry_whatever_the_number_of_its_tokens(richard, summariser, time_machine):
    time_machine.move_to(datetime(2026, 11, 22, 12, 0, tzinfo=UTC), tick=False)
    get_token(summariser, richard)
    get_token(summariser, richard)
    consents.record_use(consents.live(richard, summariser.client).pk, at=datetime(2026, 11, 22, 11, 48, tzinfo=UTC))

    text = text_of(connected(richard))

    assert text.count("LLM Summariser") == 1
    assert "by Hooli Labs · third-party app ✓ View your to-dos: titles, notes, due dates and status" in text
    assert "Last used 12 minutes ago" in text
    assert "Ends in 90 days" in text


def test_two_people_never_see_each_others_connections(richard, summariser):
    dinesh = make_person("Dinesh")
    consents.give(dinesh, make_app(name="Bachmanity").client, scopes=["todo:read"])

    assert "Bachmanity" not in text_of(connected(richard))
    assert "LLM Summariser" not in text_of(connected(dinesh))


def test_consent_that_is_over_is_not_listed(richard, summariser, time_machine):
    time_machine.move_to(datetime.now(UTC) + timedelta(days=90))

    assert "LLM Summariser" not in text_of(connected(richard))


def test_permission_that_the_client_lost_is_not_listed(richard):
    app = make_app()
    consents.give(richard, app.client, scopes=["todo:read", "todo:write"])
    clients.set_ceiling(app.client, scopes=["todo:read"])

    assert "Create, edit and delete" not in text_of(connected(richard))


def test_app_that_lost_all_permissions_is_told(richard, summariser):
    clients.set_ceiling(summariser.client, scopes=[])

    assert "It may do none of what you allowed any more." in text_of(connected(richard))


def test_app_that_is_switched_off_is_said_to_do_nothing(richard, summariser):
    clients.disable(summariser.client)

    assert "has switched this app off: it can do nothing now." in text_of(connected(richard))


def test_app_that_was_never_asked_for_is_told(richard):
    app = make_app(kind=ClientKind.FIRST_PARTY)
    consents.give(richard, app.client, scopes=["todo:read"], is_implied=True)

    assert "connected without asking" in text_of(connected(richard))


def test_list_costs_the_same_for_many_apps(richard, summariser, django_assert_num_queries):
    browser = browser_of(richard)
    with CaptureQueriesContext(connection) as one:
        browser.get(CONNECTED, secure=True)
    for _app in range(3):
        consents.give(richard, make_app().client, scopes=["todo:read"])

    with django_assert_num_queries(len(one)):
        browser.get(CONNECTED, secure=True)


def test_withdrawing_asks_first_and_says_what_stays(richard, summariser):
    response = withdraw(richard, summariser, method="get")

    text = text_of(response)
    assert "Withdraw access of LLM Summariser?" in text
    assert "LLM Summariser will no longer be able to: ✕ View your to-dos" in text
    assert "What it already copied is not deleted there." in text
    assert consents.live(richard, summariser.client) is not None


def test_withdrawing_ends_the_consent_and_says_so(richard, summariser):
    response = withdraw(richard, summariser)

    assert (response.status_code, response["Location"]) == (303, f"{CONNECTED}?withdrawn")
    assert consents.live(richard, summariser.client) is None
    assert "Access was withdrawn." in text_of(browser_of(richard).get(response["Location"], secure=True))


def test_next_call_after_withdrawing_is_refused(richard, summariser):
    tokens = get_token(summariser, richard)
    before = send(tokens["access_token"])

    withdraw(richard, summariser)

    assert (before.status_code, send(tokens["access_token"]).status_code) == (200, 401)
    assert error_of(refresh(summariser, tokens["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize("method", ["get", "post"])
def test_connection_of_somebody_else_is_not_found(summariser, richard, method):
    response = withdraw(make_person("Dinesh"), summariser, method=method)

    assert response.status_code == 404
    assert consents.live(richard, summariser.client) is not None


def test_withdrawing_twice_is_not_found(richard, summariser):
    withdraw(richard, summariser)

    assert withdraw(richard, summariser).status_code == 404


def test_form_of_another_site_withdraws_nothing(richard, summariser):
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(richard)

    response = browser.post(f"{CONNECTED}{summariser.client.client_id}/withdraw/", secure=True)

    assert response.status_code == 403
    assert consents.live(richard, summariser.client) is not None


@pytest.mark.parametrize("page", ["", "x/withdraw/"], ids=["list", "withdraw"])
def test_pages_are_for_who_is_signed_in(client, page):
    response = client.get(f"{CONNECTED}{page}", secure=True)

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=/o/connected-apps/")


def test_pages_have_the_strict_policy(richard, summariser):
    response = connected(richard)

    assert response["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert response["Content-Security-Policy"].endswith("form-action 'self'")
    assert (response["Cache-Control"], response["X-Frame-Options"]) == ("no-store", "DENY")


class TestLogo:
    """The picture of an app."""

    def test_png_is_served_as_nothing_but_a_png(self, richard):
        app = make_app(logo=PNG)

        response = browser_of(richard).get(f"/o/logo/{app.client.client_id}/", secure=True)

        assert (response.status_code, response["Content-Type"]) == (200, "image/png")
        assert response.content == PNG
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"

    @pytest.mark.parametrize("client_id", ["none", None], ids=["unknown", "without"])
    def test_none_is_not_found(self, richard, client_id):
        client_id = client_id or make_app().client.client_id

        assert browser_of(richard).get(f"/o/logo/{client_id}/", secure=True).status_code == 404

    def test_page_shows_it_from_this_site(self, richard):
        app = make_app(logo=PNG)
        consents.give(richard, app.client, scopes=["todo:read"])

        assert f'src="/o/logo/{app.client.client_id}/"' in connected(richard).content.decode()


@pytest.mark.parametrize("step", ["page", "answer", "exchange", "refresh", "list"])
def test_nothing_but_the_picture_itself_reads_the_picture(richard, step):
    app = make_app(logo=PNG)
    code = get_code(app, richard)
    token = get_token(app, richard)
    steps = {
        "page": lambda: ask(app, richard, prompt="consent"),
        "answer": lambda: answer(app, richard),
        "exchange": lambda: exchange(app, code),
        "refresh": lambda: refresh(app, token["refresh_token"]),
        "list": lambda: connected(richard),
    }

    with statements() as sql:
        assert steps[step]().status_code in {200, 303}

    assert not [query for query in sql if re.search(r"""[`"]logo[`"].* FROM """, query)]
