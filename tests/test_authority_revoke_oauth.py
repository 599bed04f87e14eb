"""How clients of OAuth give up their own tokens where keys are given up."""

from __future__ import annotations

import pytest
from oauth2_provider.models import get_access_token_model, get_refresh_token_model, set_token_value

from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from . import oauth
from .introspection import REVOKE, make_app, post, revoke, works

# Where transactions are around views, a refusal of one without rolls back what a test is in.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def app():
    return make_app()


def as_oauth(app, token, **form):
    """Return the answer to a client of OAuth that gives up *token* here."""
    return oauth.post(REVOKE, {"token": token, **form}, app=app)


def test_oauth_client_gives_up_its_own_tokens_here():
    app = oauth.make_app("client-credentials")
    token = oauth.client_credentials(app, scope="todo:read").json()["access_token"]
    before = oauth.issued()[0]

    response = as_oauth(app, token)

    assert (response.status_code, response.content) == (200, b"")
    assert (before, oauth.issued()[0]) == (1, 0)


def test_oauth_client_is_answered_as_at_the_endpoint_of_oauth():
    app = oauth.make_app("client-credentials")

    here, there = (oauth.post(path, {"token": "unknown"}, app=app) for path in (REVOKE, oauth.REVOKE))

    assert (here.status_code, here.content) == (there.status_code, there.content) == (200, b"")


def test_oauth_client_with_a_wrong_secret_is_refused_in_the_words_of_oauth():
    app = oauth.make_app("client-credentials")

    response = oauth.post(REVOKE, {"token": "x", "client_id": app.client_id, "client_secret": "wrong"})

    assert oauth.error_of(response) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")


def test_form_that_oauth_can_not_read_is_refused_in_its_words():
    response = post(None, REVOKE, '{"token": "x"}', content_type="application/json")

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_oauth_client_ends_no_key(app):
    issued = make_key(client=app)

    response = as_oauth(oauth.make_app("client-credentials"), issued.plaintext)

    assert response.status_code == 401
    assert works(issued)


def access_token_of(client):
    return make_token(client=client, user=None).plaintext


def refresh_token_of(client):
    make_token(client=client)
    access_token = get_access_token_model().objects.get(application__client_application__client=client)
    token = get_refresh_token_model()(
        user=access_token.user, application=access_token.application, access_token=access_token
    )
    set_token_value(token, "a-refresh-token")
    token.save()
    return "a-refresh-token"


OF_A_CLIENT = pytest.mark.parametrize("make", [access_token_of, refresh_token_of], ids=["access", "refresh"])


@OF_A_CLIENT
def test_client_gives_up_its_oauth_tokens_with_its_key(app, make):
    token = make(app)

    response = revoke(make_key(client=app), token)

    assert (response.status_code, response.content) == (200, b"")
    assert oauth.issued() == (0, 0, 0)


@OF_A_CLIENT
def test_client_gives_up_no_oauth_token_of_another(app, make):
    token = make(make_app())
    before = oauth.issued()

    response = revoke(make_key(client=app), token)

    assert (response.status_code, response.content) == (200, b"")
    assert oauth.issued() == before


def test_refresh_token_ends_with_the_access_token_that_is_given_up_with_a_key(app):
    refresh_token_of(app)
    access_token = get_access_token_model().objects.get()
    set_token_value(access_token, "an-access-token")
    access_token.save()

    revoke(make_key(client=app), "an-access-token")

    assert oauth.issued() == (0, 0, 0)


def test_spent_refresh_token_that_is_given_up_with_a_key_takes_along_what_came_of_it():
    signs_in = oauth.make_app()
    spent = oauth.get_token(signs_in, oauth.make_person())["refresh_token"]
    fresh = oauth.refresh(signs_in, spent).json()["refresh_token"]

    response = revoke(make_key(client=signs_in.client), spent)

    assert (response.status_code, response.content) == (200, b"")
    assert oauth.error_of(oauth.refresh(signs_in, fresh)) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)


def test_who_sends_a_key_of_this_site_is_answered_here_about_unknown_tokens_too(app):
    response = revoke(make_key(client=app), "an-oauth-token-of-nobodys")

    assert (response.status_code, response.content) == (200, b"")
