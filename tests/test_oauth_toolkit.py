"""The toolkit's own authentication, which a project may still have on some views: it fails closed as ours does."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope
from rest_framework.test import APIClient

from apikeys import clients
from apikeys.oauth import consents
from tests import oauth
from tests.drf_views import ask, served, view
from tests.oauth_pages import declaring

pytestmark = pytest.mark.django_db

Theirs = view(
    authentication_classes=[OAuth2Authentication], permission_classes=[TokenHasScope], required_scopes=["todo:read"]
)


@pytest.fixture
def app():
    return oauth.make_app()


@pytest.fixture
def richard():
    return oauth.make_person("richard")


@pytest.fixture
def token(app, richard):
    return oauth.get_token(app, richard, scope="todo:read todo:write")["access_token"]


def status_of(token):
    return ask(Theirs, headers=oauth.bearer(token)).status_code


def disable_client(app, person):
    clients.disable(app.client)


def disable_person(app, person):
    type(person).objects.update(is_active=False)


def withdraw(app, person):
    consents.withdraw(person, app.client, by=person)


def unlink(app, person):
    app.link.delete()


def close_networks(app, person):
    clients.edit(app.client, allowed_networks=["198.51.100.0/24"])


def narrow(app, person):
    clients.set_ceiling(app.client, scopes=["todo:write"])


def test_it_takes_a_token(token):
    assert status_of(token) == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(disable_client, 401, id="client disabled"),
        pytest.param(disable_person, 401, id="person disabled"),
        pytest.param(withdraw, 401, id="consent withdrawn"),
        pytest.param(unlink, 401, id="application of no client"),
        pytest.param(close_networks, 401, id="limited networks"),
        pytest.param(narrow, 403, id="lowered ceiling"),
    ],
)
def test_what_stops_a_token_stops_it_there_too(change, status, app, richard, token):
    change(app, richard)

    assert status_of(token) == status


def test_permission_that_the_person_may_not_use_opens_nothing_there_either(token, richard):
    with declaring({"todo:read": {"text": "View.", "permissions": ["auth.view_user"]}, "todo:write": "Edit."}):
        without_the_right = status_of(token)
        richard.user_permissions.add(Permission.objects.get(codename="view_user"))
        with_it = status_of(token)

    assert (without_the_right, with_it) == (403, 200)


def test_plain_http_is_refused_there_too(token):
    with served(Theirs):
        response = APIClient().get("/", headers=oauth.bearer(token), secure=False)

    assert response.status_code == 401


def test_it_takes_a_token_of_the_client_itself():
    robot = oauth.make_app("client-credentials")

    assert status_of(oauth.client_credentials(robot, scope="todo:read").json()["access_token"]) == 200
