"""The toolkit's own resource server, which asks this authority about API keys."""

from __future__ import annotations

import pytest
from django.urls import include, path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope
from oauth2_provider.models import get_access_token_model
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import keys
from apikeys.models import EventKind, KeyEvent
from apikeys.testing import ApiKeyClient, make_key

from .authority_processes import until
from .factories import UserFactory
from .introspection import make_app, make_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]


class Reports(APIView):
    """A view that knows nothing of this app."""

    authentication_classes = [OAuth2Authentication]
    permission_classes = [TokenHasScope]
    required_scopes = ["todo:read"]

    def get(self, request):
        return Response({"user": request.user.get_username() if request.user else None})


urlpatterns = [
    path("reports", Reports.as_view()),
    path("authority/", include("apikeys.authority.urls")),
]


def is_for_reports(uri, audiences):
    return "https://reports.example" in audiences


def get_reports(key):
    return ApiKeyClient(key).get("/reports")


@pytest.fixture
def server(settings, live_server):
    server = make_server("reports")
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_HTTPS": False}
    settings.OAUTH2_PROVIDER = {
        "SCOPES": {"todo:read": "Read to-dos"},
        "RESOURCE_SERVER_INTROSPECTION_URL": f"{live_server.url}/authority/introspect",
        "RESOURCE_SERVER_AUTH_TOKEN": server.key.plaintext,
        # Its own compares whole addresses with the path that it has of a request, which refuses every audience.
        "RESOURCE_SERVER_TOKEN_RESOURCE_VALIDATOR": f"{__name__}.is_for_reports",
    }
    return server


def forget():
    # It remembers what it was told for ten hours.
    get_access_token_model().objects.all().delete()


@pytest.fixture
def app(server):
    return make_app(server)


def test_key_is_let_in_as_its_person(server, app):
    issued = make_key(client=app, owner=UserFactory(username="ada"), scopes=["todo:read"])

    response = get_reports(issued)

    assert (response.status_code, response.json()) == (200, {"user": "ada"})


def test_key_without_the_scope_is_refused(server, app):
    assert get_reports(make_key(client=app, scopes=["todo:write"])).status_code == 403


def test_key_that_is_revoked_is_refused(server, app):
    issued = make_key(client=app, scopes=["todo:read"])
    before = get_reports(issued).status_code
    keys.revoke(issued.key, reason="leaked")
    forget()

    assert (before, get_reports(issued).status_code) == (200, 401)
    # The server writes it after its response, and must not do so while the tables are emptied for the next test.
    until(KeyEvent.objects.filter(kind=EventKind.USED_AFTER_END, key=issued.key).exists)


def test_key_that_is_bound_to_networks_is_refused_since_nobody_enforces_them(server, app):
    issued = make_key(client=app, scopes=["todo:read"], allowed_networks=["127.0.0.0/8"])

    assert get_reports(issued).status_code == 401


def test_key_of_a_client_that_names_no_server_is_refused(server):
    assert get_reports(make_key(client=make_app(), scopes=["todo:read"])).status_code == 401
