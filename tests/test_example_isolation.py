"""Nobody reaches another person's to-dos: not by id, search, ordering, filter, count, error text or usage."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from apikeys.testing import ApiKeyClient, make_key
from example_project.todo import roles
from example_project.todo.models import Todo
from tests import oauth

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]

PEOPLE = ("richard", "dinesh")
LIST = "/api/todos/"
SCOPES = ("todo:read", "todo:write", "usage:read")
WHOLE = {"title": "Changed", "notes": "", "due_on": None, "is_done": True}
CALLS = [
    pytest.param("get", None, id="GET"),
    pytest.param("head", None, id="HEAD"),
    pytest.param("options", None, id="OPTIONS"),
    pytest.param("post", WHOLE, id="POST"),
    pytest.param("put", WHOLE, id="PUT"),
    pytest.param("put", {}, id="PUT-invalid"),
    pytest.param("patch", {"is_done": True}, id="PATCH"),
    pytest.param("patch", {"title": ""}, id="PATCH-invalid"),
    pytest.param("delete", None, id="DELETE"),
]


@pytest.fixture
def people() -> dict[str, Any]:
    users = get_user_model()
    people = {name: users.objects.create_user(username=name) for name in PEOPLE}
    roles.seed(people)
    for name, person in people.items():
        for number in range(3):
            Todo.objects.create(owner=person, title=f"{name} {number}", notes=f"secret of {name}", is_done=number == 0)
    return people


@pytest.fixture(params=PEOPLE)
def person(request: pytest.FixtureRequest, people: dict[str, Any]) -> Any:
    return people[request.param]


@pytest.fixture
def other(person: Any, people: dict[str, Any]) -> Any:
    return next(candidate for candidate in people.values() if candidate != person)


@pytest.fixture(params=["key", "token", "session"])
def api(request: pytest.FixtureRequest, person: Any) -> APIClient:
    return client_with(request.param, person)


@pytest.fixture
def service() -> APIClient:
    """Return the client of an app that signs in as itself."""
    app = oauth.make_app("client-credentials", scopes=SCOPES)
    return client_of_token(oauth.client_credentials(app, scope=" ".join(SCOPES)).json())


def client_with(credential: str, person: Any) -> APIClient:
    """Return a client that comes for *person* and may do all there is."""
    if credential == "key":
        return ApiKeyClient(make_key(owner=person))
    if credential == "token":
        app = oauth.make_app(scopes=SCOPES)
        return client_of_token(oauth.get_token(app, person, scope=" ".join(SCOPES)))
    client = APIClient()
    client.force_login(person)
    # The test client of Django says for each call whether it is HTTPS, that of the keys for all.
    client.defaults["wsgi.url_scheme"] = "https"
    return client


def client_of_token(token: dict[str, Any]) -> APIClient:
    # A token is sent as a key is.
    return ApiKeyClient(token["access_token"])


def a_todo_of(person: Any) -> Todo:
    return Todo.objects.owned_by(person)[0]


def answer(api: APIClient, method: str, path: str, body: Any = None) -> tuple[int, bytes, dict[str, str]]:
    response = getattr(api, method)(path, body, format="json")
    return response.status_code, response.content, dict(response.items())


@pytest.mark.parametrize(("method", "body"), CALLS)
def test_another_persons_id_is_answered_like_a_missing_one(api, other, method, body):
    theirs = a_todo_of(other)

    found = answer(api, method, f"{LIST}{theirs.pk}/", body)

    assert found == answer(api, method, f"{LIST}{uuid.uuid4()}/", body)
    assert str(theirs.pk) not in found[1].decode()


@pytest.mark.parametrize(("method", "body"), [call for call in CALLS if call.id not in {"OPTIONS", "POST"}])
def test_another_persons_id_is_not_found(api, other, method, body):
    theirs = a_todo_of(other)

    assert answer(api, method, f"{LIST}{theirs.pk}/", body)[0] == 404


@pytest.mark.parametrize(("method", "body"), CALLS)
def test_another_persons_todo_stays_as_it_is(api, other, method, body):
    before = list(Todo.objects.owned_by(other).values())

    answer(api, method, f"{LIST}{before[-1]['id']}/", body)

    assert list(Todo.objects.owned_by(other).values()) == before


@pytest.mark.parametrize("text", ["0", "not-an-id", "9" * 40, "%00", "é"])
def test_text_that_is_no_id_is_answered_like_a_missing_one(api, text):
    assert answer(api, "get", f"{LIST}{text}/")[:2] == answer(api, "get", f"{LIST}{uuid.uuid4()}/")[:2]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?search=secret",
        "?search=of",
        "?is_done=true",
        "?is_done=false",
        "?ordering=title",
        "?ordering=-title",
        "?ordering=due_on",
        "?ordering=owner",
        "?ordering=owner__username",
        "?owner={other}",
        "?owner__username={other_name}",
        "?search=owner&owner={other}",
        "?page_size=1000",
        "?limit=1000&offset=0",
    ],
)
def test_a_list_holds_own_todos_alone(api, person, other, query):
    response = api.get(LIST + query.format(other=other.pk, other_name=other.username))

    owners = set(Todo.objects.filter(pk__in=[todo["id"] for todo in response.json()["results"]]).values_list("owner"))
    assert owners <= {(person.pk,)}
    assert response.json()["count"] <= Todo.objects.owned_by(person).count()
    assert other.username.encode() not in response.content


def test_searching_another_persons_words_finds_nothing(api, other):
    response = api.get(LIST, {"search": other.username})

    assert response.json()["count"] == 0


@pytest.mark.parametrize("query", ["page=2", "page=last", "page=0"])
def test_paging_tells_nothing_of_others(api, person, other, query):
    before = api.get(f"{LIST}?{query}").content

    for number in range(50):
        Todo.objects.create(owner=other, title=f"More {number}")

    assert api.get(f"{LIST}?{query}").content == before


def test_the_owner_of_a_new_todo_is_not_the_clients_to_choose(api, person, other):
    response = api.post(LIST, {"title": "New", "owner": other.pk, "owner_id": other.pk}, format="json")

    assert Todo.objects.get(pk=response.json()["id"]).owner == person


@pytest.mark.parametrize("method", ["put", "patch"])
def test_the_owner_of_a_todo_cannot_be_changed(api, person, other, method):
    mine = a_todo_of(person)

    getattr(api, method)(
        f"{LIST}{mine.pk}/", {"title": "Yours", "owner": other.pk, "owner_id": other.pk}, format="json"
    )

    mine.refresh_from_db()
    assert (mine.title, mine.owner) == ("Yours", person)


def test_a_todo_says_nothing_about_its_owner(api):
    assert set(api.get(LIST).json()["results"][0]) == {"id", "title", "notes", "due_on", "is_done", "created_at"}


def test_the_id_of_a_new_todo_cannot_be_chosen(api, other):
    theirs = a_todo_of(other)

    response = api.post(LIST, {"title": "New", "id": str(theirs.pk)}, format="json")

    assert response.json()["id"] != str(theirs.pk)


@pytest.mark.parametrize("credential", ["key", "token"])
def test_usage_counts_for_a_person_their_own_alone(person, credential):
    api = client_with(credential, person)

    assert api.get("/api/usage/").json() == {"people": 1, "todos": 3, "todos_done": 1}


def test_the_web_page_answers_another_persons_id_like_a_missing_one(client, person, other):
    client.force_login(person)
    theirs = a_todo_of(other)

    found = client.post(f"/todos/{theirs.pk}/done/")

    missing = client.post(f"/todos/{uuid.uuid4()}/done/")
    assert (found.status_code, found.content) == (404, missing.content)


def test_the_web_page_lists_own_todos_alone(client, person, other):
    client.force_login(person)

    page = client.get("/todos/").content.decode()

    assert f"{person.username} 1" in page
    assert f"{other.username} 1" not in page


@pytest.mark.parametrize(("method", "body"), CALLS)
@pytest.mark.parametrize("path", [LIST, f"{LIST}{uuid.UUID(int=1)}/"], ids=["list", "detail"])
def test_a_service_key_needs_a_person_for_todos(people, path, method, body):
    api = ApiKeyClient(make_key(owner=None))

    status, content, _headers = answer(api, method, path, body)

    assert status == 403
    assert method == "head" or b'"owner_required"' in content


@pytest.mark.parametrize("method", ["get", "head", "options", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", [LIST, f"{LIST}{uuid.UUID(int=1)}/", "/api/usage/", "/apikeys/whoami/"])
def test_a_service_key_never_breaks_an_endpoint(people, path, method):
    api = ApiKeyClient(make_key(owner=None), raise_request_exception=False)

    assert answer(api, method, path, None if method in {"get", "head"} else WHOLE)[0] < 500


@pytest.mark.parametrize(("method", "body"), CALLS)
@pytest.mark.parametrize("path", [LIST, f"{LIST}{uuid.UUID(int=1)}/"], ids=["list", "detail"])
def test_a_token_of_an_app_for_itself_needs_a_person_for_todos(people, service, path, method, body):
    status, content, _headers = answer(service, method, path, body)

    assert status == 403
    assert method == "head" or b'"owner_required"' in content


def test_usage_for_a_service_key_is_numbers_of_everybody(people):
    api = ApiKeyClient(make_key(owner=None))

    assert api.get("/api/usage/").json() == {"people": 2, "todos": 6, "todos_done": 2}


def test_usage_for_an_app_that_signs_in_as_itself_is_numbers_alone(people, service):
    assert service.get("/api/usage/").json() == {"people": 2, "todos": 6, "todos_done": 2}
