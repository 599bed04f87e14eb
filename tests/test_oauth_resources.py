"""Tokens that are for some addresses only (RFC 8707)."""

from __future__ import annotations

import pytest
from django.urls import path
from oauth2_provider.models import get_access_token_model
from rest_framework.response import Response

from apikeys.oauth.testing import make_token
from apikeys.testing import ApiKeyClient

from .oauth_views import send, token_view

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        pytest.param(["https://testserver/"], 200, id="this one"),
        pytest.param(["https://other.example/", "https://testserver"], 200, id="two"),
        pytest.param(["https://other.example/"], 401, id="another"),
        pytest.param(["https://testserver/todos/"], 401, id="another path"),
        pytest.param(["http://testserver/"], 401, id="another scheme"),
    ],
)
def test_token_of_a_resource_works_there_alone(resource, status):
    made = make_token()
    get_access_token_model().objects.update(resource=resource)

    assert send(made, address="/?page=2").status_code == status


@pytest.mark.parametrize(
    ("address", "status"),
    [
        pytest.param("/a/x", 200, id="there"),
        pytest.param("/a/x%20y", 200, id="with a space"),
        pytest.param("/a/", 200, id="at its beginning"),
        pytest.param("/b/x", 401, id="elsewhere"),
        pytest.param("/b/../a/x", 401, id="dots"),
        pytest.param("/b/%2e%2e/a/x", 401, id="escaped dots"),
        pytest.param("/b/..%2Fa/x", 401, id="escaped slash"),
        pytest.param("/a/./x", 401, id="one dot"),
        pytest.param("/a//x", 401, id="nothing between slashes"),
        pytest.param("/a%3F/x", 401, id="escaped question mark"),
    ],
)
def test_token_of_a_resource_is_compared_with_the_path_that_is_routed(address, status, settings):
    settings.ROOT_URLCONF = (path("<path:whatever>", token_view(get=say_nothing).as_view()),)
    made = make_token()
    get_access_token_model().objects.update(resource=["https://testserver/a"])

    assert ApiKeyClient(made.plaintext).get(address).status_code == status


def say_nothing(view, request, whatever):
    return Response()
