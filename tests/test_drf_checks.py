from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.cache import never_cache
from rest_framework import permissions, viewsets
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.response import Response
from rest_framework.routers import APIRootView, DefaultRouter
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasOwner, HasScopes, IsSessionUser, requires_scopes
from apikeys.oauth import LayeredAuthentication, OAuthTokenAuthentication

from .drf_views import derived

# None of these tests may use the database: pytest-django makes a query fail.

READ = HasScopes("todo:read")
WRITE = HasScopes("todo:write")


class Custom(BasePermission):
    pass


def holder(operator: Any, *operands: Any) -> Any:
    """Return a tree of REST framework's own, which no operator makes of our classes."""
    kind = permissions.OperandHolder if len(operands) > 1 else permissions.SingleOperandHolder
    return kind(operator, *operands)


class OurAuthentication(APIKeyAuthentication):
    pass


class KeyView(APIView):
    authentication_classes = [APIKeyAuthentication]

    def get(self, request):
        return Response()


def view(**attributes):
    """Return a class of views that take keys and answer GET."""
    return derived(KeyView, **{"__module__": __name__, **attributes})


@pytest.fixture
def messages(settings):
    """Return a function: the checks' messages about a site that consists of these views."""

    def check(*views, deploy=False):
        callbacks = [getattr(item, "as_view", lambda item=item: item)() for item in views]
        settings.ROOT_URLCONF = tuple(path(f"{number}/", item) for number, item in enumerate(callbacks))
        return of_views(run_checks(tags=["apikeys"], include_deployment_checks=deploy))

    return check


def of_views(messages):
    """
    Return *messages* without those about other subjects, which these tests' settings and URLs leave out.

    They are log handlers, where pytest's mask nothing, OAuth's addresses, and the authority's name, address and keys.
    """
    others = {f"apikeys.{name}" for name in ("W205", "W215", "W229", "E017", "W218", "W222")}
    return [message for message in messages if message.id not in others]


def ids(messages):
    return [message.id.removeprefix("apikeys.") for message in messages]


@requires_scopes(GET="todo:read", POST="todo:write")
class DecoratedView(KeyView):
    def post(self, request):
        return Response()


class TodoViewSet(viewsets.ViewSet):
    authentication_classes = [OurAuthentication, SessionAuthentication]
    permission_classes = [HasScopes]
    required_scopes = {"list": ["todo:read"], "create": "todo:write", "count": ("usage:read",)}

    def list(self, request):
        return Response()

    def create(self, request):
        return Response()

    @action(detail=False)
    def count(self, request):
        return Response()


@api_view(["GET"])
@authentication_classes([APIKeyAuthentication])
@requires_scopes("usage:read")
def usage(request):
    return Response()


def test_right_views_give_no_message(settings):
    router = DefaultRouter()
    router.register("todos", TodoViewSet, basename="todo")
    settings.ROOT_URLCONF = (
        path("api/", include(router.urls)),
        path("keys/", include("apikeys.urls")),
        path("usage/", never_cache(usage)),
        path("decorated/", DecoratedView.as_view()),
        path("people/", view(permission_classes=[IsSessionUser | READ]).as_view()),
        path("closed/", view(permission_classes=[IsSessionUser]).as_view()),
        path("open/", APIView.as_view()),
    )

    assert of_views(run_checks(tags=["apikeys"], include_deployment_checks=True)) == []


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: view(permission_classes=[HasScopes("todo:raed")]), id="has-scopes"),
        pytest.param(lambda: view(permission_classes=[IsAuthenticated & HasScopes("todo:raed")]), id="tree"),
        pytest.param(lambda: view(permission_classes=[HasScopes], required_scopes=["todo:raed"]), id="list"),
        pytest.param(lambda: view(permission_classes=[HasScopes], required_scopes={"GET": "todo:raed"}), id="dict"),
        pytest.param(lambda: requires_scopes("todo:raed")(view()), id="class-decorator"),
        pytest.param(lambda: view(get=requires_scopes("todo:raed")(KeyView.get)), id="method-decorator"),
        pytest.param(
            lambda: view(authentication_classes=[], permission_classes=[HasScopes("todo:raed")]), id="no-keys"
        ),
    ],
)
def test_view_that_requires_an_undeclared_scope_is_an_error(messages, make):
    [error] = [message for message in messages(make()) if message.id == "apikeys.E002"]

    assert "Scope 'todo:raed' is not declared. Did you mean 'todo:read'?" in error.msg
    assert error.hint
    assert error.obj == f"{__name__}.Todos"


def test_function_view_that_requires_an_undeclared_scope_is_an_error(messages):
    @api_view(["GET"])
    @requires_scopes("todo:raed")
    def todos(request):
        return Response()

    [error] = messages(todos)

    assert (error.id, error.obj) == ("apikeys.E002", f"{__name__}.todos")


def test_view_at_two_addresses_is_reported_once(messages):
    broken = view(permission_classes=[HasScopes("todo:raed")])

    assert ids(messages(broken, broken)) == ["E002"]


@pytest.mark.parametrize(
    "required",
    [
        pytest.param({}, id="none"),
        pytest.param({"required_scopes": []}, id="empty-list"),
        pytest.param({"required_scopes": {}}, id="empty-dict"),
        pytest.param({"required_scopes": {"POST": ["todo:write"]}}, id="another-method"),
        pytest.param({"required_scopes": 5}, id="number"),
    ],
)
def test_has_scopes_without_a_scope_is_an_error(messages, required):
    [error] = messages(view(permission_classes=[HasScopes], **required))

    assert error.id == "apikeys.E003"
    assert "required_scopes" in error.hint


def test_has_scopes_as_an_instance_is_an_error(messages):
    [error] = [message for message in messages(view(permission_classes=[HasScopes()])) if message.id == "apikeys.E003"]

    assert "without parentheses" in error.hint


def test_required_scopes_that_are_computed_are_not_judged(messages):
    computed = view(permission_classes=[HasScopes], required_scopes=property(lambda self: ["todo:read"]))

    assert messages(computed) == []


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param(IsAuthenticated | WRITE, id="is-authenticated"),
        pytest.param(WRITE | IsAuthenticated, id="is-authenticated-behind"),
        pytest.param(AllowAny | WRITE, id="allow-any"),
        pytest.param(HasAPIKey | WRITE, id="has-api-key"),
        pytest.param(HasOwner | WRITE, id="has-owner"),
        pytest.param(IsAuthenticatedOrReadOnly | WRITE, id="read-only"),
        pytest.param(IsAdminUser | WRITE, id="staff-who-hold-keys"),
        pytest.param(Custom | WRITE, id="custom"),
        pytest.param(Custom() | WRITE, id="custom-instance"),
        pytest.param((IsAuthenticated & Custom) | WRITE, id="rest-framework-and"),
        pytest.param((IsAuthenticated | Custom) | WRITE, id="rest-framework-or"),
        pytest.param(~IsAdminUser | WRITE, id="rest-framework-not"),
        pytest.param(~IsSessionUser | WRITE, id="not-a-session"),
        pytest.param(holder(permissions.OR, Custom & IsAuthenticated, WRITE), id="rest-framework-holder"),
        pytest.param(holder(permissions.NOT, WRITE), id="rest-framework-not-holder"),
        pytest.param((IsAuthenticated | WRITE) & READ, id="under-and"),
        pytest.param((READ & IsAuthenticated) | (HasOwner | WRITE), id="nested-or"),
        pytest.param(~WRITE, id="not"),
        pytest.param(READ & ~WRITE, id="not-under-and"),
        pytest.param(~(IsAuthenticated & WRITE), id="not-and"),
    ],
)
def test_scope_that_a_key_can_do_without_is_an_error(messages, tree):
    [error] = messages(view(permission_classes=[tree]))

    assert error.id == "apikeys.E005"
    assert "IsSessionUser" in error.hint


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param(IsSessionUser | WRITE, id="session-user"),
        pytest.param((IsSessionUser & IsAdminUser) | WRITE, id="session-staff"),
        pytest.param((IsAdminUser & IsSessionUser) | WRITE, id="session-staff-behind"),
        pytest.param(READ | WRITE, id="either-scope"),
        pytest.param((IsAuthenticated & READ) | (Custom & WRITE), id="scope-in-each-branch"),
        pytest.param((IsAuthenticated | Custom) & WRITE, id="or-beside"),
        pytest.param(~HasAPIKey | WRITE, id="not-a-key"),
        pytest.param((~IsAuthenticated | IsSessionUser) | WRITE, id="not-anybody"),
    ],
)
def test_scope_that_no_key_can_do_without_is_no_error(messages, tree):
    assert messages(view(permission_classes=[tree])) == []


def test_scope_that_opens_no_endpoint_is_a_warning_on_deployment(messages):
    todos = view(permission_classes=[READ | WRITE])

    [warning] = messages(todos, deploy=True)

    assert (warning.id, warning.msg) == ("apikeys.W101", "Scope 'usage:read' is declared, but no view requires it.")
    assert warning.hint
    assert messages(todos, deploy=False) == []


def test_scope_that_the_app_reserves_needs_no_endpoint(messages, settings):
    settings.APIKEYS = {"SCOPES": {"apikeys:manage": "Manage keys."}}

    assert messages(deploy=True) == []


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        pytest.param(AllowAny, "so it refuses every one there", id="allow-any"),
        pytest.param(IsAuthenticated, "so it refuses every one there", id="is-authenticated"),
        pytest.param(Custom, "so it refuses every one there", id="custom"),
        pytest.param(HasOwner, "so it refuses every one there", id="has-owner"),
        pytest.param(HasAPIKey, "Any key will do for GET", id="has-api-key"),
        pytest.param(HasAPIKey & IsAuthenticated, "Any key will do for GET", id="has-api-key-and"),
    ],
)
def test_view_that_takes_keys_without_a_scope_is_a_warning(messages, permission, text):
    [warning] = messages(view(permission_classes=[permission]))

    assert warning.id == "apikeys.W102"
    assert text in warning.msg
    assert warning.hint


def test_view_of_rest_frameworks_own_is_not_asked_to_declare_anything(messages):
    root = APIRootView.as_view(api_root_dict={}, authentication_classes=[APIKeyAuthentication])

    assert messages(root) == []


def test_method_without_a_scope_beside_one_that_has_one_is_a_warning(messages):
    half = view(get=requires_scopes("todo:read")(KeyView.get), post=KeyView.get, permission_classes=[IsAuthenticated])

    [warning] = messages(half)

    assert "declares nothing for POST" in warning.msg


def test_view_without_a_scope_is_open_to_any_key_where_none_is_required(messages, settings):
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_DECLARED_SCOPES": False}

    [warning] = messages(view(permission_classes=[IsAuthenticated]))

    assert "REQUIRE_DECLARED_SCOPES is off" in warning.msg


def test_view_that_chooses_its_permissions_on_the_request_is_not_judged(messages):
    assert messages(view(get_permissions=lambda self: [HasScopes("todo:read")()])) == []


@pytest.mark.parametrize("token_class", [OAuthTokenAuthentication, LayeredAuthentication], ids=["token", "both"])
def test_view_that_takes_tokens_without_a_scope_is_a_warning(messages, token_class):
    assert ids(messages(view(authentication_classes=[token_class], permission_classes=[IsAuthenticated]))) == ["W102"]


@pytest.mark.parametrize(
    "key_class",
    [APIKeyAuthentication, OurAuthentication, OAuthTokenAuthentication],
    ids=["ours", "subclass", "token"],
)
def test_key_authentication_behind_session_authentication_is_a_warning(messages, key_class):
    [warning] = messages(
        view(authentication_classes=[SessionAuthentication, key_class], permission_classes=[IsSessionUser | READ])
    )

    assert warning.id == "apikeys.W103"
    assert warning.msg == f"{key_class.__name__} stands after SessionAuthentication."
    assert warning.obj == f"{__name__}.Todos"
    assert "first" in warning.hint


def test_default_authentication_in_the_wrong_order_is_one_warning(messages, settings):
    wrong = ["rest_framework.authentication.SessionAuthentication", "apikeys.drf.APIKeyAuthentication"]
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": wrong}
    # Views read the setting when REST framework is imported.
    by_default = {"authentication_classes": api_settings.DEFAULT_AUTHENTICATION_CLASSES}

    [warning] = messages(view(permission_classes=[READ], **by_default), view(permission_classes=[WRITE], **by_default))

    assert (warning.id, warning.obj) == ("apikeys.W103", "REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']")


def test_what_a_route_sets_goes_before_what_its_view_says(messages):
    assert ids(messages(view().as_view(permission_classes=[HasScopes("todo:raed")]))) == ["E002"]


def test_function_view_is_judged_by_its_policy_decorators(messages):
    @api_view(["GET"])
    @permission_classes([IsAuthenticated | WRITE])
    def todos(request):
        return Response()

    assert ids(messages(todos)) == ["E005"]


@pytest.mark.parametrize(
    "urls",
    [
        pytest.param("tests.no_such_urls", id="missing"),
        pytest.param((path("x/", include(([], "x"))), "no pattern"), id="no-pattern"),
        pytest.param((path("x/", lambda request: HttpResponse()),), id="plain-view"),
    ],
)
def test_broken_urls_are_left_to_django(settings, urls):
    settings.ROOT_URLCONF = urls

    assert of_views(run_checks(tags=["apikeys"])) == []


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"permission_classes": None}, id="no-permissions"),
        pytest.param({"permission_classes": ["rest_framework.permissions.AllowAny"]}, id="text"),
        pytest.param({"authentication_classes": 5}, id="number"),
        pytest.param({"permission_classes": [HasScopes], "required_scopes": [5, None]}, id="scopes-no-text"),
        pytest.param({"permission_classes": [HasScopes], "required_scopes": {5: {6: 7}}}, id="scopes-odd-dict"),
        pytest.param({"permission_classes": property(lambda self: [AllowAny])}, id="property"),
    ],
)
def test_broken_view_gives_no_traceback(messages, attributes):
    assert all(message.id.startswith("apikeys.") for message in messages(view(**attributes)))


def test_unreadable_scopes_leave_the_views_to_the_error_that_says_so(messages, settings):
    settings.APIKEYS = {"SCOPES": {"todo read": "See to-dos."}}

    assert ids(messages(view(permission_classes=[READ]), deploy=True)) == ["E004"]
