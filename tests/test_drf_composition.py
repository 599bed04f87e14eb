from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from rest_framework import permissions
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle

from apikeys.drf import HasAPIKey, HasOwner, HasScopes, IsSessionUser, requires_scopes
from apikeys.testing import make_key

from .drf_views import ask, view
from .factories import UserFactory

pytestmark = pytest.mark.django_db

READ = HasScopes("todo:read")
WRITE = HasScopes("todo:write")

#: The credential of each caller, as ``ask`` takes it.
CALLERS: dict[str, Any] = {
    "nobody": dict,
    "person": lambda: {"user": UserFactory()},
    "reader": lambda: {"key": make_key(scopes=["todo:read"])},
    "writer": lambda: {"key": make_key(scopes=["todo:write"])},
    "service": lambda: {"key": make_key(scopes=["todo:write"], owner=None)},
}

TREES = {
    "scope": (WRITE, {"writer", "service"}),
    # and
    "scope & class": (WRITE & IsAuthenticated, {"writer", "service"}),
    "class & scope": (IsAuthenticated & WRITE, {"writer", "service"}),
    "scope & instance": (WRITE & IsAuthenticated(), {"writer", "service"}),
    "instance & scope": (IsAuthenticated() & WRITE, {"writer", "service"}),
    "anybody & scope": (AllowAny & WRITE, {"writer", "service"}),
    "staff & scope": (IsAdminUser & WRITE, set()),
    "scope & owner": (WRITE & HasOwner, {"writer"}),
    "owner & scope": (HasOwner & WRITE, {"writer"}),
    "session & scope": (IsSessionUser & WRITE, set()),
    "scope & scope": (READ & WRITE, set()),
    # or
    "scope | class": (WRITE | IsAuthenticated, {"person", "writer", "service"}),
    "class | scope": (IsAuthenticated | WRITE, {"person", "writer", "service"}),
    "scope | instance": (WRITE | IsAuthenticated(), {"person", "writer", "service"}),
    "instance | scope": (IsAuthenticated() | WRITE, {"person", "writer", "service"}),
    "scope | anybody": (WRITE | AllowAny, {"person", "writer", "service"}),
    "anybody | scope": (AllowAny | WRITE, {"person", "writer", "service"}),
    "session | scope": (IsSessionUser | WRITE, {"person", "writer", "service"}),
    "owner | scope": (HasOwner | WRITE, {"person", "writer", "service"}),
    "scope | scope": (READ | WRITE, {"reader", "writer", "service"}),
    "any key | scope": (HasAPIKey | WRITE, {"reader", "writer", "service"}),
    # not
    "~scope": (~WRITE, {"person", "reader"}),
    "~any key": (~HasAPIKey, {"person"}),
    "scope & ~scope": (WRITE & ~READ, {"writer", "service"}),
    "scope & ~session": (WRITE & ~IsSessionUser, {"writer", "service"}),
    "~staff | scope": (~IsAdminUser | WRITE, {"person", "writer", "service"}),
    # nested, with REST framework's own trees on the left, on the right and inside
    "(class & class) | scope": ((IsAuthenticated & AllowAny) | WRITE, {"person", "writer", "service"}),
    "(anybody & anybody) | scope": ((AllowAny & AllowAny) | WRITE, {"person", "writer", "service"}),
    "(anybody | anybody) | scope": ((AllowAny | AllowAny) | WRITE, {"person", "writer", "service"}),
    "scope | (anybody & anybody)": (WRITE | (AllowAny & AllowAny), {"person", "writer", "service"}),
    "(anybody | anybody) & scope": ((AllowAny | AllowAny) & WRITE, {"writer", "service"}),
    "~(class & class) | scope": (~(IsAdminUser & IsAuthenticated) | WRITE, {"person", "writer", "service"}),
    "~((class & class) & scope)": (
        ~((IsAdminUser & IsAuthenticated) & WRITE),
        {"person", "reader", "writer", "service"},
    ),
    "((class & class) | scope) & other scope": (((IsAuthenticated & AllowAny) | WRITE) & READ, set()),
    "(class | scope) & other scope": ((IsAuthenticated | WRITE) & READ, set()),
    "(scope | scope) & owner": ((READ | WRITE) & HasOwner, {"reader", "writer"}),
    "session | (scope & owner)": (IsSessionUser | (WRITE & HasOwner), {"person", "writer"}),
    "(session & class) | scope": ((IsSessionUser & IsAuthenticated) | WRITE, {"person", "writer", "service"}),
    "(class & scope) | (class & scope)": (
        (IsAuthenticated & READ) | (AllowAny & WRITE),
        {"reader", "writer", "service"},
    ),
}


@pytest.mark.parametrize(("tree", "admitted"), TREES.values(), ids=TREES)
@pytest.mark.parametrize("caller", CALLERS)
def test_tree_admits_those_it_should_and_nobody_else(tree, admitted, caller):
    response = ask(view(permission_classes=[tree]), **CALLERS[caller]())

    assert response.status_code == (200 if caller in admitted else 401 if caller == "nobody" else 403)


@pytest.mark.parametrize("tree", [IsAuthenticated & WRITE, WRITE | AllowAny, ~WRITE], ids=["and", "or", "not"])
def test_refusal_of_nobody_says_how_to_send_a_key(tree):
    response = ask(view(permission_classes=[tree]))

    assert response.json()["code"] == "key_missing"
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    ("tree", "missing"),
    [
        pytest.param(IsAuthenticated | WRITE, "todo:write", id="or"),
        pytest.param(WRITE | HasScopes("usage:read"), "todo:write", id="first-alternative"),
        pytest.param(READ & WRITE, "todo:write", id="and"),
        pytest.param((IsAuthenticated & AllowAny) | (HasScopes("usage:read") & WRITE), "usage:read", id="nested"),
    ],
)
def test_refusal_names_the_scope_of_the_first_alternative(tree, missing):
    response = ask(view(permission_classes=[tree]), key=make_key(scopes=["todo:read"]))

    assert response["WWW-Authenticate"] == f'Bearer realm="api", error="insufficient_scope", scope="{missing}"'
    assert response.json()["required_scopes"] == [missing]


def test_comparing_permissions_with_a_tree_of_rest_framework_is_possible():
    theirs = IsAuthenticated & AllowAny

    assert {WRITE, READ, theirs} == {WRITE, READ, IsAuthenticated & AllowAny}
    assert WRITE != READ
    assert theirs != WRITE


class IsMine(BasePermission):
    def has_object_permission(self, request, view, obj):
        return obj == "mine"


class IsTheirs(BasePermission):
    def has_object_permission(self, request, view, obj):
        return obj == "theirs"


class OnlyGet(BasePermission):
    def has_permission(self, request, view):
        return request.method == "GET"


def one_object(tree):
    """Return a view of one object, which is named in the query."""

    def get(self, request):
        self.check_object_permissions(request, request.query_params["object"])
        return Response()

    return view(permission_classes=[tree], get=get, post=get)


OBJECT_TREES = {
    "and": (IsMine & WRITE, {"mine"}),
    "and, behind": (WRITE & IsMine, {"mine"}),
    "and, instance": (IsMine() & WRITE, {"mine"}),
    "and, rest framework's": ((IsMine & IsAuthenticated) & WRITE, {"mine"}),
    "or, rest framework's": ((IsMine | IsTheirs) & WRITE, {"mine", "theirs"}),
    "or": (IsSessionUser | (WRITE & IsMine), {"mine"}),
    "or, with a scope each": ((WRITE & IsMine) | (HasScopes("usage:read") & IsTheirs), {"mine"}),
    "or, both scopes": ((WRITE & IsMine) | (READ & IsTheirs), {"mine", "theirs"}),
    "or, what is no way in": (IsTheirs | (WRITE & IsMine), {"mine"}),
}


@pytest.mark.parametrize(("tree", "allowed"), OBJECT_TREES.values(), ids=OBJECT_TREES)
@pytest.mark.parametrize("obj", ["mine", "theirs", "nobody's"])
def test_permission_for_an_object_works_in_a_tree(tree, allowed, obj):
    key = make_key(scopes=["todo:read", "todo:write"])

    response = ask(one_object(tree), key=key, address=f"/?object={obj}")

    assert response.status_code == (200 if obj in allowed else 403)


@pytest.mark.parametrize(("method", "expected"), [("get", 200), ("post", 403)])
def test_alternative_that_fails_for_the_view_does_not_count_for_the_object(method, expected):
    tree = (OnlyGet & READ & IsMine) | (WRITE & IsTheirs)
    key = make_key(scopes=["todo:read", "todo:write"])

    assert ask(one_object(tree), key=key, method=method, address="/?object=mine").status_code == expected


def test_permission_for_an_object_that_answers_otherwise_than_true_counts_by_its_truth():
    class Truthy(BasePermission):
        def has_object_permission(self, request, view, obj):
            return "yes"

    assert ask(one_object(Truthy & WRITE), key=make_key(), address="/?object=mine").status_code == 200


def test_tree_that_is_built_of_rest_frameworks_holders_fails_closed_behind_a_key():
    operator: Any = permissions.AND
    tree = permissions.OperandHolder(operator, WRITE, IsAuthenticated)

    assert ask(view(permission_classes=[tree]), key=make_key(scopes=["todo:read"])).status_code == 403
    assert ask(view(permission_classes=[tree])).status_code == 401


@pytest.mark.parametrize(
    "todos",
    [
        pytest.param(lambda: view(permission_classes=[HasOwner & WRITE]), id="tree"),
        pytest.param(lambda: view(permission_classes=[WRITE, HasOwner]), id="list"),
        pytest.param(lambda: requires_scopes("todo:write")(view(permission_classes=[HasOwner])), id="decorator"),
    ],
)
def test_view_over_a_persons_data_refuses_service_keys(todos):
    response = ask(todos(), key=make_key(owner=None))

    assert (response.status_code, response.json()["code"]) == (403, "owner_required")


def test_service_key_is_authenticated():
    response = ask(view(permission_classes=[IsAuthenticated, WRITE]), key=make_key(owner=None))

    assert response.status_code == 200


def test_service_key_has_no_django_permission():
    todos = view(permission_classes=[WRITE, permissions.DjangoModelPermissions], queryset=User.objects.all())

    assert ask(todos, key=make_key(owner=None), method="post").status_code == 403


class OncePerMinute(UserRateThrottle):
    rate = "1/min"


@pytest.mark.parametrize("fields", [{"owner": None}, {}], ids=["service", "person"])
def test_throttle_counts_each_caller_in_a_bucket_of_its_own(fields: dict[str, Any]):
    cache.clear()
    todos = view(permission_classes=[READ], throttle_classes=[OncePerMinute])
    one, other = make_key(**fields), make_key(**fields)

    assert ask(todos, key=one).status_code == 200
    assert ask(todos, key=other).status_code == 200
    assert ask(todos, key=one).status_code == 429
