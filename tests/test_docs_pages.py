"""What single pages of the documents show and list, followed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.db import transaction
from django.test import RequestFactory
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

import apikeys
from apikeys import clients, drf, usage
from apikeys.core import errors
from apikeys.core.principals import Principal
from apikeys.middleware import UsageMiddleware
from apikeys.models import APIKey, KeyEvent, LastUse, UsageCount
from apikeys.testing import ApiKeyClient, make_key
from example_project.todo.models import Todo
from tests.documents import PAGES, ROOT, blocks, commands
from tests.factories import UserFactory

DOCS = ROOT / "docs"
REST_FRAMEWORK = DOCS / "reference" / "rest-framework.md"
ENDPOINTS = DOCS / "reference" / "endpoints.md"
COMPATIBILITY = DOCS / "reference" / "compatibility.md"
PRODUCTION = DOCS / "how-to" / "go-to-production.md"
PYTHON = DOCS / "reference" / "python.md"
NETWORKS = DOCS / "how-to" / "bind-a-key-to-networks.md"


def executed(text, **names):
    found: dict[str, Any] = names
    exec(text, found)  # noqa: S102  # the documents' own code
    return found


def listed(page, heading):
    """Return the names in the first columns of the tables under *heading*."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`[^|]*) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


# REST framework


def test_every_public_name_for_rest_framework_is_documented():
    text = REST_FRAMEWORK.read_text()

    assert {name for name in dir(drf) if name not in text} == set()


def test_every_member_of_the_principal_is_documented():
    members = {field.name for field in fields(Principal)} | set(vars(Principal))
    internal = {"about", "needed", *(name for name in members if name.startswith("_"))}

    assert listed(REST_FRAMEWORK, "Principal") == members - internal


@pytest.fixture
def whole_project(settings):
    settings.REST_FRAMEWORK = executed(blocks(REST_FRAMEWORK, "python")[0])["REST_FRAMEWORK"]

    defaults: Any = api_settings

    class View(APIView):
        authentication_classes = defaults.DEFAULT_AUTHENTICATION_CLASSES
        permission_classes = defaults.DEFAULT_PERMISSION_CLASSES
        throttle_classes = defaults.DEFAULT_THROTTLE_CLASSES
        required_scopes = ()

        def get(self, request):
            return Response({})

    return View


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("declared", "sends_key", "status"),
    [
        pytest.param("todo:read", True, 200, id="a key with the scope"),
        pytest.param("todo:write", True, 403, id="a key without it"),
        pytest.param((), True, 403, id="a key where nothing is declared"),
        pytest.param((), False, 401, id="nobody where nothing is declared"),
    ],
)
def test_the_settings_for_a_whole_project_close_what_declares_nothing(whole_project, declared, sends_key, status):
    headers = {"X-API-Key": make_key(scopes=["todo:read"]).plaintext} if sends_key else {}
    request = APIRequestFactory().get("/", secure=True, headers=headers)

    assert whole_project.as_view(required_scopes=declared)(request).status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "action", "scope", "status"),
    [
        pytest.param("get", "list", "todo:read", 200, id="list"),
        pytest.param("get", "retrieve", "todo:read", 200, id="retrieve"),
        pytest.param("post", "create", "todo:write", 201, id="create"),
        pytest.param("put", "update", "todo:write", 200, id="update"),
        pytest.param("patch", "partial_update", "todo:write", 200, id="partial update"),
        pytest.param("delete", "destroy", "todo:write", 204, id="destroy"),
    ],
)
@pytest.mark.parametrize("is_held", [True, False], ids=["held", "not held"])
def test_each_action_of_the_model_viewset_asks_for_its_scope(method, action, scope, status, is_held):
    text = blocks(REST_FRAMEWORK, "python")[1].replace("from todo.models", "from example_project.todo.models")
    viewset = executed(text, __name__="views")["TodoViewSet"]
    person = UserFactory()
    todo = Todo.objects.create(owner=person, title="Buy milk")
    held = scope if is_held else {"todo:read": "todo:write", "todo:write": "todo:read"}[scope]
    key = make_key(owner=person, scopes=[held])
    request = getattr(APIRequestFactory(), method)(
        "/", {"title": "Buy bread"}, secure=True, headers={"X-API-Key": key.plaintext}
    )

    response = viewset.as_view({method: action})(request, pk=todo.pk)

    assert response.status_code == (status if is_held else 403)


# The app's own endpoints


@pytest.mark.django_db
def test_every_member_of_whoami_is_documented():
    answer = ApiKeyClient(make_key(scopes=["todo:read"])).get("/apikeys/whoami/").json()

    assert listed(ENDPOINTS, "whoami") == set(answer)


@pytest.mark.django_db
def test_every_member_of_usage_is_documented():
    answer = ApiKeyClient(make_key(scopes=["apikeys:usage"])).get("/apikeys/usage/").json()

    assert listed(ENDPOINTS, "usage") - {"days", "by", "key", "format"} == set(answer)


@pytest.mark.django_db
def test_every_member_of_the_scopes_is_documented():
    [first, *_] = ApiKeyClient(make_key(scopes=["apikeys:usage"])).get("/apikeys/scopes.json").json()["scopes"]
    opened = ["method", "path", "beside", "needs_person", "credentials"]

    assert listed(ENDPOINTS, "scopes") == {*first, *opened}


# Views that are not REST framework's


@pytest.mark.django_db
def test_a_plain_view_with_limits_asks_for_its_scope_as_the_how_to_shows(settings):
    settings.APIKEYS = {**settings.APIKEYS, "LIMIT_SCOPES": {"search": ["30/min"]}}
    [text] = [text for text in blocks(DOCS / "how-to" / "limit-requests.md", "python") if "limits.spend(" in text]
    view = executed(text)["export"]

    refused = view(_asking(make_key(scopes=["usage:read"])))
    admitted = view(_asking(make_key(scopes=["todo:read"])))

    assert refused.status_code == 403
    assert b'"code": "insufficient_scope"' in refused.content
    assert admitted.status_code == 200
    assert admitted.headers["Vary"] == "Authorization, X-API-Key"


@pytest.mark.django_db
def test_a_plain_view_that_lacks_a_scope_is_counted_as_such():
    def view(request):
        principal = apikeys.verify(request)
        assert principal
        return drf.missing_scope_response(principal, "todo:read", request=request)

    UsageMiddleware(view)(_asking(make_key(scopes=["usage:read"])))
    usage.flush()

    assert UsageCount.objects.get().outcome == "scope_missing"


def _asking(issued):
    return RequestFactory().get("/", secure=True, headers={"X-API-Key": issued.plaintext})


@pytest.mark.django_db
def test_a_plain_view_refuses_a_missing_scope_as_a_view_of_rest_framework_does():
    class View(APIView):
        authentication_classes = [drf.APIKeyAuthentication]
        permission_classes = [drf.HasScopes("todo:read")]

    issued = make_key(scopes=["usage:read"])
    with transaction.atomic():  # what a refusal rolls back where each request is a transaction
        expected = View.as_view()(_asking(issued))
    request = _asking(issued)
    principal = apikeys.verify(request)
    assert principal

    response = drf.missing_scope_response(principal, "todo:read", request=request)

    assert (response.status_code, json.loads(response.content)) == (403, expected.data)
    assert response.headers["WWW-Authenticate"] == expected.headers["WWW-Authenticate"]
    assert response.headers["Vary"] == "Authorization, X-API-Key"


# Networks


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "status"),
    [
        pytest.param("203.0.113.7", 200, id="of both"),
        pytest.param("203.0.113.8", 403, id="of the client alone"),
        pytest.param("198.51.100.1", 403, id="of neither"),
    ],
)
def test_a_key_that_is_bound_as_the_how_to_shows_works_where_both_allow_it(address, status):
    issued = executed(blocks(NETWORKS, "python")[0])["issued"]

    assert ApiKeyClient(issued).get("/apikeys/whoami/", REMOTE_ADDR=address).status_code == status


@pytest.mark.django_db
def test_the_command_of_the_how_to_binds_a_key():
    [command] = commands(NETWORKS)

    call_command(*shlex.split(command)[2:], "--show-secrets")

    assert APIKey.objects.get().allowed_networks == ["203.0.113.0/24", "2001:db8::/32"]


# Production


@pytest.mark.parametrize("documented", [True, False], ids=["as documented", "not at all"])
def test_the_settings_for_production_satisfy_the_checks(tmp_path, documented):
    [text] = blocks(PRODUCTION, "python")
    lines = [
        "from tests.settings import *",
        'MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("apikeys.")]',
        'DATABASES["default"]["ATOMIC_REQUESTS"] = True',
        text if documented else "",
    ]
    (tmp_path / "in_production.py").write_text("\n".join(lines))
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "DJANGO_SETTINGS_MODULE": "in_production"}

    checked = subprocess.run(
        [sys.executable, "-m", "django", "check", "--deploy", "--tag", "apikeys"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    named = {"apikeys.W205", "apikeys.W208", "apikeys.W212"}
    assert {name for name in named if name in checked.stderr} == (set() if documented else named)


def scheduled():
    """Return the words of each command that a page has a timer run."""
    found = {}
    for page in PAGES:
        for line in "".join(blocks(page, "cron")).splitlines():
            if not line.startswith("#"):
                fields, _, command = line.partition("cd /srv/site && .venv/bin/python manage.py ")
                found[f"{page.stem}: {command}"] = (fields.split(), command.split())
    return found


@pytest.mark.parametrize(("times", "words"), scheduled().values(), ids=scheduled())
def test_a_scheduled_command_is_one_that_there_is(times, words):
    name, *options = words

    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)

    assert len(times) == 5
    parser.parse_args(options)


def test_the_schedule_names_every_command_that_needs_one():
    assert {words[0] for _, words in scheduled().values()} == {
        "cleartokens",
        "expire_keys",
        "rollup_usage",
        "rotate_keys",
        "rotate_signing_key",
    }


# Personal data


@pytest.mark.django_db
def test_addresses_are_forgotten_as_the_page_shows(time_machine):
    [text] = blocks(DOCS / "explanation" / "personal-data.md", "python")
    time_machine.move_to(datetime(2026, 1, 1, tzinfo=UTC), tick=False)
    issued = make_key()
    ApiKeyClient(issued).get("/apikeys/whoami/", REMOTE_ADDR="203.0.113.7")
    usage.flush()
    assert (LastUse.objects.count(), KeyEvent.objects.exclude(address=None).count()) == (1, 1)
    events = KeyEvent.objects.count()
    time_machine.move_to(datetime(2026, 11, 22, tzinfo=UTC), tick=False)

    executed(text)

    assert (LastUse.objects.count(), KeyEvent.objects.exclude(address=None).count()) == (0, 0)
    assert KeyEvent.objects.count() == events


# Python


def test_every_field_of_a_client_is_documented():
    text = PYTHON.read_text().partition("### Fields of a client")[2].partition("###")[0]

    assert {name for name in clients.EDITABLE if f"`{name}`" not in text} == set()


def test_every_reason_not_to_change_something_is_documented():
    kinds = (errors.ChangeRefusedError, errors.ScopeError, errors.HashingFailedError, errors.ConsentMissingError)
    names = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, kinds)}

    assert {name for name in names if f"`{name}`" not in PYTHON.read_text()} == set()


# What it runs on


def test_every_extra_and_every_version_is_documented():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = COMPATIBILITY.read_text()
    supported = [
        classifier.rpartition(" :: ")[2]
        for classifier in project["classifiers"]
        if re.fullmatch(r"(Programming Language :: Python|Framework :: Django) :: \d\.\d+", classifier)
    ]

    assert {name for name in project["optional-dependencies"] if f"`{name}`" not in text} == set()
    assert {version for version in supported if version not in text} == set()
