from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from tests.oauth import browser_of, make_app, make_person
from tests.oauth_pages import STATE, answer, ask, authorize_url, parameters_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def richard():
    return make_person("Richard")


class TestNoPrompt:
    """``prompt=none`` of OpenID Connect Core 1.0 section 3.1.2.1."""

    def test_nothing_granted_is_consent_required(self, richard):
        found = parameters_in(ask(make_app(), richard, prompt="none"))

        assert (found["error"], found["state"]) == ("consent_required", STATE)

    def test_old_consent_is_interaction_required(self, richard, time_machine):
        app = make_app()
        time_machine.move_to("2026-11-22T12:00:00Z", tick=False)
        answer(app, richard)
        time_machine.shift(timedelta(hours=2))

        assert parameters_in(ask(app, richard, prompt="none"))["error"] == "interaction_required"

    def test_fresh_consent_gives_a_code(self, richard):
        app = make_app()
        answer(app, richard)

        assert "code" in parameters_in(ask(app, richard, prompt="none"))

    def test_nobody_signed_in_is_login_required(self, client):
        response = client.get(authorize_url(make_app(), prompt="none"), secure=True)

        found = parameters_in(response)
        assert (found["error"], found["state"], found["iss"]) == (
            "login_required",
            STATE,
            "https://testserver/authority",
        )

    def test_site_that_asks_everybody_to_sign_in_answers_alike(self, client):
        everybody = [*django_settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
        with override_settings(MIDDLEWARE=everybody):
            response = client.get(authorize_url(make_app(), prompt="none"), secure=True)

        assert parameters_in(response)["error"] == "login_required"

    def test_it_stands_alone(self, richard):
        assert parameters_in(ask(make_app(), richard, prompt="none consent"))["error"] == "invalid_request"


class TestPromptLogin:
    """``prompt=login`` of OpenID Connect Core 1.0 section 3.1.2.1."""

    def question_after(self, response):
        """Return the parameters of the question to which the sign-in leads back."""
        assert response["Location"].startswith("/accounts/login/?next=/o/authorize/")
        return parse_qs(urlsplit(parameters_in(response)["next"]).query)

    def test_it_signs_in_first(self, richard):
        assert "prompt" not in self.question_after(ask(make_app(), richard, prompt="login"))

    def test_page_that_is_asked_for_as_well_is_shown_after_the_sign_in(self, richard, client):
        app = make_app()
        answer(app, richard)
        client.force_login(richard)

        to_login = ask(app, richard, prompt="login consent")
        response = client.get(parameters_in(to_login)["next"], secure=True)

        assert response.status_code == 200

    def test_nothing_else_of_the_question_is_lost(self, richard):
        resources = ["https://a.example/", "https://b.example/"]
        url = authorize_url(make_app(), prompt="login") + "".join(f"&resource={resource}" for resource in resources)

        response = browser_of(richard).get(url, secure=True)

        assert self.question_after(response)["resource"] == resources

    def test_sign_in_on_another_host_leads_back_to_this_one(self, richard):
        with override_settings(LOGIN_URL="https://login.example/"):
            response = ask(make_app(), richard, prompt="login")

        assert parameters_in(response)["next"].startswith("https://testserver/o/authorize/?client_id=")
