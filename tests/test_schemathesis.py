"""The example's API against its schema: whatever is sent, no fault, and no answer that the schema does not tell of."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.test.client import ClientHandler
from hypothesis import HealthCheck, Phase, assume, given
from hypothesis import settings as bounded
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apikeys.testing import make_key
from example_project.todo import roles
from example_project.todo.models import Todo
from tests import oauth
from tests.example_data import as_the_example

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    "GET /api/todos/",
    "POST /api/todos/",
    "GET /api/todos/{id}/",
    "PUT /api/todos/{id}/",
    "PATCH /api/todos/{id}/",
    "DELETE /api/todos/{id}/",
    "GET /api/usage/",
    "GET /api/profile/",
    "GET /apikeys/whoami/",
    "GET /apikeys/usage/",
    "GET /apikeys/scopes.json",
]
SCOPES = ("todo:read", "todo:write", "profile:read", "usage:read")


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer as the project does, on the test's own connection."""
    response: Any = ClientHandler(enforce_csrf_checks=True)(environ)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]


@cache
def read_schema() -> Any:
    return schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)


@pytest.fixture
def schema(db: None, settings: Any) -> Any:
    # It calls http://localhost.
    settings.ALLOWED_HOSTS = ["*"]
    as_the_example(settings)
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_HTTPS": False}
    return read_schema()


@pytest.fixture
def richard(db: None) -> Any:
    person = get_user_model().objects.create_user(username="richard")
    roles.seed({"richard": person})
    Todo.objects.create(owner=person, title="Call Monica")
    return person


def no_credential(person: Any) -> dict[str, str]:
    return {}


def key(person: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_key(owner=person).plaintext}"}


def token(person: Any) -> dict[str, str]:
    got = oauth.get_token(oauth.make_app(scopes=SCOPES), person, scope=" ".join(SCOPES))
    return {"Authorization": f"Bearer {got['access_token']}"}


def both(person: Any) -> dict[str, str]:
    app = oauth.make_app(scopes=SCOPES)
    got = oauth.get_token(app, person, scope=" ".join(SCOPES))
    issued = make_key(client=app.client, owner=None, scopes=SCOPES)
    return {"Authorization": f"Bearer {got['access_token']}", "X-API-Key": issued.plaintext}


def operation_of(schema: Any, label: str) -> Any:
    method, _space, path = label.partition(" ")
    return schema[path][method]


def test_every_operation_of_the_schema_is_tried(schema):
    assert {result.ok().label for result in schema.get_all_operations()} == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize(
    ("label", "credential"),
    [
        *itertools.product(OPERATIONS, (no_credential, key, token)),
        ("GET /api/profile/", both),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_whatever_is_sent_is_answered_as_the_schema_says(schema, richard, label, credential, mode):
    headers = credential(richard)

    @bounded(
        max_examples=10,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation_of(schema, label).as_strategy(generation_mode=mode))
    def answered(case: Any) -> None:
        # With a dot or a slash in it, it is the address of nothing, and Django's own page says so.
        assume(not set("./") & set(str((case.path_parameters or {}).get("id", ""))))
        case.call_and_validate(headers=headers, checks=CHECKS)

    answered()


@pytest.mark.parametrize("label", ["POST /api/todos/", "PUT /api/todos/{id}/", "PATCH /api/todos/{id}/"])
def test_body_in_a_format_that_is_not_read_is_answered_as_the_schema_says(schema, richard, label):
    case = operation_of(schema, label).Case(
        path_parameters={"id": Todo.objects.get().pk}, body="a to-do", media_type="text/plain"
    )

    response = case.call_and_validate(headers=key(richard), checks=CHECKS)

    assert response.status_code == 415


@pytest.mark.parametrize("label", OPERATIONS)
def test_who_accepts_no_format_that_there_is_is_answered_as_the_schema_says(schema, richard, label):
    case = operation_of(schema, label).Case(path_parameters={"id": Todo.objects.get().pk})

    response = case.call_and_validate(headers={**key(richard), "Accept": "text/plain"}, checks=CHECKS)

    assert response.status_code == 406
