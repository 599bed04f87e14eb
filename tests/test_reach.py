from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from django.contrib import admin
from django.urls import include, path
from rest_framework import permissions
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter

from apikeys import clients, keys
from apikeys.conf import settings as app_settings
from apikeys.drf import (
    APIKeyAuthentication,
    HasAPIKey,
    HasOwner,
    HasScopes,
    IsSessionUser,
    reach,
    requires_scopes,
)
from apikeys.oauth import HasUserConsent, LayeredAuthentication, OAuthTokenAuthentication
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .admin_pages import page_of
from .drf_views import Plain, PlainViewSet, ask, derived, view
from .factories import PersonFactory

SCOPES = ("todo:read", "todo:write", "usage:read")
READ, WRITE, USAGE = map(HasScopes, SCOPES)


class Anybody(BasePermission):
    pass


@requires_scopes("todo:write")
class DecoratedView(Plain):
    permission_classes = [READ]


@api_view(["GET"])
@authentication_classes([APIKeyAuthentication])
@requires_scopes("todo:read", "usage:read", match="any")
def decorated_function(request):
    return Response()


def theirs(operator, *operands):
    """Return a tree of REST framework's own, which no operator makes of our classes."""
    kind = permissions.OperandHolder if len(operands) > 1 else permissions.SingleOperandHolder
    return kind(operator, *operands)


def get_operation():
    """Return the operation GET of a site with one view; None where it is closed."""
    return next((operation for operation in reach.operations() if operation.method == "GET"), None)


def site(settings, *callbacks):
    """Make *callbacks*, views or classes of views, the whole site, at ``/0/``, ``/1/`` and so on."""
    views = [getattr(item, "as_view", lambda item=item: item)() for item in callbacks]
    settings.ROOT_URLCONF = tuple(path(f"{number}/", item) for number, item in enumerate(views))


COMPOSITIONS = [
    pytest.param(view(permission_classes=[READ]), "todo:read", id="one"),
    pytest.param(view(permission_classes=[HasScopes("todo:read", "usage:read")]), "todo:read usage:read", id="all-of"),
    pytest.param(
        view(permission_classes=[HasScopes("todo:read", "usage:read", match="any")]),
        "todo:read | usage:read",
        id="any-of",
    ),
    pytest.param(view(permission_classes=[READ, WRITE]), "todo:read todo:write", id="listed"),
    pytest.param(view(permission_classes=[READ & WRITE]), "todo:read todo:write", id="and"),
    pytest.param(view(permission_classes=[READ | USAGE]), "todo:read | usage:read", id="or"),
    pytest.param(view(permission_classes=[READ | (WRITE & USAGE)]), "todo:read | todo:write usage:read", id="nested"),
    pytest.param(view(permission_classes=[READ | (READ & USAGE)]), "todo:read", id="absorbed"),
    pytest.param(
        view(permission_classes=[READ | WRITE, USAGE]), "todo:read usage:read | todo:write usage:read", id="distributed"
    ),
    pytest.param(view(permission_classes=[IsSessionUser | READ]), "todo:read", id="people-or-scope"),
    pytest.param(view(permission_classes=[IsAuthenticated & READ]), "todo:read", id="with-theirs"),
    pytest.param(view(permission_classes=[IsAuthenticated | READ]), "todo:read", id="no-way-around"),
    pytest.param(view(permission_classes=[READ & ~IsSessionUser]), "todo:read", id="not-a-person"),
    pytest.param(view(permission_classes=[READ & ~HasAPIKey]), "", id="not-a-key"),
    pytest.param(view(permission_classes=[IsSessionUser]), "", id="people"),
    pytest.param(view(permission_classes=[AllowAny]), "", id="undeclared"),
    pytest.param(view(permission_classes=[HasScopes]), "", id="nameless"),
    pytest.param(view(permission_classes=[HasScopes], required_scopes="todo:read"), "todo:read", id="on-the-view"),
    pytest.param(view(permission_classes=[HasScopes], required_scopes={"POST": "todo:write"}), "", id="another-method"),
    pytest.param(view(permission_classes=[theirs(permissions.AND, READ, WRITE)]), "todo:read todo:write", id="theirs"),
    pytest.param(view(permission_classes=[theirs(permissions.OR, READ, AllowAny)]), "todo:read", id="theirs-or"),
    pytest.param(DecoratedView, "todo:read todo:write", id="class-decorator"),
    pytest.param(view(get=requires_scopes("todo:read")(Plain.get)), "todo:read", id="method-decorator"),
    pytest.param(decorated_function, "todo:read | usage:read", id="function"),
]


@pytest.mark.parametrize(("callback", "told"), COMPOSITIONS)
def test_requirement_of_a_view_is_told(settings, callback, told):
    site(settings, callback)

    operation = get_operation()

    alternatives = () if operation is None else operation.requirement.alternatives
    assert " | ".join(map(" ".join, alternatives)) == told


@pytest.mark.django_db
@pytest.mark.parametrize("callback", [pytest.param(*item.values[:1], id=item.id) for item in COMPOSITIONS])
def test_what_is_told_is_what_is_enforced(settings, callback):
    held = [names for size in (1, 2, 3) for names in combinations(SCOPES, size)]
    admitted = [names for names in held if ask(callback, key=make_key(scopes=names)).status_code == 200]
    site(settings, callback)

    operation = get_operation()

    assert [names for names in held if operation is not None and operation.requirement.is_met_by(names)] == admitted


def test_view_that_any_key_opens_needs_no_scope(settings):
    site(settings, view(permission_classes=[HasAPIKey]))

    assert [item.requirement.alternatives for item in reach.operations()] == [reach.ANY] * 2


def test_undeclared_view_is_open_where_nothing_must_be_declared(settings):
    settings.APIKEYS = {**app_settings.given(), "REQUIRE_DECLARED_SCOPES": False}
    site(settings, Plain)

    assert get_operation().requirement.alternatives == reach.ANY


class Computed(Plain):
    permission_classes = [HasScopes]

    @property
    def required_scopes(self):
        return ["todo:read"]


@pytest.mark.parametrize(
    "undecided",
    [
        pytest.param(view(get_permissions=lambda self: [READ()]), id="get-permissions"),
        pytest.param(Computed, id="property"),
    ],
)
def test_view_that_decides_on_the_request_is_not_listed(settings, undecided):
    site(settings, undecided)

    assert reach.operations() == ()


def test_view_that_decides_on_the_request_is_listed_for_its_decorator(settings):
    site(settings, requires_scopes("todo:write")(view(get_permissions=lambda self: [READ()])))

    requirement = get_operation().requirement

    assert requirement.alternatives == (("todo:write",),)


@pytest.mark.parametrize(
    ("classes", "opened"),
    [
        pytest.param([APIKeyAuthentication], ["GET /0/"], id="key"),
        pytest.param([OAuthTokenAuthentication, APIKeyAuthentication], ["GET /0/"], id="key-or-token"),
        pytest.param([OAuthTokenAuthentication], [], id="token"),
        pytest.param([LayeredAuthentication], [], id="key-and-token"),
        pytest.param([SessionAuthentication], [], id="session"),
    ],
)
def test_key_opens_only_what_takes_keys(settings, classes, opened):
    site(settings, view(authentication_classes=classes, permission_classes=[READ], http_method_names=["get"]))

    assert [str(item) for item in reach.opened_by_key(["todo:read"], claims={}, acts_for_user=True)] == opened


@pytest.mark.parametrize(
    ("classes", "for_nobody"),
    [
        pytest.param([READ], True, id="scope"),
        pytest.param([READ, HasOwner], False, id="owner"),
        pytest.param([READ & HasOwner], False, id="and"),
        pytest.param([(READ & HasOwner) | IsSessionUser], False, id="or-people"),
        pytest.param([(READ & HasOwner) | USAGE], True, id="or-scope"),
        pytest.param([READ, ~HasOwner], True, id="not"),
    ],
)
def test_service_key_does_not_open_what_is_for_people(settings, classes, for_nobody):
    site(settings, view(permission_classes=classes, http_method_names=["get"]))

    opened = reach.opened_by_key(["todo:read", "usage:read"], claims={}, acts_for_user=False)

    assert [str(item) for item in opened] == (["GET /0/"] if for_nobody else [])
    assert reach.opened_by_key(["todo:read"], claims={}, acts_for_user=True)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        pytest.param(
            [READ], {("key",): "todo:read", ("token",): "todo:read", ("key", "token"): "todo:read"}, id="scope"
        ),
        pytest.param([HasAPIKey], {("key",): "", ("key", "token"): ""}, id="any-key"),
        pytest.param(
            [READ | HasAPIKey], {("key",): "", ("token",): "todo:read", ("key", "token"): ""}, id="scope-or-any-key"
        ),
        pytest.param([READ & ~HasAPIKey], {("token",): "todo:read"}, id="not-a-key"),
        pytest.param([~HasAPIKey], {}, id="not-a-key-alone"),
        pytest.param([HasUserConsent, READ], {("key", "token"): "todo:read"}, id="consent"),
        pytest.param([HasUserConsent], {}, id="consent-opens-nothing"),
        pytest.param([HasScopes("apikeys:usage")], {("key",): "apikeys:usage"}, id="reserved"),
        pytest.param(
            [HasScopes("apikeys:usage") | READ],
            {("key",): "apikeys:usage | todo:read", ("token",): "todo:read", ("key", "token"): "todo:read"},
            id="reserved-or",
        ),
    ],
)
def test_each_way_in_has_a_requirement_of_its_own(settings, classes, told):
    ways_in = [APIKeyAuthentication, OAuthTokenAuthentication, LayeredAuthentication]
    site(settings, view(authentication_classes=ways_in, permission_classes=classes, http_method_names=["get"]))

    found = {
        way_in: " | ".join(map(" ".join, operation.requirement.alternatives))
        for operation in reach.operations()
        for way_in in operation.ways_in
    }

    assert found == told


@pytest.mark.django_db
@pytest.mark.parametrize("scopes", ["todo:read", "todo:write"])
@pytest.mark.parametrize(
    "classes",
    [
        pytest.param([READ], id="scope"),
        pytest.param([HasAPIKey], id="any-key"),
        pytest.param([READ | HasAPIKey], id="scope-or-any-key"),
        pytest.param([READ & ~HasAPIKey], id="not-a-key"),
        pytest.param([~HasAPIKey], id="not-a-key-alone"),
        pytest.param([~HasAPIKey | WRITE], id="not-a-key-or-scope"),
        pytest.param([HasUserConsent, READ], id="consent"),
        pytest.param([HasUserConsent], id="consent-opens-nothing"),
        pytest.param([HasUserConsent & WRITE], id="and"),
    ],
)
def test_what_is_told_of_each_way_in_is_what_is_enforced(settings, classes, scopes):
    token = make_token(scopes=scopes)
    key = make_key(client=token.client, owner=token.user, scopes=scopes)
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token.plaintext}"}
    ways_in: dict[type, dict[str, Any]] = {
        APIKeyAuthentication: {"key": key},
        OAuthTokenAuthentication: bearer,
        LayeredAuthentication: {"HTTP_X_API_KEY": key.plaintext, **bearer},
    }

    for authentication, held in ways_in.items():
        callback = view(authentication_classes=[authentication], permission_classes=classes)
        is_admitted = ask(callback, **held).status_code == 200
        site(settings, callback)
        operation = get_operation()

        assert is_admitted is (operation is not None and operation.requirement.is_met_by([scopes]))


class Todos(PlainViewSet):
    permission_classes = [HasScopes]
    required_scopes = {"list": "todo:read", "create": ["todo:write"], "GET": "usage:read"}

    def retrieve(self, request, pk=None):
        return Response()

    @action(detail=True, methods=["post"], permission_classes=[READ & WRITE])
    def finish(self, request, pk=None):
        return Response()


def test_actions_of_a_viewset_are_told_with_their_addresses(settings):
    router = DefaultRouter()
    router.register("todos", Todos, basename="todo")
    settings.ROOT_URLCONF = (path("api/<slug:team>/", include(router.urls)),)

    told = {str(item): item.requirement.alternatives for item in reach.operations()}

    assert told == {
        "GET /api/{team}/todos/": (("todo:read",),),
        "POST /api/{team}/todos/": (("todo:write",),),
        "GET /api/{team}/todos/{id}/": (("usage:read",),),
        "POST /api/{team}/todos/{id}/finish/": (("todo:read", "todo:write"),),
    }


def test_site_that_can_not_be_imported_has_no_endpoints(settings):
    settings.ROOT_URLCONF = "tests.no_such_urls"

    assert reach.operations() == ()


@pytest.fixture
def gilfoyle(client, settings):
    """Return who is signed in, on a site whose views are those of ``tests.openapi_urls``."""
    settings.ROOT_URLCONF = "tests.openapi_urls"
    person = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(person)
    return person


def reached(client, key):
    """Return the endpoints on the page of *key*."""
    page = client.get(page_of(key)).content.decode()
    _, found, section = page.partition('<h2 id="reach">')
    lines = section.partition("</section>")[0].split("<li><code>")[1:] if found else []
    return [line.partition("</code>")[0] for line in lines]


@pytest.mark.django_db
def test_page_of_a_key_lists_what_it_can_reach(client, gilfoyle):
    key = make_key(scopes=["todo:read"]).key

    assert reached(client, key) == [
        "GET /api/any-key/",
        "GET /api/notes/",
        "GET /api/notes/{id}/",
        "GET /apikeys/scopes.json",
        "GET /apikeys/whoami/",
    ]


@pytest.mark.django_db
def test_lowered_ceiling_shortens_what_a_key_can_reach(client, gilfoyle):
    key = make_key(scopes=["todo:read"]).key
    clients.set_ceiling(key.client, scopes="todo:write")

    assert "GET /api/notes/" not in reached(client, key)


@pytest.mark.django_db
def test_revoked_key_reaches_nothing(client, gilfoyle):
    key = make_key(scopes=["todo:read"]).key
    keys.revoke(key, reason="leaked")

    assert reached(client, key) == []


@pytest.mark.django_db
def test_page_of_a_key_names_fifty_endpoints_at_most(client, gilfoyle, settings):
    many = [path(f"api/{number}/", derived(Plain, permission_classes=[READ]).as_view()) for number in range(30)]
    settings.ROOT_URLCONF = (path("admin/", admin.site.urls), *many)
    key = make_key(scopes=["todo:read"]).key

    assert len(reached(client, key)) == 50
    assert "And 10 endpoints more." in client.get(page_of(key)).content.decode()
