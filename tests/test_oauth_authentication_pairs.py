"""Keys and tokens in one view, and both on one request where one is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated

from apikeys.models import Level
from apikeys.oauth import OAuthTokenAuthentication
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .drf_views import ask
from .factories import UserFactory
from .oauth_views import KEY_FIRST, TOKEN_FIRST, bearer, make_known_key, send, token_view
from .request_path import statements
from .usage_counts import counted

pytestmark = pytest.mark.django_db

ORDERS: dict[str, list[Any]] = {
    "key first": KEY_FIRST,
    "token first": TOKEN_FIRST,
    "and sessions": [*KEY_FIRST, SessionAuthentication],
}
TOKENS_ALONE: dict[str, list[Any]] = {"token alone": [OAuthTokenAuthentication]}


@pytest.fixture(params=ORDERS.values(), ids=list(ORDERS))
def todos(request):
    return token_view(authentication_classes=request.param)


def test_view_takes_keys_and_tokens(todos):
    key, made = make_key(), make_token()

    answers = [ask(todos, key=key), ask(todos, HTTP_X_API_KEY=key.plaintext), send(made, to=todos)]

    assert [answer.json() for answer in answers] == [
        *[{"key_id": key.key.key_id, "user": str(key.key.owner)}] * 2,
        {"key_id": "", "user": str(made.user)},
    ]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({"HTTP_AUTHORIZATION": "Bearer ak_live_x"}, "key_malformed", id="bad key"),
        pytest.param({"HTTP_X_API_KEY": "x"}, "key_malformed", id="bad key in its header"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer akx"}, "token_invalid", id="bad token"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer"}, "token_invalid", id="word alone"),
        pytest.param({}, "key_missing", id="nothing"),
    ],
)
def test_bad_credential_is_refused_as_what_it_claims_to_be(todos, headers, code):
    response = ask(todos, **headers)

    assert (response.status_code, response.json()["code"]) == (401, code)


def test_request_without_credential_is_told_of_both_ways(todos):
    response = ask(todos)

    assert response.json()["detail"].startswith("This endpoint needs an API key or an access token.")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


PAIRS = {
    "both good": lambda key, made: {"HTTP_X_API_KEY": key.plaintext, **bearer(made)},
    "bad key": lambda key, made: {"HTTP_X_API_KEY": "x", **bearer(made)},
    "bad token": lambda key, made: {"HTTP_X_API_KEY": key.plaintext, **bearer("x")},
    "both bad": lambda key, made: {"HTTP_X_API_KEY": "x", **bearer("x")},
    "token joined to a key": lambda key, made: {
        "HTTP_AUTHORIZATION": f"Bearer {key.plaintext}, Bearer {made.plaintext}"
    },
    "key joined to a token": lambda key, made: {
        "HTTP_AUTHORIZATION": f"Bearer {made.plaintext}, Bearer {key.plaintext}"
    },
}


@pytest.mark.parametrize("permission", [None, AllowAny], ids=["needs a scope", "lets anybody in"])
@pytest.mark.parametrize("classes", [*ORDERS.values(), *TOKENS_ALONE.values()], ids=[*ORDERS, *TOKENS_ALONE])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_key_and_token_on_one_request_are_refused_unread(pair, classes, permission):
    attributes = {} if permission is None else {"permission_classes": [permission]}
    todos = token_view(authentication_classes=classes, **attributes)
    headers = pair(make_known_key(), make_token())

    with statements() as sql:
        response = ask(todos, **headers)

    assert sql == []
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_request"'


def test_key_and_token_on_one_request_are_counted_as_one_refusal(todos):
    ask(todos, **PAIRS["both good"](make_key(), make_token()))

    assert counted("outcome", "count", level=Level.REFUSAL) == [("invalid_request", 1)]


def test_session_is_left_alone_beside_keys_and_tokens():
    todos = token_view(authentication_classes=ORDERS["and sessions"], permission_classes=[IsAuthenticated])
    person = UserFactory()

    assert ask(todos, user=person).json() == {"key_id": None, "user": str(person)}


@pytest.mark.parametrize("credentials", [None, {"key": "mine"}], ids=["none", "another meaning"])
def test_credentials_of_an_authentication_of_others_are_its_own(credentials):
    theirs = type("Theirs", (SessionAuthentication,), {"credentials": credentials})
    classes = [OAuthTokenAuthentication, theirs]

    with_none = ask(token_view(authentication_classes=classes))
    with_key = ask(token_view(authentication_classes=classes, permission_classes=[AllowAny]), key=make_key())

    assert (with_none.json()["code"], with_key.json()["code"]) == ("token_missing", "token_invalid")
