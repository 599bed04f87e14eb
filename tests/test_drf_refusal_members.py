from __future__ import annotations

import pytest
from rest_framework.response import Response

from apikeys import clients
from apikeys.drf import HasScopes
from apikeys.testing import make_key

from .drf_views import ask, view
from .factories import ClientFactory

pytestmark = pytest.mark.django_db

Todos = view(permission_classes=[HasScopes("todo:read")])


@pytest.mark.parametrize(
    ("required", "scope"),
    [
        pytest.param(['todo:write", error="none'], None, id="quote"),
        pytest.param(["todo:write\\"], None, id="backslash"),
        pytest.param(["todo:write\r\nSet-Cookie: a=b"], None, id="line-break"),
        pytest.param(["todo:write", 'x"y'], "todo:write", id="one-of-two"),
        pytest.param([5], None, id="number"),
    ],
)
def test_scope_name_cannot_break_out_of_the_challenge(required, scope):
    todos = view(permission_classes=[HasScopes], required_scopes=required)

    response = ask(todos, key=make_key(scopes=["todo:read"]))

    expected = 'Bearer realm="api", error="insufficient_scope"'
    assert response["WWW-Authenticate"] == (f'{expected}, scope="{scope}"' if scope else expected)
    assert response.status_code == 403
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("address", ["/?next=%0d%0aSet-Cookie:a=b", '/?q="', "/?q=%22%2C+error=%22"])
def test_address_cannot_break_out_of_the_challenge(address):
    assert ask(Todos, address=address)["WWW-Authenticate"] == 'Bearer realm="api"'


def test_challenge_names_the_first_of_several_scopes_that_would_do():
    todos = view(permission_classes=[HasScopes("todo:write", "todo:read", match="any")])

    response = ask(todos, key=make_key(scopes=["usage:read"]))

    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="insufficient_scope", scope="todo:write"'
    assert response.json()["required_scopes"] == ["todo:write", "todo:read"]


def test_scope_that_is_written_nowhere_is_called_by_its_name():
    response = ask(view(permission_classes=[HasScopes("todo:share")]), key=make_key())

    assert response.json()["detail"] == "This key lacks the permission “todo:share” (todo:share)."


def full_details(error, context):
    return Response(error.get_full_details(), status=error.status_code)


def test_exception_handler_of_the_project_can_read_a_refusal(settings):
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": "tests.test_drf_refusal_members.full_details"}

    assert ask(Todos, key="ak_live_x").json() == {
        "message": "This is not a whole key. Copy it again.",
        "code": "key_malformed",
    }


def name_of(request):
    return request.headers.get("X-Request-ID")


def test_refusal_carries_the_request_id_where_the_project_has_one(settings):
    settings.APIKEYS = {**settings.APIKEYS, "REQUEST_ID": "tests.test_drf_refusal_members.name_of"}

    assert ask(Todos, HTTP_X_REQUEST_ID="r-17").json()["request_id"] == "r-17"
    assert "request_id" not in ask(Todos).json()


@pytest.mark.parametrize("code", ["key_missing", "key_malformed", "insufficient_scope"])
def test_refusal_links_to_the_documentation_where_there_is_one(settings, code):
    settings.APIKEYS = {**settings.APIKEYS, "ERROR_DOCS_URL": "https://docs.example.com/errors"}
    key = make_key(scopes=["usage:read"])
    presented = {"key_missing": None, "key_malformed": "ak_live_x", "insufficient_scope": key}[code]

    assert ask(Todos, key=presented).json()["docs"] == f"https://docs.example.com/errors#{code}"


def test_ceiling_that_was_lowered_counts_at_once():
    client = ClientFactory()
    key = make_key(client=client, scopes=["todo:read"])
    assert ask(Todos, key=key).status_code == 200

    clients.set_ceiling(client, scopes=["usage:read"])

    assert ask(Todos, key=key).json()["code"] == "insufficient_scope"
