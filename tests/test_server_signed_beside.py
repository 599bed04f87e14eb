"""Signed tokens in views that take other credentials as well: what is whose must not hang on the order of classes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from apikeys.drf import APIKeyAuthentication, HasScopes
from apikeys.oauth import OAuthTokenAuthentication
from apikeys.oauth.testing import make_token as make_oauth_token
from apikeys.resource_server import IntrospectionAuthentication, SignedTokenAuthentication
from apikeys.testing import make_key

from .authority_stand_in import as_json
from .drf_views import ask, derived
from .oauth_views import bearer
from .signed_requests import Summaries, authority, make_token

pytestmark = pytest.mark.django_db

FOREIGN_ISSUER = "https://login.example.org/"
OURS = [APIKeyAuthentication, OAuthTokenAuthentication, SignedTokenAuthentication]
ORDERS = list(itertools.permutations(OURS))


class OtherTokens(BaseAuthentication):
    """Somebody else's class, which takes any bearer token."""

    def authenticate(self, request: Any) -> Any:
        word, _, value = request.headers.get("Authorization", "").partition(" ")
        return (AnonymousUser(), value) if word == "Bearer" else None


class BearerToken(TokenAuthentication):
    keyword = "Bearer"

    def authenticate_credentials(self, key: str) -> Any:
        return AnonymousUser(), key


@pytest.fixture(autouse=True)
def server():
    with authority() as found:
        yield found


@pytest.fixture(params=ORDERS, ids=lambda order: ", ".join(kind.__name__ for kind in order))
def of_all_kinds(request):
    return derived(Summaries, authentication_classes=list(request.param))


def view_of(*classes: Any, **attributes: Any) -> Any:
    """Return a view with *classes* that lets anybody in and says by which it did."""

    def get(self: Any, request: Any) -> Response:
        return Response({"by": type(request.successful_authenticator).__name__})

    return derived(
        Summaries, authentication_classes=list(classes), permission_classes=[AllowAny], get=get, **attributes
    )


class Composed(BaseAuthentication):
    """Somebody's class that asks ours, which the view does not know of."""

    def authenticate(self, request: Any) -> Any:
        return SignedTokenAuthentication().authenticate(request)

    def authenticate_header(self, request: Any) -> Any:
        return SignedTokenAuthentication().authenticate_header(request)


def outcome_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


@pytest.mark.parametrize(
    "token", [lambda: make_token(issuer=FOREIGN_ISSUER), lambda: "opaque"], ids=["foreign", "opaque"]
)
def test_class_that_another_one_asks_leaves_nothing_unread(token):
    assert outcome_of(ask(view_of(Composed), **bearer(token()))) == (401, "token_invalid")


def test_each_credential_is_taken_by_its_class(of_all_kinds):
    key, token = make_key(), make_oauth_token()

    answers = [
        ask(of_all_kinds, **bearer(make_token())),
        ask(of_all_kinds, **bearer(token)),
        ask(of_all_kinds, **bearer(key.plaintext)),
        ask(of_all_kinds, HTTP_X_API_KEY=key.plaintext),
    ]

    assert [answer.json()["kind"] for answer in answers] == ["signed_token", "oauth_token", "api_key", "api_key"]


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        pytest.param(
            lambda key, signed, token: {"HTTP_X_API_KEY": key, **bearer(signed)},
            (400, "invalid_request"),
            id="key and signed token",
        ),
        pytest.param(
            lambda key, signed, token: {"HTTP_X_API_KEY": "x", **bearer("a.b.c")},
            (400, "invalid_request"),
            id="both bad",
        ),
        pytest.param(
            lambda key, signed, token: {"HTTP_AUTHORIZATION": f"Bearer {signed}, Bearer {token}"},
            (400, "invalid_request"),
            id="two tokens",
        ),
        pytest.param(
            lambda key, signed, token: {"HTTP_AUTHORIZATION": f"Bearer {key}, Bearer {signed}"},
            (400, "invalid_request"),
            id="key joined to a signed token",
        ),
        pytest.param(
            lambda key, signed, token: {"address": f"/?access_token={signed}"},
            (400, "token_in_query"),
            id="signed token in the address",
        ),
        pytest.param(
            lambda key, signed, token: {"address": f"/?access_token={token}"},
            (400, "token_in_query"),
            id="other token in the address",
        ),
        pytest.param(
            lambda key, signed, token: {"address": f"/?access_token={token}", **bearer(signed)},
            (400, "invalid_request"),
            id="signed token beside one in the address",
        ),
        pytest.param(
            lambda key, signed, token: {"address": f"/?access_token={signed}", "HTTP_X_API_KEY": key},
            (400, "invalid_request"),
            id="key beside a signed token in the address",
        ),
        pytest.param(lambda key, signed, token: bearer("x"), (401, "token_invalid"), id="unknown token"),
        pytest.param(lambda key, signed, token: bearer(f"{signed[:-9]}AAAAAAAAA"), (401, "token_invalid"), id="forged"),
        pytest.param(lambda key, signed, token: bearer("ak_live_x"), (401, "key_malformed"), id="bad key"),
        pytest.param(lambda key, signed, token: {}, (401, "key_missing"), id="nothing"),
    ],
)
def test_what_is_refused_is_refused_in_every_order(of_all_kinds, headers, outcome):
    key, token = make_key(), make_oauth_token()
    given = headers(key.plaintext, make_token(), token.plaintext)

    response = ask(of_all_kinds, **given)

    assert outcome_of(response) == outcome


def test_signed_token_beside_a_key_is_refused_where_no_class_takes_keys():
    response = ask(Summaries, HTTP_X_API_KEY="x", **bearer(make_token()))

    assert outcome_of(response) == (400, "invalid_request")


INTROSPECTING = {
    "signed first": [SignedTokenAuthentication, IntrospectionAuthentication],
    "signed last": [IntrospectionAuthentication, SignedTokenAuthentication],
}


# A whole transaction: with ATOMIC_REQUESTS a refusal of REST framework's rolls back what a test is in.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ways", INTROSPECTING.values(), ids=list(INTROSPECTING))
def test_authority_is_asked_about_all_but_signed_tokens(ways, server):
    server.server.answers["introspect"] = as_json({"active": False})
    view = derived(Summaries, authentication_classes=ways)

    signed = ask(view, **bearer(make_token()))
    foreign = ask(view, **bearer(make_token(issuer=FOREIGN_ISSUER)))
    asked = server.fetches("introspect")
    others = [ask(view, **bearer("3f8a2c")), ask(view, **bearer(make_key().plaintext))]

    assert (signed.json().get("kind"), outcome_of(foreign)) == ("signed_token", (401, "token_invalid"))
    assert [outcome_of(answer) for answer in others] == [(401, "token_invalid"), (401, "key_invalid")]
    assert (asked, server.fetches("introspect")) == (0, 2)


FOREIGN = {
    "signed by another issuer": lambda: make_token(issuer=FOREIGN_ISSUER),
    "without an issuer that can be read": lambda: ".".join([make_token().split(".")[0], "x", "x"]),
    "not signed": lambda: "3f8a2c",
    "encrypted": lambda: f"{make_token()}.x.x",
    "a key": lambda: "ak_live_x",
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=list(FOREIGN))
@pytest.mark.parametrize("other", [OtherTokens, BearerToken])
def test_token_that_is_not_ours_is_left_to_another_class(make, other, server):
    response = ask(view_of(SignedTokenAuthentication, SessionAuthentication, other), **bearer(make()))

    assert response.json() == {"by": other.__name__}
    assert server.server.asked == []


@pytest.mark.parametrize("make", FOREIGN.values(), ids=list(FOREIGN))
@pytest.mark.parametrize(
    "others",
    [[], [SessionAuthentication], [BasicAuthentication], [TokenAuthentication]],
    ids=["alone", "sessions", "passwords", "another word"],
)
def test_token_that_nobody_reads_is_refused_also_where_anybody_may_come_in(make, others, server):
    response = ask(view_of(SignedTokenAuthentication, *others), **bearer(make()))

    assert outcome_of(response) == (401, "token_invalid")
    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'
    assert server.server.asked == []


def test_token_of_ours_is_never_left_to_another_class():
    response = ask(view_of(SignedTokenAuthentication, OtherTokens), **bearer(make_token(audience="https://x.example")))

    assert outcome_of(response) == (401, "token_invalid")


def test_class_before_it_is_asked_first():
    response = ask(view_of(OtherTokens, SignedTokenAuthentication), **bearer(make_token(issuer=FOREIGN_ISSUER)))

    assert response.json() == {"by": "OtherTokens"}


@pytest.mark.parametrize("header", ["Basic eDp5", "Token abc", "Digest a=b", "Bearerx y", "x"])
def test_other_schemes_are_left_to_others(header):
    response = ask(view_of(SignedTokenAuthentication), HTTP_AUTHORIZATION=header)

    assert response.json() == {"by": "NoneType"}


def test_signed_token_is_for_nobody_where_no_class_takes_it():
    view = derived(
        Summaries,
        authentication_classes=[APIKeyAuthentication, OAuthTokenAuthentication],
        permission_classes=[HasScopes("todo:read")],
    )

    response = ask(view, **bearer(make_token()))

    assert outcome_of(response) == (401, "token_invalid")
