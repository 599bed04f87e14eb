"""What nobody was asked for counts for an app of the site's own, and for no other."""

from __future__ import annotations

import pytest
from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope

from apikeys import clients
from apikeys.models import ClientKind
from apikeys.oauth import consents
from tests import oauth
from tests.drf_views import ask as ask_api
from tests.drf_views import view
from tests.oauth_pages import answer, parameters_in
from tests.oauth_views import Todos

pytestmark = pytest.mark.django_db

Theirs = view(
    authentication_classes=[OAuth2Authentication], permission_classes=[TokenHasScope], required_scopes=["todo:read"]
)


@pytest.fixture
def app():
    return oauth.make_app(kind=ClientKind.FIRST_PARTY, skips_consent=True)


@pytest.fixture
def richard():
    return oauth.make_person()


def get_code(app, person):
    """Return the code that *app* is sent without a page."""
    verifier = "v" * 64
    response = oauth.browser_of(person).get(oauth.authorization_url(app, verifier), secure=True)
    return oauth.Code(parameters_in(response)["code"], verifier)


def get_token(app, person):
    return oauth.exchange(app, get_code(app, person)).json()


def become_third_party(app):
    clients.edit(app.client, kind=ClientKind.THIRD_PARTY)


def status_at(todos, token):
    return ask_api(todos, headers=oauth.bearer(token["access_token"])).status_code


@pytest.mark.parametrize("todos", [Todos, Theirs], ids=["our authentication", "the toolkit's"])
def test_access_token_of_an_app_that_became_third_party_is_dead(app, richard, todos):
    token = get_token(app, richard)
    assert status_at(todos, token) == 200

    become_third_party(app)

    assert status_at(todos, token) == 401


def test_code_of_an_app_that_became_third_party_gives_nothing(app, richard):
    code = get_code(app, richard)
    become_third_party(app)

    assert oauth.error_of(oauth.exchange(app, code)) == (400, "invalid_grant")
    assert oauth.issued()[:2] == (0, 0)


def test_refresh_token_of_an_app_that_became_third_party_gives_nothing(app, richard):
    token = get_token(app, richard)
    become_third_party(app)

    assert oauth.error_of(oauth.refresh(app, token["refresh_token"])) == (400, "invalid_grant")


def test_app_that_became_third_party_is_no_connected_app(app, richard):
    get_token(app, richard)

    become_third_party(app)

    assert not consents.of(richard).exists()
    assert consents.live(richard, app.client) is None


def test_old_tokens_stay_dead_when_the_person_is_asked_at_last(app, richard):
    token = get_token(app, richard)
    become_third_party(app)

    answer(app, richard)

    assert status_at(Todos, token) == 401
    assert oauth.error_of(oauth.refresh(app, token["refresh_token"])) == (400, "invalid_grant")


def test_app_that_became_third_party_keeps_what_the_person_was_asked_for(richard):
    app = oauth.make_app(kind=ClientKind.FIRST_PARTY)
    token = oauth.get_token(app, richard)

    become_third_party(app)

    assert status_at(Todos, token) == 200
    assert oauth.refresh(app, token["refresh_token"]).status_code == 200
