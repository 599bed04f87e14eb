"""Who can't give up anything, and what is no request to do so."""

from __future__ import annotations

import pytest

from apikeys import clients
from apikeys.testing import ApiKeyClient, make_key

from .introspection import FORM, REVOKE, changes, make_app, make_server, post, revoke, set_signing_key, signed, works
from .request_path import code_of, with_right_tag

# Where transactions are around views, a refusal of one without rolls back what a test is in.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def signing_key(settings):
    set_signing_key(settings)


@pytest.fixture
def server():
    return make_server()


@pytest.fixture
def app(server):
    return make_app(server)


def test_who_sends_no_key_is_told_how(app):
    issued = make_key(client=app)

    response = revoke(None, issued)

    assert (response.status_code, code_of(response)) == (401, "key_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert works(issued)


def disabled(issued):
    clients.disable(issued.key.client)


def owner_disabled(issued):
    issued.key.owner.is_active = False
    issued.key.owner.save()


REFUSED = {"client disabled": (disabled, "client_disabled"), "owner disabled": (owner_disabled, "owner_disabled")}


@pytest.mark.parametrize(("stop", "code"), REFUSED.values(), ids=REFUSED)
def test_caller_that_is_stopped_ends_nothing(app, stop, code):
    issued = make_key(client=app)
    stop(issued)

    response = revoke(issued, issued)

    assert (response.status_code, code_of(response)) == (403, code)
    assert changes() == (0, 0)


def test_caller_from_an_address_that_its_key_does_not_allow_ends_nothing(app):
    issued = make_key(client=app, allowed_networks=["203.0.113.0/24"])

    response = revoke(issued, issued)

    assert (response.status_code, code_of(response)) == (403, "ip_not_allowed")
    assert changes() == (0, 0)


def test_address_of_a_key_that_is_given_up_with_another_does_not_matter(app):
    issued = make_key(client=app, allowed_networks=["203.0.113.0/24"])

    revoke(make_key(client=app), issued)

    assert changes() == (1, 1)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_only_post_is_answered(app, method):
    response = getattr(ApiKeyClient(make_key(client=app)), method)(REVOKE)

    assert response.status_code == 405
    assert response["Allow"] == "POST"


UNREADABLE = {"nothing": "", "empty": "token=", "twice": "token=a&token=b"}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_form_that_names_no_token_once_is_refused(app, body):
    response = post(make_key(client=app), REVOKE, body)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert response.json()["code"] == "parameter_invalid"


def test_token_in_the_address_is_refused_and_ends_nothing(app):
    response = ApiKeyClient(make_key(client=app)).post(f"{REVOKE}?token=x", "", content_type=FORM)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_only_forms_are_read(app):
    response = post(make_key(client=app), REVOKE, '{"token": "x"}', content_type="application/json")

    assert response.status_code == 415


def test_what_cannot_be_checked_now_may_be_tried_again(settings, app):
    settings.APIKEYS = {**settings.APIKEYS, "HASHES_PER_KEY_PER_MINUTE": 1, "CACHE": None}
    caller, issued = make_key(client=app), make_key(client=app)
    guesses = [with_right_tag(issued.key.key_id, secret=f"{number:043}") for number in range(3)]

    responses = [revoke(caller, guess) for guess in guesses]

    # A minute may turn while they are sent, so that two budgets are spent, never three.
    refused = next(response for response in responses if response.status_code != 200)
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_keys_for_signing_that_cannot_be_read_leave_signed_tokens_undecided(settings, server, app):
    issued = make_key(client=app)
    token = signed(issued, server)
    settings.APIKEYS = {**settings.APIKEYS, "SIGNING_KEYS": ["no key"]}

    response = revoke(issued, token)

    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
    assert response["Retry-After"] == "60"
