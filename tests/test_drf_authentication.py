from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from rest_framework.authentication import BaseAuthentication, BasicAuthentication, SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response

from apikeys import keys
from apikeys.core.principals import ClientUser, Principal
from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasScopes, IsSessionUser
from apikeys.testing import ApiKeyClient, make_key

from .drf_views import ask, view
from .factories import UserFactory

pytestmark = pytest.mark.django_db

Todos = view(permission_classes=[HasScopes("todo:read")])
ForAnybody = view(permission_classes=[AllowAny])

#: How a plaintext may be sent, by the name of its source in the setting.
SOURCES = {
    "bearer": lambda plaintext: {"HTTP_AUTHORIZATION": f"Bearer {plaintext}"},
    "api-key": lambda plaintext: {"HTTP_AUTHORIZATION": f"Api-Key {plaintext}"},
    "x-api-key": lambda plaintext: {"HTTP_X_API_KEY": plaintext},
}


class NamedByWord(BaseAuthentication):
    """Another authenticator, which takes ``Authorization: Word <user name>`` and OAuth's word."""

    def authenticate(self, request):
        word, _, name = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        return (UserFactory(username=name), "theirs") if word in {"Word", "Bearer"} else None


@pytest.mark.parametrize("source", SOURCES)
def test_key_is_taken_from_each_place(source):
    key = make_key()

    response = ask(Todos, **SOURCES[source](key.plaintext))

    assert response.json()["key_id"] == key.key.key_id


@pytest.mark.parametrize("word", ["bearer", "BEARER", "bEaReR"])
def test_word_before_the_key_may_be_written_in_any_case(word):
    assert ask(Todos, HTTP_AUTHORIZATION=f"{word} {make_key().plaintext}").status_code == 200


@pytest.mark.parametrize("off", SOURCES)
def test_place_that_is_turned_off_holds_no_key(settings, off):
    settings.APIKEYS = {**settings.APIKEYS, "CREDENTIAL_SOURCES": [name for name in SOURCES if name != off]}
    key = make_key()

    answers = {name: ask(Todos, **send(key.plaintext)).status_code for name, send in SOURCES.items()}

    assert answers == {name: 401 if name == off else 200 for name in SOURCES}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"HTTP_AUTHORIZATION": "Bearer eyJhbGciOiJub25lIn0.e30."}, id="jwt"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer akilive"}, id="bearer-that-is-nearly-ours"),
        pytest.param({"HTTP_AUTHORIZATION": "Word ak_live_x"}, id="unknown-word"),
    ],
)
def test_credential_of_somebody_else_is_left_to_the_next_authenticator(headers):
    todos = view(authentication_classes=[APIKeyAuthentication, NamedByWord], permission_classes=[IsAuthenticated])

    response = ask(todos, **headers)

    assert response.status_code == 200
    assert response.json()["user"] == headers["HTTP_AUTHORIZATION"].partition(" ")[2]


def test_credential_that_nobody_knows_is_no_credential():
    response = ask(Todos, HTTP_AUTHORIZATION="Word something")

    assert (response.status_code, response.json()["code"]) == (401, "key_missing")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"HTTP_AUTHORIZATION": "Bearer ak_"}, id="prefix-only"),
        pytest.param({"HTTP_AUTHORIZATION": "Api-Key "}, id="empty"),
        pytest.param({"HTTP_AUTHORIZATION": "Api-Key eyJhbGciOiJub25lIn0"}, id="api-key-is-always-ours"),
        pytest.param({"HTTP_X_API_KEY": ""}, id="x-api-key-empty"),
        pytest.param({"HTTP_X_API_KEY": "something"}, id="x-api-key-is-always-ours"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer ak_live_\x00"}, id="nul"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer ak_live_" + "x" * 10_000}, id="10-kB"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer ak_live_Ã¤\xff"}, id="no-utf-8"),
        pytest.param({"HTTP_X_API_KEY": "\udcff" * 72}, id="lone-surrogates"),
    ],
)
@pytest.mark.parametrize("todos", [Todos, ForAnybody], ids=["needs-a-scope", "lets-anybody-in"])
def test_bad_key_is_refused_also_where_anybody_may_come_in(todos, headers):
    response = ask(todos, **headers)

    assert (response.status_code, response.json()["code"]) == (401, "key_malformed")


def test_view_that_lets_anybody_in_lets_in_who_sends_nothing():
    assert ask(ForAnybody).status_code == 200


ORDERS = {
    "key first": [APIKeyAuthentication, SessionAuthentication],
    "key alone": [APIKeyAuthentication],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_key_goes_before_a_session(order):
    key = make_key()
    todos = view(authentication_classes=order, permission_classes=[HasScopes("todo:read") | IsSessionUser])

    response = ask(todos, key=key, user=UserFactory(is_superuser=True))

    assert response.json() == {"key_id": key.key.key_id, "user": str(key.key.owner)}


@pytest.mark.parametrize(
    "permission",
    [AllowAny, IsAuthenticated, IsSessionUser | HasScopes("todo:read")],
    ids=["anybody", "is-authenticated", "tree"],
)
@pytest.mark.parametrize("state", ["revoked", "malformed"])
def test_bad_key_never_falls_back_to_the_session(permission, state):
    key = make_key()
    keys.revoke(key.key, reason="other")
    presented = key.plaintext if state == "revoked" else key.plaintext[:-1]

    response = ask(view(permission_classes=[permission]), key=presented, user=UserFactory(is_superuser=True))

    assert (response.status_code, response.json()["code"]) == (401, f"key_{state}")


def test_challenge_is_ours_where_another_authenticator_stands_first():
    todos = view(
        authentication_classes=[BasicAuthentication, APIKeyAuthentication], permission_classes=[HasScopes("todo:read")]
    )
    key = make_key()
    keys.revoke(key.key, reason="other")

    assert ask(todos)["WWW-Authenticate"] == 'Bearer realm="api"'
    assert ask(todos, HTTP_X_API_KEY=key.plaintext)["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


def test_views_own_demand_for_a_credential_is_answered_with_our_challenge():
    response = ask(view(permission_classes=[IsAuthenticated]))

    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


def test_unknown_user_may_be_none(settings):
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}

    assert ask(Todos).status_code == 401


@pytest.mark.parametrize("owner", ["person", "service"])
def test_view_is_told_who_calls(owner):
    seen = []

    def get(self, request):
        seen.append((request.user, request.auth))
        return Response()

    todos = view(permission_classes=[HasScopes("todo:read")], get=get)
    key = make_key(scopes=["todo:read"], owner=UserFactory() if owner == "person" else None)

    ask(todos, key=key)

    [(user, principal)] = seen
    assert isinstance(principal, Principal)
    assert principal.scopes == {"todo:read"}
    assert (principal.key_id, principal.client_id) == (key.key.key_id, key.key.client.client_id)
    if owner == "person":
        assert user == key.key.owner
    else:
        assert user == ClientUser(client_id=key.key.client.client_id, name=key.key.client.name)


def test_answer_to_a_page_of_the_browsable_api_is_a_refusal_too():
    todos = view(permission_classes=[HasScopes("todo:read")], renderer_classes=[JSONRenderer, BrowsableAPIRenderer])

    response = ask(todos, key=make_key(scopes=["usage:read"]), HTTP_ACCEPT="text/html")

    assert response.status_code == 403
    assert "text/html" in response["Content-Type"]


@pytest.mark.parametrize(
    ("permission", "key", "status"),
    [
        pytest.param(HasScopes("todo:read"), make_key, 200, id="success"),
        pytest.param(HasScopes("todo:write"), lambda: make_key(scopes=["todo:read"]), 403, id="too-little"),
        pytest.param(HasScopes("todo:read"), lambda: None, 401, id="no-key"),
        pytest.param(AllowAny, lambda: None, 200, id="anybody"),
    ],
)
def test_answer_varies_by_the_headers_that_carry_keys(permission, key, status):
    response = ask(view(permission_classes=[permission]), key=key())

    assert response.status_code == status
    assert {"Authorization", "X-API-Key", "Accept"} <= set(response["Vary"].split(", "))


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        pytest.param(timedelta(days=7), "2026-11-26T04:00:00Z", id="seven-days"),
        pytest.param(timedelta(days=7, seconds=1), None, id="a-second-more"),
        pytest.param(timedelta(seconds=1), "2026-11-26T04:00:00Z", id="last-second"),
    ],
)
def test_key_in_its_last_days_says_so(left, expected):
    with time_machine.travel("2026-11-01T04:00:00Z", tick=False):
        key = make_key(lifetime=timedelta(days=25))

    with time_machine.travel(key.key.expires_at - left, tick=False):
        response = ask(Todos, key=key)

    assert response.status_code == 200
    assert response.get("ApiKey-Expires") == expected


def test_key_without_an_end_says_nothing(settings):
    settings.APIKEYS = {**settings.APIKEYS, "ALLOW_NO_EXPIRY": True}

    response = ask(Todos, key=make_key(lifetime=None))

    assert "ApiKey-Expires" not in response.headers
    assert "ApiKey-Replaced" not in response.headers


def test_replaced_key_says_so_during_the_overlap_and_its_replacement_does_not():
    key = make_key()
    replacement = keys.rotate(key.key)

    assert ask(Todos, key=key)["ApiKey-Replaced"] == "true"
    assert "ApiKey-Replaced" not in ask(Todos, key=replacement).headers


def test_whoami_tells_a_key_what_it_is():
    with time_machine.travel("2026-11-01T04:00:00Z", tick=False):
        richard = UserFactory(username="richard")
        key = make_key(scopes=["todo:read", "usage:read"], name="Watch", owner=richard, lifetime=timedelta(days=25))

        response = ApiKeyClient(key).get(reverse("apikeys:whoami"))

    assert response.json() == {
        "key_id": key.key.key_id,
        "name": "Watch",
        "client": key.key.client.name,
        "owner": "richard",
        "scopes": ["todo:read", "usage:read"],
        "expires_at": "2026-11-26T04:00:00Z",
        "rates": [],
        "quotas": [],
    }
    assert response["Cache-Control"] == "no-store"


def test_whoami_of_a_service_key_names_no_owner():
    response = ApiKeyClient(make_key(owner=None)).get(reverse("apikeys:whoami"))

    assert response.json()["owner"] is None


def test_whoami_answers_nobody_without_a_key():
    assert ApiKeyClient().get(reverse("apikeys:whoami")).status_code == 401


def test_revoked_key_is_refused_on_the_next_request():
    key = make_key()
    assert ask(Todos, key=key).status_code == 200

    keys.revoke(key.key, reason="leaked")

    assert ask(Todos, key=key).json()["code"] == "key_revoked"


@pytest.mark.parametrize("permission", [HasAPIKey, HasScopes("todo:read")], ids=["any-key", "scope"])
def test_person_who_signed_in_is_no_key(permission):
    assert ask(view(permission_classes=[permission]), user=UserFactory(is_superuser=True)).status_code == 403


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import django; django.setup()", id="app"),
        pytest.param("import django; django.setup(); import rest_framework.views", id="then-views"),
    ],
)
def test_project_may_name_our_classes_in_the_defaults_of_rest_framework(tmp_path, code):
    (tmp_path / "defaults_of_drf.py").write_text(
        "from tests.settings import *\n"
        "REST_FRAMEWORK = {\n"
        "    'DEFAULT_AUTHENTICATION_CLASSES': ['apikeys.drf.APIKeyAuthentication'],\n"
        "    'DEFAULT_PERMISSION_CLASSES': ['apikeys.drf.HasScopes'],\n"
        "}\n"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "defaults_of_drf",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }

    # In a process of its own: in this one REST framework has read its settings long ago.
    done = subprocess.run(  # noqa: S603  # a line of this file
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
