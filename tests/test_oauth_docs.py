from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management.sql import emit_post_migrate_signal
from django.db import transaction
from django.db.models.signals import post_migrate
from django.test import RequestFactory
from django.urls import reverse
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import clients
from apikeys.drf import APIKeyAuthentication, HasScopes
from apikeys.oauth import OAuthTokenAuthentication, applications, consents, urls
from apikeys.oauth.defaults import OAUTH2_PROVIDER
from apikeys.oauth.sign_in import SignIn
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key
from tests.documents import ROOT, blocks
from tests.oauth import make_person
from tests.oauth_pages import declaring

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference" / "oauth.md"
LAYERED = DOCS / "how-to" / "ask-for-a-key-and-a-token.md"
ROLES = DOCS / "how-to" / "roles-with-groups.md"
GATES = "COMPLIANT_BCP_RFC9700_"


def executed(*texts):
    names: dict[str, Any] = {}
    for text in texts:
        exec(text, names)  # noqa: S102  # the documents' own code
    return names


def status_of(view, *, key=None, token=None, method="get"):
    headers = {}
    if key is not None:
        headers["X-API-Key"] = key.plaintext
    if token is not None:
        headers["Authorization"] = f"Bearer {token.plaintext}"
    request = getattr(RequestFactory(), method)("/", headers=headers, secure=True)
    with transaction.atomic():  # what a refusal rolls back where each request is a transaction
        response = view.as_view()(request)
    return response.status_code, response.data


def test_every_setting_of_the_preset_is_documented_with_its_value():
    text = REFERENCE.read_text()
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| `(.*?)` \|", text, flags=re.MULTILINE)

    documented = {name: eval(value, {"timedelta": timedelta}) for name, value in rows}  # noqa: S307  # our own page
    assert documented == {name: value for name, value in OAUTH2_PROVIDER.items() if not name.startswith(GATES)}
    assert {name for name in OAUTH2_PROVIDER if f"`{name.removeprefix(GATES)}`" not in text} == set()
    assert all(value is True for name, value in OAUTH2_PROVIDER.items() if name.startswith(GATES))


def test_the_preset_is_changed_as_the_reference_says():
    changed = executed(blocks(REFERENCE, "python")[0])["OAUTH2_PROVIDER"]

    assert changed == {**OAUTH2_PROVIDER, "ACCESS_TOKEN_EXPIRE_SECONDS": 300}


def test_every_writer_of_applications_and_consents_is_documented():
    text = REFERENCE.read_text()
    internal = {"consents.lock_covering", "consents.record_use", "consents.client_ids_of"}

    writers = {f"applications.{name}" for name in own(applications)} | {f"consents.{name}" for name in own(consents)}
    assert {name for name in writers - internal if f"`{name}(" not in text} == set()


def own(module):
    found = {name: value for name, value in vars(module).items() if isinstance(value, FunctionType)}
    return {name for name, value in found.items() if value.__module__ == module.__name__ and not name.startswith("_")}


def test_every_documented_address_is_there():
    rows = re.findall(r"^\| `oauth2_provider:([\w-]+)` \| `(\S+?)` \|", REFERENCE.read_text(), flags=re.MULTILINE)

    assert len(rows) >= 7
    for name, path in rows:
        assert reverse(f"oauth2_provider:{name}").endswith(f"/{path}")
    assert urls.metadata_urlpatterns


@pytest.mark.django_db
def test_an_app_is_registered_from_python_as_the_how_to_says():
    names = executed(blocks(DOCS / "how-to" / "offer-oauth.md", "python")[-1])

    assert names["made"].secret
    assert names["made"].link.client == names["client"]
    assert SignIn.of(names["made"].link).redirect_uris == ("https://hooli.example/callback",)


@pytest.fixture
def layered(db):
    """The view that asks for both, and a key and a token of one client."""
    client = clients.create(name="Web app", allowed_scopes=["todo:read"])
    view = executed(*blocks(LAYERED, "python"))["Profile"]
    return view, make_key(client=client, owner=None), make_token(client=client)


def test_key_and_token_of_one_client_are_let_in_as_the_how_to_says(layered):
    view, key, token = layered

    status, data = status_of(view, key=key, token=token)

    assert status == 200
    assert data == {"app": "Web app", "person": token.user.get_username()}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(lambda key, token: {"key": key}, "token_missing", id="the key alone"),
        pytest.param(lambda key, token: {"token": token}, "key_missing_beside_token", id="the token alone"),
        pytest.param(lambda key, token: {}, "key_missing", id="neither"),
        pytest.param(
            lambda key, token: {"key": key, "token": make_token(scopes="todo:read")}, "credentials_differ", id="of two"
        ),
        pytest.param(
            lambda key, token: {"key": make_key(client=token.client), "token": token},
            "credentials_differ",
            id="of another person",
        ),
    ],
)
def test_other_requests_are_refused_as_the_how_to_says(layered, sent, code):
    view, key, token = layered

    status, data = status_of(view, **sent(key, token))

    assert data["code"] == code
    assert f"| {status} `{code}`" in LAYERED.read_text()


class Todos(APIView):
    authentication_classes = [APIKeyAuthentication, OAuthTokenAuthentication]
    permission_classes = [HasScopes]
    required_scopes = {"GET": "todo:read", "POST": "todo:write", "DELETE": "todo:purge"}

    def get(self, request):
        return Response({})

    post = delete = get


@pytest.fixture
def roles(db):
    """The scopes and groups of the how-to."""
    settings, groups, _app = blocks(ROLES, "python")
    with declaring(executed(settings)["APIKEYS"]["SCOPES"]):
        executed(groups)["make_roles"]()
        yield


@pytest.mark.django_db
def test_roles_are_whole_once_a_new_database_is_migrated(tmp_path, monkeypatch):
    app = tmp_path / "followed"
    app.mkdir()
    for name, text in zip(["roles", "apps"], blocks(ROLES, "python")[1:], strict=True):
        (app / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    config = import_module("followed.apps").TodoConfig
    todo = apps.get_app_config("todo")
    Permission.objects.filter(content_type__app_label="todo").delete()
    receivers = list(post_migrate.receivers)

    try:
        config.ready(todo)
        emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    finally:
        post_migrate.receivers[:] = receivers
        post_migrate.sender_receivers_cache.clear()

    assert {group.name: group.permissions.count() for group in Group.objects.all()} == {
        "Viewers": 1,
        "Editors": 3,
        "Admins": 4,
    }


@pytest.mark.parametrize(
    ("role", "may"),
    [
        pytest.param("Viewers", {"get"}, id="viewer"),
        pytest.param("Editors", {"get", "post"}, id="editor"),
        pytest.param("Admins", {"get", "post", "delete"}, id="admin"),
    ],
)
@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_role_decides_what_a_persons_credentials_reach_on_the_next_request(roles, kind, role, may):
    person = make_person()
    person.groups.add(Group.objects.get(name=role))
    made = make_key(owner=person) if kind == "key" else make_token(user=person)

    before = {
        method for method in ("get", "post", "delete") if status_of(Todos, **{kind: made}, method=method)[0] == 200
    }
    person.groups.clear()
    after = status_of(Todos, **{kind: made})

    assert before == may
    assert after[0] == 403
    assert after[1]["code"] == "insufficient_scope"
