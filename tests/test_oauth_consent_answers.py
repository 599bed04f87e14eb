from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import override_settings
from oauth2_provider.models import get_grant_model

from apikeys import clients
from apikeys.conf import settings
from apikeys.models import ClientKind, KeyEvent
from apikeys.oauth import applications, consents
from tests.oauth import CALLBACK, browser_of, make_app, make_person, press, question_in
from tests.oauth_pages import STATE, answer, ask, authorize_url, parameters_in, text_of

pytestmark = pytest.mark.django_db

Grant = get_grant_model()


@pytest.fixture
def richard():
    return make_person("Richard")


def nothing_was_given(app, person):
    return consents.live(person, app.client) is None and not Grant.objects.exists()


def first_party(**fields):
    return make_app(kind=ClientKind.FIRST_PARTY, skips_consent=True, **fields)


def test_allow_sends_a_code_and_the_state_to_the_registered_address(richard):
    app = make_app()

    response = answer(app, richard)

    assert response.status_code == 303
    assert response["Location"].startswith(f"{CALLBACK}?")
    assert parameters_in(response).keys() == {"code", "state", "iss"}
    assert parameters_in(response)["state"] == STATE
    assert response["Cache-Control"] == "no-store"


def test_allow_gives_exactly_what_the_page_listed(richard):
    app = make_app()

    answer(app, richard, scope="todo:read")

    assert consents.live(richard, app.client).scopes == ["todo:read"]
    assert Grant.objects.get().scope == "todo:read"


def test_cancel_is_access_denied_with_the_state_and_gives_nothing(richard):
    app = make_app()

    response = answer(app, richard, allow="no")

    found = parameters_in(response)
    assert response["Location"].startswith(f"{CALLBACK}?")
    assert (found["error"], found["state"], found["iss"]) == ("access_denied", STATE, "https://testserver/authority")
    assert nothing_was_given(app, richard)


@pytest.mark.parametrize("allow", ["", "true", "no yes"])
def test_whatever_is_not_allow_is_cancel(richard, allow):
    app = make_app()

    response = answer(app, richard, allow=allow)

    assert parameters_in(response)["error"] == "access_denied"
    assert nothing_was_given(app, richard)


def test_nobody_is_asked_before_signing_in_and_comes_back_to_the_whole_question(client):
    app = make_app()

    response = client.get(authorize_url(app), secure=True)

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=/o/authorize/%3Fclient_id%3D")
    assert "code_challenge_method%3DS256" in response["Location"]


def test_request_without_scope_gets_the_minimum_of_the_client_not_all(richard):
    app = make_app(minimum_scopes=["todo:read"])

    answer(app, richard, scope=None)

    assert consents.live(richard, app.client).scopes == ["todo:read"]


def test_request_without_scope_of_a_client_without_minimum_is_refused(richard):
    app = make_app()

    response = ask(app, richard, scope=None)

    assert parameters_in(response)["error"] == "invalid_scope"
    assert parameters_in(response)["state"] == STATE


def test_minimum_that_grows_while_the_page_is_read_gives_what_was_read(richard, client):
    app = make_app(minimum_scopes=["todo:read"])
    page = ask(app, richard, scope=None)
    applications.edit(app.link, minimum_scopes=["todo:read", "todo:write"])
    client.force_login(richard)

    (action,) = re.findall(r'action="(/o/authorize/[^"]*)"', page.content.decode())
    client.post(unescape(action), {"allow": "yes", **question_in(page)}, secure=True)

    assert consents.live(richard, app.client).scopes == ["todo:read"]


def test_scopes_in_the_form_count_for_nothing(richard, client):
    app = make_app()
    client.force_login(richard)

    press(client, authorize_url(app), {"allow": "yes", "scope": "todo:read todo:write"})

    assert consents.live(richard, app.client).scopes == ["todo:read"]


def test_redirect_address_in_the_form_counts_for_nothing(richard, client):
    app = make_app(redirect_uris=[CALLBACK, "https://other.example/callback"])
    client.force_login(richard)
    form = {"allow": "yes", "redirect_uri": "https://other.example/callback", "client_id": make_app().client_id}

    response = press(client, authorize_url(app), form)

    assert response["Location"].startswith(f"{CALLBACK}?")


class TestOptional:
    """Permissions that people may leave out."""

    def test_left_out_is_not_given(self, richard):
        app = make_app(optional_scopes=["todo:write"])

        answer(app, richard, scope="todo:read todo:write")

        assert consents.live(richard, app.client).scopes == Grant.objects.get().scope.split() == ["todo:read"]

    def test_ticked_is_given(self, richard):
        app = make_app(optional_scopes=["todo:write"])

        answer(app, richard, scope="todo:read todo:write", optional=["todo:write"])

        assert consents.live(richard, app.client).scopes == ["todo:read", "todo:write"]

    def test_required_is_given_ticked_or_not(self, richard):
        app = make_app()

        answer(app, richard, scope="todo:read todo:write")

        assert consents.live(richard, app.client).scopes == ["todo:read", "todo:write"]

    @pytest.mark.parametrize("ticked", [["usage:read"], ["todo:read"]], ids=["not-asked-for", "required"])
    def test_nothing_else_can_be_ticked(self, richard, ticked):
        app = make_app(optional_scopes=["todo:write"])

        response = answer(app, richard, scope="todo:read todo:write", optional=ticked)

        assert response.status_code == 400
        assert nothing_was_given(app, richard)

    def test_nothing_ticked_asks_again(self, richard):
        app = make_app(optional_scopes=["todo:write"])

        response = answer(app, richard, scope="todo:write")

        assert response.status_code == 400
        assert "Tick one permission at least, or cancel." in text_of(response)
        assert nothing_was_given(app, richard)


class TestChangedMeanwhile:
    """The page and its answer are two requests."""

    @pytest.fixture
    def app(self):
        return make_app(optional_scopes=["todo:write"])

    @pytest.fixture
    def page(self, app, richard):
        return ask(app, richard, scope="todo:read todo:write")

    def press_allow(self, app, person, **form):
        url = authorize_url(app, scope="todo:read todo:write")
        return browser_of(person).post(url, {"allow": "yes", **form}, secure=True)

    def test_what_was_left_out_is_not_given_because_it_is_required_by_now(self, richard, app, page):
        applications.edit(app.link, optional_scopes=[])

        response = self.press_allow(app, richard, **question_in(page))

        assert response.status_code == 400
        assert "What the app asks for has changed. Read it again." in text_of(response)
        assert nothing_was_given(app, richard)

    def test_page_that_is_shown_again_can_be_answered(self, richard, app, page):
        applications.edit(app.link, optional_scopes=[])
        shown_again = self.press_allow(app, richard, **question_in(page))

        self.press_allow(app, richard, **question_in(shown_again))

        assert consents.live(richard, app.client).scopes == ["todo:read", "todo:write"]

    def test_answer_to_no_question_is_none(self, richard, app):
        response = self.press_allow(app, richard)

        assert response.status_code == 400
        assert nothing_was_given(app, richard)

    def test_person_who_cancels_need_not_read_it_again(self, richard, app, page):
        applications.edit(app.link, optional_scopes=[])

        response = self.press_allow(app, richard, **question_in(page), allow="no")

        assert parameters_in(response)["error"] == "access_denied"


class TestFresh:
    """What was allowed a moment ago needs no page."""

    def test_consent_of_this_hour_is_not_asked_for_again(self, richard, time_machine):
        app = make_app()
        time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
        answer(app, richard)
        time_machine.shift(timedelta(minutes=59))

        assert "code" in parameters_in(ask(app, richard))

    def test_consent_of_an_hour_ago_is(self, richard, time_machine):
        app = make_app()
        time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
        answer(app, richard)
        time_machine.shift(timedelta(hours=1))

        assert ask(app, richard).status_code == 200

    def test_code_without_a_page_extends_nothing(self, richard, time_machine):
        app = make_app()
        time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
        answer(app, richard)
        ends = consents.live(richard, app.client).expires_at
        time_machine.shift(timedelta(minutes=30))

        ask(app, richard)

        assert consents.live(richard, app.client).expires_at == ends
        assert KeyEvent.objects.filter(kind="consent_given").count() == 1

    @pytest.mark.parametrize(
        "change",
        [{"scope": "todo:read todo:write"}, {"prompt": "consent"}, {"prompt": "select_account"}],
        ids=["asks-for-more", "asks-for-the-page", "asks-who-is-there"],
    )
    def test_page_is_shown(self, richard, change):
        app = make_app()
        answer(app, richard)

        assert ask(app, richard, **change).status_code == 200

    @pytest.mark.parametrize("redirect_uri", ["com.example.app:/callback", "http://127.0.0.1:8001/callback"])
    def test_app_that_others_can_pretend_to_be_is_asked_for_each_time(self, richard, redirect_uri):
        app = make_app(redirect_uris=[redirect_uri], is_public=True)
        answer(app, richard, redirect_uri=redirect_uri)

        assert ask(app, richard, redirect_uri=redirect_uri).status_code == 200

    @pytest.mark.parametrize("destination", ["image", "iframe", "script"])
    def test_what_another_page_loads_is_never_given_a_code(self, richard, destination):
        app = make_app()
        answer(app, richard)

        response = ask(app, richard, headers={"Sec-Fetch-Dest": destination})

        assert response.status_code == 200
        assert Grant.objects.count() == 1

    def test_setting_of_zero_asks_always(self, richard):
        app = make_app()
        with override_settings(APIKEYS={**settings.given(), "CONSENT_FRESH_FOR": timedelta(0)}):
            answer(app, richard)

            assert ask(app, richard).status_code == 200


class TestSkipping:
    """Apps of the site itself, by an explicit setting."""

    def test_first_party_app_that_skips_gets_a_code_and_an_implied_consent(self, richard):
        app = first_party()

        response = ask(app, richard)

        consent = consents.live(richard, app.client)
        assert "code" in parameters_in(response)
        assert (consent.scopes, consent.is_implied) == (["todo:read"], True)

    def test_first_party_app_without_the_setting_is_asked_for(self, richard):
        assert ask(make_app(kind=ClientKind.FIRST_PARTY), richard).status_code == 200

    def test_app_that_is_no_longer_first_party_is_asked_for(self, richard):
        app = first_party()
        ask(app, richard)
        clients.edit(app.client, kind=ClientKind.THIRD_PARTY)

        assert ask(app, richard).status_code == 200

    def test_public_app_on_the_machine_is_asked_for(self, richard):
        redirect_uri = "http://127.0.0.1:8001/callback"
        app = first_party(redirect_uris=[redirect_uri], is_public=True)

        assert ask(app, richard, redirect_uri=redirect_uri).status_code == 200

    def test_page_can_be_asked_for(self, richard):
        assert ask(first_party(), richard, prompt="consent").status_code == 200

    def test_coming_back_leaves_one_event(self, richard):
        app = first_party()

        ask(app, richard)
        ask(app, richard)

        assert KeyEvent.objects.filter(kind="consent_given", client=app.client).count() == 1
