"""The access matrix of the home page."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client as Browser

from apikeys import clients
from apikeys.models import APIKey, Client
from example_project.api_servers.handover import ServerHandover
from example_project.todo import programs, story
from example_project.todo.api import TodoViewSet
from example_project.todo.models import Todo
from tests import example_data
from tests.example_data import A_KEY, as_the_example, cells_on, counts, person
from tests.example_server import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]
AS_EXPECTED = [
    # List, create, delete, the other's, usage.
    ["200", "201", "204", "404", "403 usage:read"],
    ["200", "403 todo:write", "403 todo:write", "404", "403 usage:read"],
    ["200", "201", "204", "404", "403 usage:read"],
    ["403 todo:read", "403 todo:write", "403 todo:write", "403 todo:read", "200"],
]


@pytest.fixture(autouse=True)
def example(settings: Any) -> None:
    as_the_example(settings)


@pytest.fixture
def seeded(db: None) -> None:
    example_data.fill()


def matrix(page: str) -> list[list[str]]:
    """Return what the matrix on *page* says of this site: the status and, if one is, the missing permission."""
    return [row[:5] for row in cells_on(page)]


@pytest.mark.parametrize("as_", ["richard", "dinesh"])
def test_the_matrix_is_as_expected(seeded, client, as_):
    page = client.post(f"/?as={as_}").content.decode()

    assert matrix(page) == AS_EXPECTED
    assert "This is a bug" not in page


@pytest.mark.parametrize("as_", ["richard", "dinesh"])
def test_the_page_names_whose_todos_are_out_of_reach(seeded, client, as_):
    other = {"richard": "Dinesh", "dinesh": "Richard"}[as_]

    assert f"See {other}&#x27;s to-dos" in client.get(f"/?as={as_}").content.decode()


def test_the_matrix_shows_one_persons_todos_and_never_the_others(seeded, client):
    page = client.post("/?as=richard").content.decode()

    assert "Call Monica" in page
    assert not [todo.title for todo in Todo.objects.owned_by(person("dinesh")) if todo.title in page]


def test_another_persons_todos_in_an_answer_are_called_a_bug(seeded, client, monkeypatch):
    monkeypatch.setattr(TodoViewSet, "get_queryset", lambda view: Todo.objects.all())

    page = client.post("/?as=richard").content.decode()

    assert page.count("This is a bug") == 6  # list and see, for three apps
    assert page.count('class="bug"') == 6
    assert "6 answers are not what they should be." in page


def test_an_answer_without_the_missing_permission_is_called_a_bug(seeded, client, monkeypatch):
    monkeypatch.setattr(TodoViewSet, "required_scopes", {"POST": ["usage:read"]})

    assert "This is a bug" in client.post("/?as=richard").content.decode()


def test_a_long_answer_is_cut_at_the_end_of_a_line_and_marked(seeded, client):
    page = client.post("/?as=richard").content.decode()

    answers = [html.unescape(text) for text in re.findall(r"<pre>(HTTP/1.1 200.*?)</pre>", page, re.DOTALL)]
    long, *_rest = answers
    assert len(long) > 2000
    assert re.search(r"[,{}\]]\n…$", long)
    assert [text.endswith("…") for text in answers].count(True) < len(answers)


def test_the_matrix_follows_the_ceiling_of_a_client(seeded, client):
    clients.set_ceiling(Client.objects.get(name="LLM Summariser"), scopes=["todo:read", "todo:write"])

    page = client.post("/").content.decode()

    assert matrix(page)[1] == AS_EXPECTED[0]
    assert "This is a bug" not in page


def test_a_service_that_could_read_todos_still_needs_a_person(seeded, client):
    clients.set_ceiling(Client.objects.get(name="Analytics"), scopes=["todo:read", "usage:read"])

    page = client.post("/").content.decode()

    assert matrix(page)[3] == ["403", "403 todo:write", "403 todo:write", "403", "200"]
    assert "This is a bug" not in page


def test_the_matrix_says_why_a_client_was_not_asked(seeded, client):
    clients.disable(Client.objects.get(name="Apple Watch app"))

    assert "The client “Apple Watch app” is switched off." in client.post("/").content.decode()


def test_a_server_that_nobody_started_gets_no_key_and_its_cells_say_so(seeded, client):
    page = client.post("/").content.decode()

    assert [row[5:] for row in cells_on(page)] == [["", ""]] * 4
    assert page.count("Not running: “make demo” starts it.") == 8
    assert "This is a bug" not in page


def test_the_answer_of_a_server_that_can_not_ask_is_no_expected_one(seeded, client, monkeypatch):
    port = free_port()
    monkeypatch.setenv("PORT", str(port - programs.SHARING.ports_on))
    handover = ServerHandover(
        port=port, issuer="http://127.0.0.1:9/authority", audience=story.SHARING.resource, authority_key="made-up"
    )

    with programs.start(programs.SHARING, handover) as process:
        page = client.post("/").content.decode()
        process.kill()

    assert [row[5:] for row in cells_on(page)] == [["503", ""]] * 4
    assert page.count("Retry-After: ") == 4
    assert page.count("This is a bug") == 4
    assert not A_KEY.search(page)


def test_before_it_asks_the_matrix_says_what_each_server_should_answer(seeded, client):
    page = client.get("/").content.decode()

    expected = re.findall(r"expected: (\d+)", page)
    assert [expected[start + 5 : start + 7] for start in range(0, 28, 7)] == [["200"] * 2] * 3 + [["403"] * 2]


def test_the_matrix_leaves_nothing_but_revoked_keys(seeded, client):
    todos = list(Todo.objects.order_by("pk").values())
    known = set(APIKey.objects.values_list("pk", flat=True))

    client.post("/?as=richard")

    made = APIKey.objects.exclude(pk__in=known)
    assert list(Todo.objects.order_by("pk").values()) == todos
    assert made.count() == 4
    assert not made.working().exists()


def test_keys_of_the_matrix_live_a_minute(seeded, client):
    client.post("/?as=richard")

    made = APIKey.objects.filter(name__startswith="Access matrix")
    assert made.filter(expires_at=F("created_at") + timedelta(minutes=1)).count() == 4


def test_the_matrix_shows_no_key(seeded, client):
    assert not A_KEY.search(client.post("/").content.decode())


def test_looking_at_the_home_page_changes_nothing(seeded, client):
    before = counts()

    client.get("/")

    assert counts() == before


def test_an_answer_from_another_address_shows_the_networks_at_work(seeded):
    browser = Browser(REMOTE_ADDR="203.0.113.9")

    page = browser.post("/").content.decode()

    assert "ip_not_allowed" in page
