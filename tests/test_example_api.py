"""The to-do API: what it does, and which permission each call needs."""

from __future__ import annotations

from datetime import date
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


@pytest.fixture
def richard() -> Any:
    person = get_user_model().objects.create_user(username="richard")
    roles.seed({"richard": person})
    return person


@pytest.fixture
def api(richard: Any) -> APIClient:
    return ApiKeyClient(make_key(owner=richard))


@pytest.fixture
def todos(richard: Any) -> list[Todo]:
    return [
        Todo.objects.create(owner=richard, title="Call Monica", due_on=date(2026, 3, 2)),
        Todo.objects.create(owner=richard, title="Beat Hooli", notes="with Monica's help", due_on=date(2026, 3, 1)),
        Todo.objects.create(owner=richard, title="Sleep", is_done=True),
    ]


def titles(response: Any) -> list[str]:
    return [todo["title"] for todo in response.json()["results"]]


def test_a_new_todo_can_be_read(api):
    new = {"title": "Call Monica", "notes": "About the board.", "due_on": "2026-03-02", "is_done": False}

    created = api.post(LIST, new, format="json")

    assert created.status_code == 201
    assert api.get(f"{LIST}{created.json()['id']}/").json().items() >= new.items()


def test_a_todo_can_be_changed(api, todos):
    response = api.patch(f"{LIST}{todos[0].pk}/", {"is_done": True}, format="json")

    assert response.status_code == 200
    assert Todo.objects.get(pk=todos[0].pk).is_done


def test_a_todo_can_be_replaced(api, todos):
    response = api.put(f"{LIST}{todos[0].pk}/", {"title": "Mail Monica"}, format="json")

    assert response.status_code == 200
    assert Todo.objects.get(pk=todos[0].pk).title == "Mail Monica"


def test_a_todo_can_be_deleted(api, todos):
    response = api.delete(f"{LIST}{todos[0].pk}/")

    assert response.status_code == 204
    assert not Todo.objects.filter(pk=todos[0].pk).exists()


def test_the_next_due_comes_first_and_what_is_never_due_last(api, todos):
    assert titles(api.get(LIST)) == ["Beat Hooli", "Call Monica", "Sleep"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=monica", ["Beat Hooli", "Call Monica"]),
        ("is_done=true", ["Sleep"]),
        ("is_done=false", ["Beat Hooli", "Call Monica"]),
        ("ordering=title", ["Beat Hooli", "Call Monica", "Sleep"]),
        ("ordering=-title", ["Sleep", "Call Monica", "Beat Hooli"]),
    ],
)
def test_a_list_can_be_searched_filtered_and_ordered(api, todos, query, expected):
    assert titles(api.get(f"{LIST}?{query}")) == expected


@pytest.mark.parametrize("query", ["is_done=maybe", "search=%00"])
def test_a_question_that_makes_no_sense_is_refused(api, query):
    assert api.get(f"{LIST}?{query}").status_code == 400


def test_a_page_holds_twenty(api, richard):
    for number in range(21):
        Todo.objects.create(owner=richard, title=f"To-do {number}")

    response = api.get(LIST)

    assert (len(response.json()["results"]), response.json()["count"]) == (20, 21)


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("get", "todo:read"),
        ("head", "todo:read"),
        ("options", "todo:read"),
        ("post", "todo:write"),
        ("put", "todo:write"),
        ("patch", "todo:write"),
        ("delete", "todo:write"),
    ],
)
def test_each_method_names_the_permission_that_it_lacks(richard, todos, method, needed):
    others = [name for name in ("todo:read", "todo:write", "usage:read") if name != needed]
    api = ApiKeyClient(make_key(owner=richard, scopes=others))

    response = getattr(api, method)(f"{LIST}{todos[0].pk}/")

    assert response.status_code == 403
    assert response.headers["WWW-Authenticate"] == f'Bearer realm="api", error="insufficient_scope", scope="{needed}"'


def test_usage_needs_its_permission(richard):
    api = ApiKeyClient(make_key(owner=richard, scopes=["todo:read", "todo:write"]))

    response = api.get("/api/usage/")

    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("path", [LIST, "/api/usage/"])
def test_without_a_credential_a_key_is_asked_for(path):
    response = APIClient().get(path)

    assert (response.status_code, response.json()["code"]) == (401, "key_missing")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def get_profile(*, key="", token=""):
    headers = {"x-api-key": key} if key else {}
    if token:
        headers["authorization"] = f"Bearer {token}"
    return APIClient().get("/api/profile/", headers=headers, secure=True)


@pytest.fixture
def web(settings: Any) -> oauth.App:
    as_the_example(settings)
    return oauth.make_app(scopes=["profile:read"])


def test_the_profile_is_for_who_shows_a_key_and_a_persons_token_of_one_app(web, richard):
    key = make_key(client=web.client, owner=None, scopes=["profile:read"]).plaintext
    token = oauth.get_token(web, richard, scope="profile:read")["access_token"]

    response = get_profile(key=key, token=token)

    assert response.json() == {
        "username": "richard",
        "name": "",
        "roles": ["editor"],
        "client": web.client.name,
    }


@pytest.mark.parametrize(
    ("shown", "code"),
    [(["key"], "token_missing"), (["token"], "key_missing_beside_token"), ([], "key_missing")],
    ids=["key-alone", "token-alone", "nothing"],
)
def test_the_profile_is_not_for_who_shows_less(web, richard, shown, code):
    credentials = {
        "key": make_key(client=web.client, owner=None, scopes=["profile:read"]).plaintext,
        "token": oauth.get_token(web, richard, scope="profile:read")["access_token"],
    }

    response = get_profile(**{name: credentials[name] for name in shown})

    assert (response.status_code, response.json()["code"]) == (401, code)


def test_usage_is_not_for_sessions(client, richard):
    client.force_login(richard)

    assert client.get("/api/usage/").status_code == 401


def test_a_session_may_not_write_without_a_csrf_token(richard):
    api = APIClient(enforce_csrf_checks=True)
    api.force_login(richard)

    assert api.post(LIST, {"title": "Forged"}, format="json").status_code == 403
    assert not Todo.objects.exists()


def test_a_wrong_key_never_falls_back_to_the_session(richard, todos):
    api = APIClient()
    api.force_login(richard)

    response = api.get(LIST, headers={"authorization": "Bearer ak_live_nothing"}, secure=True)

    assert response.status_code == 401


def test_the_web_page_adds_a_todo(client, richard):
    client.force_login(richard)

    client.post("/todos/", {"title": "Call Monica", "due_on": "2026-03-02"})

    assert list(Todo.objects.values_list("owner__username", "title")) == [("richard", "Call Monica")]


def test_the_web_page_ticks_a_todo_off_and_back_on(client, richard, todos):
    client.force_login(richard)
    answers = []

    for _ in range(2):
        client.post(f"/todos/{todos[0].pk}/done/")
        answers.append(Todo.objects.get(pk=todos[0].pk).is_done)

    assert answers == [True, False]


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/todos/"), ("post", f"/todos/{'0' * 8}-0000-0000-0000-{'0' * 12}/done/")]
)
def test_the_web_page_asks_strangers_to_sign_in(client, method, path):
    response = getattr(client, method)(path)

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/?")
