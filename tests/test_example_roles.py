"""Roles: who is no editor any more writes with no credential, from the next request on."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from apikeys.testing import ApiKeyClient, make_key
from example_project.todo import roles
from example_project.todo.models import Todo
from tests import oauth
from tests.example_data import as_the_example

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]

LIST = "/api/todos/"
SCOPES = ("todo:read", "todo:write")


@pytest.fixture(autouse=True)
def example(settings: Any) -> None:
    as_the_example(settings)


@pytest.fixture
def richard() -> Any:
    person = get_user_model().objects.create_user(username="richard")
    roles.seed({"richard": person})
    return person


def with_key(person: Any) -> APIClient:
    return ApiKeyClient(make_key(owner=person, scopes=SCOPES))


def with_token(person: Any) -> APIClient:
    app = oauth.make_app(scopes=SCOPES)
    token = oauth.get_token(app, person, scope=" ".join(SCOPES))
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token['access_token']}")
    return api


def with_session(person: Any) -> APIClient:
    api = APIClient()
    api.force_login(person)
    return api


WAYS = pytest.mark.parametrize("credential", [with_key, with_token, with_session], ids=["key", "token", "session"])


@WAYS
def test_an_editor_writes_until_made_a_viewer(richard, credential):
    api = credential(richard)

    before = api.post(LIST, {"title": "One"}, format="json", secure=True)
    roles.give(richard, "viewer")
    after = api.post(LIST, {"title": "Two"}, format="json", secure=True)

    assert (before.status_code, after.status_code) == (201, 403)
    assert list(Todo.objects.values_list("title", flat=True)) == ["One"]


@pytest.mark.parametrize("method", ["get", "head", "options", "post", "put", "patch", "delete"])
def test_who_has_no_role_is_let_in_by_no_method(method):
    api = with_session(get_user_model().objects.create_user(username="jian-yang"))

    assert getattr(api, method)(LIST, secure=True).status_code == 403


@WAYS
def test_a_viewer_still_reads(richard, credential):
    api = credential(richard)

    roles.give(richard, "viewer")

    assert api.get(LIST, secure=True).status_code == 200


@WAYS
def test_who_has_no_role_reaches_nothing(richard, credential):
    api = credential(richard)

    richard.groups.clear()

    assert api.get(LIST, secure=True).status_code == 403


@WAYS
def test_a_viewer_made_an_editor_writes_with_the_same_credential(richard, credential):
    api = credential(richard)
    roles.give(richard, "viewer")

    roles.give(richard, "editor")

    assert api.post(LIST, {"title": "One"}, format="json", secure=True).status_code == 201


@pytest.mark.parametrize("credential", [with_key, with_token], ids=["key", "token"])
def test_a_refusal_for_the_role_names_the_permission(richard, credential):
    api = credential(richard)
    roles.give(richard, "viewer")

    response = api.post(LIST, {"title": "One"}, format="json", secure=True)

    assert response.json()["code"] == "insufficient_scope"
    assert response.json()["granted_scopes"] == ["todo:read"]


def test_the_page_switches_the_role_of_whom_the_visitor_acts_as(richard, client):
    client.post("/role/?as=richard", {"role": "viewer"})

    assert roles.of(richard) == "viewer"


@pytest.mark.parametrize("role", ["admin", "", "owner"])
def test_the_page_gives_no_other_role(richard, client, role):
    response = client.post("/role/?as=richard", {"role": role})

    assert (response.status_code, roles.of(richard)) == (404, "editor")


def test_looking_at_the_address_changes_no_role(richard, client):
    response = client.get("/role/?as=richard&role=viewer")

    assert (response.status_code, roles.of(richard)) == (405, "editor")


def test_the_page_is_not_there_without_debug(richard, client, settings):
    settings.DEBUG = False

    response = client.post("/role/?as=richard", {"role": "viewer"})

    assert (response.status_code, roles.of(richard)) == (404, "editor")


@pytest.mark.parametrize(
    ("path", "fields"), [("/todos/", {"title": "Mine"}), ("/todos/{pk}/done/", {})], ids=["add", "tick"]
)
def test_the_web_app_lets_a_viewer_change_nothing(richard, client, path, fields):
    todo = Todo.objects.create(owner=richard, title="Call Monica")
    roles.give(richard, "viewer")
    client.force_login(richard)

    response = client.post(path.format(pk=todo.pk), fields)

    assert response.status_code == 403
    assert list(Todo.objects.values_list("title", "is_done")) == [("Call Monica", False)]


def test_the_web_app_shows_a_viewer_no_form(richard, client):
    Todo.objects.create(owner=richard, title="Call Monica")
    roles.give(richard, "viewer")
    client.force_login(richard)

    page = client.get("/todos/").content.decode()

    assert "Call Monica" in page
    assert "Mark as done" not in page
    assert 'name="title"' not in page
