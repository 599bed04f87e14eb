"""Every permission, and what it opens: a page for people, and JSON for tools. ``SCOPE_REFERENCE`` says who may read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .. import policy
from ..conf import settings
from ..core.scopes import Scope
from ..models import Client
from ..registry import scope_registry
from . import reach
from .authentication import APIKeyAuthentication
from .permissions import HasAPIKey, IsSessionUser

#: A site with more does not name them: nobody reads such a list.
_MOST_CLIENTS = 200
_BESIDE_ANCHORS = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One endpoint that a permission opens."""

    method: str
    path: str
    #: Each of these sets of scopes is needed besides; an empty one where the permission does alone.
    beside: reach.Alternatives
    #: Whether it must act for a person.
    needs_person: bool
    #: What a request brings, each way in: a key, a token, both.
    credentials: list[tuple[str, ...]]

    @property
    def remarks(self) -> list[str]:
        """What else it takes, in words."""
        told = []
        if any(self.beside):
            told.append(_("together with %(scopes)s") % {"scopes": _(" or ").join(map(" + ".join, self.beside))})
        if self.needs_person:
            told.append(_("for a person"))
        if self.credentials == [("token",)]:
            told.append(_("with an access token"))
        elif self.credentials == [("key", "token")]:
            told.append(_("with a key and an access token of one client"))
        return told


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One permission on the page."""

    scope: Scope
    anchor: str
    opens: list[Opened]
    #: Empty for who may not issue a key with it.
    issue_url: str
    #: Names of the clients that may ask for it; None for who may not see clients, or where there are too many.
    clients: list[str] | None


@dataclass(frozen=True, kw_only=True)
class Resource:
    """The permissions of one resource."""

    name: str
    entries: list[Entry]


@require_safe
@cache_control(private=True, no_cache=True)
def scope_reference(request: HttpRequest) -> HttpResponse:
    """
    Return the page of all permissions; the login for who is not signed in.

    Raises:
        Http404: If the setting switches it off.
    """
    if settings.SCOPE_REFERENCE == "off":
        raise Http404
    user = getattr(request, "user", None)
    if settings.SCOPE_REFERENCE != "public" and not getattr(user, "is_authenticated", False):
        return redirect_to_login(request.get_full_path())
    operations = reach.operations()
    return render(
        request,
        "apikeys/scopes.html",
        {
            "site_name": settings.SITE_NAME or request.get_host(),
            "resources": _resources(operations, user=user),
            "open_to_any": [_opened(item, beside=()) for item in operations if () in item.requirement.alternatives],
            "count": len(scope_registry()),
        },
    )


class ScopesView(APIView):
    """All permissions as JSON, for tools that hold any key and for people who are signed in."""

    authentication_classes = [APIKeyAuthentication, SessionAuthentication]
    permission_classes = [HasAPIKey | IsSessionUser]
    renderer_classes = [JSONRenderer]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if settings.SCOPE_REFERENCE == "off":
            raise NotFound({"detail": NotFound.default_detail, "code": NotFound.default_code})
        super().initial(request, *args, **kwargs)

    def check_permissions(self, request: Request) -> None:
        if settings.SCOPE_REFERENCE != "public":
            super().check_permissions(request)

    def get(self, request: Request) -> Response:
        """Return every declared scope with its sentence and the endpoints that it opens."""
        operations = reach.operations()
        scopes = [
            {
                "name": scope.name,
                "resource": str(scope.resource),
                "label": str(scope.label),
                "text": str(scope.text),
                "sensitive": scope.sensitive,
                "reserved": scope.is_reserved,
                "permissions": scope.permissions,
                "endpoints": [asdict(opened) for opened in _opened_by(scope.name, operations)],
            }
            for scope in scope_registry().values()
        ]
        return Response({"scopes": scopes}, headers={"Cache-Control": "private, no-cache"})


def _resources(operations: Iterable[reach.Operation], *, user: Any) -> list[Resource]:
    clients, issue_url = _clients_by_scope(user), _issue_url(user)
    anchors: set[str] = set()
    resources = []
    for name, scopes in scope_registry().by_resource().items():
        entries = [
            Entry(
                scope=scope,
                anchor=_anchor(scope.name, taken=anchors),
                opens=_opened_by(scope.name, operations),
                issue_url=_with_scope(issue_url, scope.name, user=user),
                clients=None if clients is None else clients.get(scope.name, []),
            )
            for scope in scopes
        ]
        resources.append(Resource(name=name, entries=entries))
    return resources


def _opened_by(name: str, operations: Iterable[reach.Operation]) -> list[Opened]:
    return [_opened(operation, beside=beside) for operation in operations if (beside := operation.beside(name))]


def _opened(operation: reach.Operation, *, beside: reach.Alternatives) -> Opened:
    return Opened(
        method=operation.method,
        path=operation.path,
        beside=beside,
        needs_person=operation.requirement.needs_person,
        credentials=sorted(operation.ways_in),
    )


def _anchor(name: str, *, taken: set[str]) -> str:
    # Two names can differ in their punctuation only.
    anchor = _BESIDE_ANCHORS.sub("-", name).strip("-")
    while not anchor or anchor in taken:
        anchor += "-"
    taken.add(anchor)
    return anchor


def _clients_by_scope(user: Any) -> dict[str, list[str]] | None:
    if not (user and user.has_perm("apikeys.view_client")):
        return None
    active = Client.objects.filter(is_active=True).order_by("name").values_list("name", "allowed_scopes")
    found = list(active[: _MOST_CLIENTS + 1])
    if len(found) > _MOST_CLIENTS:
        return None
    clients: dict[str, list[str]] = {}
    for name, scopes in found:
        for scope in scopes:
            clients.setdefault(scope, []).append(name)
    return clients


def _issue_url(user: Any) -> str:
    # Who is no member of staff would be sent away by the admin.
    if not getattr(user, "is_staff", False):
        return ""
    if not policy.may_issue_any(user):
        return ""
    try:
        return reverse("admin:apikeys_apikey_add")
    except NoReverseMatch:
        return ""


def _with_scope(issue_url: str, name: str, *, user: Any) -> str:
    if not issue_url or policy.not_grantable([name], by=user):
        return ""
    return f"{issue_url}?{urlencode({'scope': name})}"
