from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
import rest_framework.decorators
from django.http import HttpResponse
from django.test import RequestFactory
from django.views import View
from django.views.decorators.cache import never_cache
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from apikeys.drf import HasScopes, requires_scopes
from apikeys.testing import make_key

from .drf_views import BOTH, ClientViewSet, Plain, PlainViewSet, ask, derived, view
from .factories import UserFactory

pytestmark = pytest.mark.django_db

READ, WRITE, USAGE = "todo:read", "todo:write", "usage:read"
#: The decorator as somebody calls it whom no type checker warns.
demand: Any = requires_scopes
LISTING = {"get": "list"}

# Every cell asks for two scopes: USAGE by permission_classes, READ by requires_scopes.
REQUIRES = requires_scopes(READ)
PERMITS = permission_classes([HasScopes(USAGE)])
#: On a method REST framework takes no notice of it; the class asks for USAGE.
PERMITS_ALL = permission_classes([AllowAny])
ASKS = {"permission_classes": [HasScopes(USAGE)]}


def decorated(target, decorators):
    """Return *target* under *decorators*, the topmost first."""
    for decorator in reversed(decorators):
        target = decorator(target)
    return target


# REST framework's decorators write on what they decorate, so each cell has functions of its own.
def new_function():
    def todos(request):
        return Response({"key_id": request.auth.key_id})

    return todos


def new_method(name):
    def method(self, request):
        return Response({"key_id": request.auth.key_id})

    method.__name__ = name
    return method


def function_view(*decorators):
    return decorated(new_function(), [*decorators, authentication_classes(BOTH)])


def method(*decorators):
    return view(**ASKS, get=decorated(new_method("get"), decorators))


def viewset_method(*decorators):
    return derived(PlainViewSet, **ASKS, list=decorated(new_method("list"), decorators)).as_view(LISTING)


def viewset_action(*decorators):
    count = new_method("count")
    viewset = derived(PlainViewSet, **ASKS, count=decorated(count, decorators))
    # As a router does it.
    [extra] = viewset.get_extra_actions()
    return viewset.as_view(dict(extra.mapping), **extra.kwargs)


ACTION_DECORATORS = {"action": action(detail=False), "requires_scopes": REQUIRES, "permission_classes": PERMITS_ALL}


def action_under(names):
    return viewset_action(*(ACTION_DECORATORS[name] for name in names))


CELLS: dict[str, Any] = {
    "function, requires_scopes below api_view above permission_classes": lambda: function_view(
        api_view(["GET"]), REQUIRES, PERMITS
    ),
    "function, requires_scopes below api_view below permission_classes": lambda: function_view(
        api_view(["GET"]), PERMITS, REQUIRES
    ),
    "function, requires_scopes above api_view": lambda: function_view(REQUIRES, api_view(["GET"]), PERMITS),
    "class, above permission_classes": lambda: decorated(derived(Plain), [REQUIRES, PERMITS]),
    "class, below permission_classes": lambda: decorated(derived(Plain), [PERMITS, REQUIRES]),
    "viewset, above permission_classes": lambda: decorated(derived(PlainViewSet), [REQUIRES, PERMITS]).as_view(LISTING),
    "viewset, below permission_classes": lambda: decorated(derived(PlainViewSet), [PERMITS, REQUIRES]).as_view(LISTING),
    "model viewset, above permission_classes": lambda: decorated(derived(ClientViewSet), [REQUIRES, PERMITS]).as_view(
        LISTING
    ),
    "model viewset, below permission_classes": lambda: decorated(derived(ClientViewSet), [PERMITS, REQUIRES]).as_view(
        LISTING
    ),
    "method, above permission_classes": lambda: method(REQUIRES, PERMITS_ALL),
    "method, below permission_classes": lambda: method(PERMITS_ALL, REQUIRES),
    "viewset method, above permission_classes": lambda: viewset_method(REQUIRES, PERMITS_ALL),
    "viewset method, below permission_classes": lambda: viewset_method(PERMITS_ALL, REQUIRES),
    **{
        f"action, {' over '.join(names)}": partial(action_under, names)
        for names in itertools.permutations(ACTION_DECORATORS)
    },
    "action with permissions, below": lambda: viewset_action(
        action(detail=False, permission_classes=[HasScopes(USAGE)]), REQUIRES
    ),
    "action with permissions, above": lambda: viewset_action(
        REQUIRES, action(detail=False, permission_classes=[HasScopes(USAGE)])
    ),
    "as_view() of a class": lambda: REQUIRES(view(**ASKS).as_view()),
    "as_view() of a viewset": lambda: REQUIRES(derived(PlainViewSet, **ASKS).as_view(LISTING)),
    "as_view() with permissions": lambda: REQUIRES(Plain.as_view(**ASKS)),
}


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_key_with_both_scopes_is_let_in(make):
    assert ask(make(), key=make_key(scopes=[READ, USAGE])).status_code == 200


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_what_the_decorator_names_is_asked_for(make):
    response = ask(make(), key=make_key(scopes=[USAGE]))

    assert response.status_code == 403
    assert response["WWW-Authenticate"] == f'Bearer realm="api", error="insufficient_scope", scope="{READ}"'


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_what_the_class_requires_is_still_asked_for(make):
    response = ask(make(), key=make_key(scopes=[READ]))

    assert response.status_code == 403
    assert response["WWW-Authenticate"] == f'Bearer realm="api", error="insufficient_scope", scope="{USAGE}"'


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_nobody_is_let_in_without_a_credential(make):
    response = ask(make())

    assert (response.status_code, response.json()["code"]) == (401, "key_missing")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: function_view(PERMITS, api_view(["GET"]), REQUIRES), id="permission-api-requires"),
        pytest.param(lambda: function_view(PERMITS, REQUIRES, api_view(["GET"])), id="permission-requires-api"),
        pytest.param(lambda: function_view(REQUIRES, PERMITS, api_view(["GET"])), id="requires-permission-api"),
        pytest.param(lambda: PERMITS(REQUIRES(Plain.as_view())), id="permission-requires-as-view"),
        pytest.param(lambda: REQUIRES(PERMITS(Plain.as_view())), id="requires-permission-as-view"),
    ],
)
@pytest.mark.skipif(
    not hasattr(rest_framework.decorators, "_check_decorator_order"), reason="this REST framework lets it pass"
)
def test_permission_classes_above_a_view_are_refused_by_rest_framework(make):
    with pytest.raises(TypeError, match="permission_classes"):
        make()


# Where requires_scopes is all that a view says, it also says which keys may come in.
ALONE = {
    "function, below api_view": lambda demand: function_view(api_view(["GET", "POST"]), demand),
    "function, above api_view": lambda demand: function_view(demand, api_view(["GET", "POST"])),
    "class": lambda demand: demand(view()),
    "viewset": lambda demand: demand(derived(PlainViewSet)).as_view({"get": "list", "post": "create"}),
    "methods": lambda demand: view(get=demand(Plain.get), post=demand(Plain.post)),
    "as_view()": lambda demand: demand(view().as_view()),
}


@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_decorator_alone_declares_the_view(make):
    response = ask(make(requires_scopes(READ)), key=make_key(scopes=[READ]))

    assert response.status_code == 200


@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_decorator_alone_lets_no_person_in(make):
    assert ask(make(requires_scopes(READ)), user=UserFactory()).status_code == 403


@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_view_gets_the_principal(make):
    key = make_key(scopes=[READ])

    assert ask(make(requires_scopes(READ)), key=key).json()["key_id"] == key.key.key_id


@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_each_method_asks_for_its_own_scope(make):
    callback = make(requires_scopes(GET=READ, POST=WRITE))
    reader = make_key(scopes=[READ])

    assert ask(callback, key=reader).status_code == 200
    response = ask(callback, key=reader, method="post")
    assert response.status_code == 403
    assert response.json()["required_scopes"] == [WRITE]


@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_method_that_the_decorator_does_not_name_is_closed_to_keys(make):
    response = ask(make(requires_scopes(GET=READ)), key=make_key(), method="post")

    assert (response.status_code, response.json()["code"]) == (403, "scopes_not_declared")


def test_method_that_the_decorator_does_not_name_takes_no_scope_from_the_view():
    todos = requires_scopes(GET=READ)(view(permission_classes=[HasScopes], required_scopes=[READ]))

    response = ask(todos, key=make_key(scopes=[READ]), method="post")

    assert (response.status_code, response.json()["code"]) == (403, "scopes_not_declared")


def test_decorator_names_scopes_by_action():
    viewset = requires_scopes(list=READ, create=[WRITE, USAGE])(derived(PlainViewSet))
    callback = viewset.as_view({"get": "list", "post": "create"})
    key = make_key(scopes=[READ, WRITE])

    assert ask(callback, key=key).status_code == 200
    assert ask(callback, key=key, method="post").json()["required_scopes"] == [WRITE, USAGE]


def test_one_of_several_scopes_will_do_where_the_decorator_says_so():
    todos = requires_scopes(READ, WRITE, match="any")(view())

    assert ask(todos, key=make_key(scopes=[WRITE])).status_code == 200
    assert ask(todos, key=make_key(scopes=[USAGE])).status_code == 403


def test_all_of_several_decorators_are_asked_for():
    todos = requires_scopes(READ)(requires_scopes(USAGE)(view()))

    assert ask(todos, key=make_key(scopes=[READ, USAGE])).status_code == 200
    assert ask(todos, key=make_key(scopes=[READ])).status_code == 403
    assert ask(todos, key=make_key(scopes=[USAGE])).status_code == 403


@pytest.mark.parametrize(
    "todos",
    [
        pytest.param(lambda: view(get=requires_scopes(GET=READ)(Plain.get)), id="class"),
        pytest.param(
            lambda: derived(PlainViewSet, list=requires_scopes(READ)(PlainViewSet.list)).as_view(LISTING), id="viewset"
        ),
    ],
)
@pytest.mark.parametrize(("scope", "status"), [(READ, 200), (USAGE, 403)], ids=["with", "without"])
def test_head_asks_for_what_get_asks_for(todos, scope, status):
    assert ask(todos(), key=make_key(scopes=[scope]), method="head").status_code == status


def test_undecorated_method_beside_a_decorated_one_is_closed_to_keys():
    todos = view(get=requires_scopes(READ)(Plain.get))

    response = ask(todos, key=make_key(), method="post")

    assert (response.status_code, response.json()["code"]) == (403, "scopes_not_declared")


def test_subclass_inherits_the_demand():
    todos = derived(requires_scopes(READ)(view()))

    assert ask(todos, key=make_key(scopes=[USAGE])).status_code == 403
    assert ask(todos, key=make_key(scopes=[READ])).status_code == 200


def test_subclass_adds_to_the_demand_and_not_to_its_parents():
    parent = requires_scopes(READ)(view())
    child = requires_scopes(USAGE)(derived(parent))

    assert ask(child, key=make_key(scopes=[USAGE])).status_code == 403
    assert ask(child, key=make_key(scopes=[READ])).status_code == 403
    assert ask(parent, key=make_key(scopes=[READ])).status_code == 200


def test_demand_on_one_route_leaves_the_class_as_it_is_elsewhere():
    todos = view(permission_classes=[HasScopes(USAGE)])
    REQUIRES(todos.as_view())

    assert ask(todos, key=make_key(scopes=[USAGE])).status_code == 200


def test_closure_over_a_decorated_function_declares_nothing():
    other = requires_scopes(READ)(new_function())

    def get(self, request):
        return Response({"other": other.__name__})

    response = ask(view(get=get), key=make_key())

    assert response.json()["code"] == "scopes_not_declared"


def test_demand_stays_where_schemas_find_it():
    assert requires_scopes(READ)(new_function()).required_scopes == (READ,)
    assert requires_scopes(GET=READ)(new_function()).required_scopes == {"GET": READ}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param(requires_scopes, TypeError, id="nothing"),
        pytest.param(lambda: requires_scopes(READ, GET=READ), TypeError, id="both-forms"),
        pytest.param(lambda: demand([READ]), TypeError, id="list"),
        pytest.param(lambda: demand(GET=5), TypeError, id="number"),
        pytest.param(lambda: demand(READ, match="some"), ValueError, id="match"),
        pytest.param(lambda: requires_scopes(READ)(View), TypeError, id="django-class"),
        pytest.param(lambda: requires_scopes(READ)(never_cache(Plain.as_view())), TypeError, id="wrapped-view"),
        pytest.param(
            lambda: requires_scopes(READ)(never_cache(function_view(api_view(["GET"])))),
            TypeError,
            id="wrapped-function",
        ),
    ],
)
def test_decorator_that_could_not_hold_fails_where_it_is_written(call, error):
    with pytest.raises(error):
        call()


@pytest.mark.parametrize(
    "send", [lambda view, request: view(request), lambda view, request: view(request=request)], ids=["place", "name"]
)
def test_function_that_is_no_view_of_rest_framework_never_runs(send):
    django_view = requires_scopes(READ)(lambda request: HttpResponse())

    with pytest.raises(TypeError, match="put @api_view on it"):
        send(django_view, RequestFactory().get("/"))
