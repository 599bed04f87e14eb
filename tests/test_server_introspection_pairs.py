from __future__ import annotations

import pytest
from rest_framework.permissions import AllowAny

from apikeys.resource_server import IntrospectionAuthentication, SignedTokenAuthentication

from . import signed_requests
from .authority_stand_in import as_json
from .introspected import SERVICE, bearer, get, new_key, sharing

OPAQUE = "2YotnFZFEjr1zCsicMWpAA"


@pytest.fixture(
    params=[
        pytest.param([IntrospectionAuthentication, SignedTokenAuthentication], id="introspection-first"),
        pytest.param([SignedTokenAuthentication, IntrospectionAuthentication], id="signed-first"),
    ]
)
def both(request):
    """A view that takes what the authority is asked about, and what it need not be asked about."""
    return sharing(authentication_classes=request.param)


@pytest.fixture
def server():
    with signed_requests.authority() as authority:
        told = {**SERVICE, "aud": signed_requests.AUDIENCE, "iss": signed_requests.ISSUER}
        authority.server.answers["introspect"] = as_json(told)
        yield authority.server


def test_a_signed_token_is_not_asked_about(both, server):
    response = get(both, **bearer(signed_requests.make_token()))

    assert (response.status_code, response.json()["kind"]) == (200, "signed_token")
    assert server.asked_for("introspect") == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(lambda: bearer(new_key()), id="key"),
        pytest.param(lambda: {"HTTP_X_API_KEY": new_key()}, id="key-in-its-own-header"),
        pytest.param(lambda: bearer(OPAQUE), id="token"),
    ],
)
def test_everything_else_is_asked_about(both, server, headers):
    assert get(both, **headers()).status_code == 200
    assert len(server.asked_for("introspect")) == 1


def test_a_bad_signature_is_no_reason_to_ask(both, server):
    token = signed_requests.make_token()

    response = get(both, **bearer(f"{token[:-4]}AAAA"))

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    assert server.asked_for("introspect") == []


@pytest.mark.parametrize("permission", [AllowAny, *sharing().permission_classes], ids=["anybody", "scopes"])
@pytest.mark.parametrize("token", [signed_requests.make_token, lambda: OPAQUE], ids=["signed", "opaque"])
def test_a_key_beside_a_token_is_refused(both, server, token, permission):
    view = sharing(authentication_classes=both.authentication_classes, permission_classes=[permission])

    response = get(view, HTTP_X_API_KEY=new_key(), **bearer(token()))

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert server.asked_for("introspect") == []


@pytest.mark.parametrize("token", [signed_requests.make_token, lambda: OPAQUE], ids=["signed", "opaque"])
def test_a_token_in_the_address_is_refused(both, server, token):
    response = get(both, QUERY_STRING=f"access_token={token()}")

    assert (response.status_code, response.json()["code"]) == (400, "token_in_query")
    assert server.asked_for("introspect") == []


def test_a_request_without_either_is_told_what_may_be_sent(both, server):
    response = get(both, key="", HTTP_AUTHORIZATION="")

    assert response.json()["detail"].startswith("This endpoint needs an API key or an access token.")
