from __future__ import annotations

from typing import Any

import pytest
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated

from apikeys.drf import HasAPIKey, HasOwner, HasScopes
from apikeys.testing import make_key

from .drf_views import PlainViewSet, ask, derived, view
from .factories import UserFactory

pytestmark = pytest.mark.django_db

READ, WRITE, USAGE = "todo:read", "todo:write", "usage:read"


class Custom(BasePermission):
    pass


#: HasScopes as somebody calls it whom no type checker warns.
demand: Any = HasScopes


def refusal(response):
    return response.status_code, response.json()["code"]


FORMS = {
    "named": {"permission_classes": [HasScopes(READ)]},
    "all of two": {"permission_classes": [HasScopes(READ, USAGE)]},
    "any of two": {"permission_classes": [HasScopes(WRITE, READ, match="any")]},
    "list": {"permission_classes": [HasScopes], "required_scopes": [READ]},
    "tuple": {"permission_classes": [HasScopes], "required_scopes": (READ,)},
    "set": {"permission_classes": [HasScopes], "required_scopes": {READ}},
    "text": {"permission_classes": [HasScopes], "required_scopes": READ},
    "method": {"permission_classes": [HasScopes], "required_scopes": {"GET": [READ], "POST": [WRITE]}},
    "lower-case method": {"permission_classes": [HasScopes], "required_scopes": {"get": READ, "post": (WRITE,)}},
    "bare, any": {"permission_classes": [HasScopes(match="any")], "required_scopes": [WRITE, READ]},
}


@pytest.mark.parametrize("attributes", FORMS.values(), ids=FORMS)
def test_key_with_the_scopes_is_let_in(attributes):
    response = ask(view(**attributes), key=make_key(scopes=[READ, USAGE]))

    assert response.status_code == 200


@pytest.mark.parametrize("attributes", FORMS.values(), ids=FORMS)
def test_key_without_the_scopes_is_refused(attributes):
    response = ask(view(**attributes), key=make_key(scopes=[USAGE]))

    assert refusal(response) == (403, "insufficient_scope")


@pytest.mark.parametrize("attributes", FORMS.values(), ids=FORMS)
def test_request_without_a_key_is_refused(attributes):
    assert refusal(ask(view(**attributes))) == (401, "key_missing")


@pytest.mark.parametrize("attributes", FORMS.values(), ids=FORMS)
def test_scopes_mean_nothing_for_a_person_who_signed_in(attributes):
    assert ask(view(**attributes), user=UserFactory()).status_code == 403


def test_one_of_two_scopes_is_not_both():
    response = ask(view(permission_classes=[HasScopes(READ, USAGE)]), key=make_key(scopes=[READ]))

    assert refusal(response) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param("get", 200, id="get"),
        pytest.param("head", 200, id="head"),
        pytest.param("post", 403, id="post"),
        pytest.param("options", 403, id="options"),
        pytest.param("delete", 403, id="delete"),
    ],
)
def test_method_asks_for_its_own_scope_and_one_that_is_not_named_is_closed(method, expected):
    todos = view(permission_classes=[HasScopes], required_scopes={"GET": READ, "POST": WRITE})

    assert ask(todos, key=make_key(scopes=[READ]), method=method).status_code == expected


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_scope_of_the_whole_view_is_asked_for_on_every_method(method):
    todos = view(permission_classes=[HasScopes(READ)])

    assert ask(todos, key=make_key(scopes=[READ]), method=method).status_code == 200
    assert ask(todos, key=make_key(scopes=[WRITE]), method=method).status_code == 403


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        pytest.param({"list": READ, "create": WRITE}, {"get": 200, "head": 200, "post": 403}, id="actions"),
        pytest.param({"list": READ, "POST": READ}, {"get": 200, "head": 200, "post": 201}, id="action-and-method"),
        pytest.param({"list": WRITE, "GET": READ}, {"get": 403, "head": 403, "post": 403}, id="action-first"),
        pytest.param({"list": [], "GET": READ}, {"get": 403, "head": 403, "post": 403}, id="empty-means-nothing"),
        pytest.param({"metadata": READ}, {"get": 403, "options": 200}, id="options-is-metadata"),
    ],
)
def test_viewset_asks_by_action_before_method(required, expected):
    viewset = derived(PlainViewSet, permission_classes=[HasScopes], required_scopes=required)
    callback = viewset.as_view({"get": "list", "post": "create"})
    key = make_key(scopes=[READ])

    assert {method: ask(callback, key=key, method=method).status_code for method in expected} == expected


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"required_scopes": []}, id="empty-list"),
        pytest.param({"required_scopes": ()}, id="empty-tuple"),
        pytest.param({"required_scopes": ""}, id="empty-text"),
        pytest.param({"required_scopes": None}, id="none"),
        pytest.param({"required_scopes": {}}, id="empty-dict"),
        pytest.param({"required_scopes": {"GET": None}}, id="none-for-the-method"),
        pytest.param({"required_scopes": {"Get": READ}}, id="misspelt-method"),
    ],
)
@pytest.mark.parametrize("permission", [HasScopes, HasScopes & IsAuthenticated], ids=["alone", "combined"])
def test_has_scopes_that_names_nothing_refuses_every_key(attributes, permission):
    response = ask(view(permission_classes=[permission], **attributes), key=make_key())

    assert refusal(response) == (403, "scopes_not_declared")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param(lambda: demand([READ, WRITE]), TypeError, id="list"),
        pytest.param(lambda: demand(None), TypeError, id="none"),
        pytest.param(lambda: demand(READ, match="some"), ValueError, id="match"),
    ],
)
def test_misspelt_demand_fails_where_it_is_written(call, error):
    with pytest.raises(error):
        call()


def test_scope_that_is_no_longer_declared_does_not_count(settings):
    key = make_key(scopes=[READ, USAGE])
    settings.APIKEYS = {**settings.APIKEYS, "SCOPES": {USAGE: "Read usage numbers"}}

    response = ask(view(permission_classes=[HasScopes(READ)]), key=key)

    assert refusal(response) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    "permissions",
    [
        pytest.param([], id="nothing"),
        pytest.param([AllowAny], id="allow-any"),
        pytest.param([IsAuthenticated], id="is-authenticated"),
        pytest.param([Custom], id="custom"),
        pytest.param([HasOwner], id="has-owner"),
        pytest.param([IsAuthenticated & Custom], id="rest-framework-tree"),
        pytest.param([HasOwner & IsAuthenticated], id="tree"),
    ],
)
def test_view_that_declares_nothing_is_closed_to_keys(permissions):
    todos = view(permission_classes=permissions)

    assert refusal(ask(todos, key=make_key())) == (403, "scopes_not_declared")
    assert ask(todos, user=UserFactory()).status_code == 200


def test_view_that_declares_nothing_takes_keys_where_the_project_says_so(settings):
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_DECLARED_SCOPES": False}

    assert ask(view(permission_classes=[IsAuthenticated]), key=make_key()).status_code == 200


def test_has_scopes_that_names_nothing_refuses_also_where_undeclared_views_take_keys(settings):
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_DECLARED_SCOPES": False}

    assert refusal(ask(view(permission_classes=[HasScopes]), key=make_key())) == (403, "scopes_not_declared")


def test_any_key_will_do_where_the_view_says_so():
    assert ask(view(permission_classes=[HasAPIKey]), key=make_key(scopes=[USAGE])).status_code == 200


def test_view_that_chooses_its_permissions_by_the_caller_knows_the_caller():
    def get_permissions(self):
        return [HasScopes(READ)()] if self.request.user.is_authenticated else [AllowAny()]

    todos = view(get_permissions=get_permissions)

    assert ask(todos, key=make_key(scopes=[READ])).status_code == 200
    assert ask(todos).status_code == 200
    assert refusal(ask(todos, key=make_key(scopes=[WRITE]))) == (403, "insufficient_scope")
