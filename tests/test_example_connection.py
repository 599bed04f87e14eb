"""How the programs outside keep a visitor's token: exchanged as it expires, once for all requests of a session."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.sessions.backends.cache import SessionStore
from django.test import RequestFactory
from django.urls import set_urlconf

from apikeys import clients
from apikeys.testing import make_key
from example_project.outside.connection import Connection, NotAllowedError, NotConnectedError
from example_project.outside.handover import Handover, Registration
from example_project.piper import web
from example_project.todo import roles
from tests import oauth
from tests.example_data import as_the_example
from tests.example_server import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("example_project.urls")]

TODOS = "/api/todos/"


@pytest.fixture
def richard(db):
    person = oauth.make_person("richard")
    roles.seed({"richard": person})
    return person


@pytest.fixture
def program(live_server, settings, monkeypatch):
    """Return a function: have a program know an app of this site."""
    as_the_example(settings)
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_HTTPS": False}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "program"}}
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")

    def know(app, *, api_key=None):
        registration = Registration(client_id=app.client_id, client_secret=app.secret)
        apps = {"watch": registration, "web": replace(registration, api_key=api_key)}
        settings.HANDOVER = Handover(port=1, site=live_server.url, apps=apps)
        return app

    return know


def visit(session: SessionStore) -> Connection:
    """Return the connection of a request with *session*."""
    request: Any = SimpleNamespace(session=session)
    return Connection(request, "watch", scopes=("todo:read", "todo:write"))


def session_with_expired_token(token: dict[str, Any]) -> str:
    session = SessionStore()
    visit(session).begin({**token, "expires_at": 0})
    session.save()
    return str(session.session_key)


def paired(app, person, *, scopes=("todo:read", "todo:write")):
    started = oauth.start_device(app, scope="todo:read todo:write").json()
    oauth.approve_device(app, person, started, scopes=scopes)
    return oauth.poll_device(app, started["device_code"]).json()


@pytest.mark.parametrize("is_public", [True, False], ids=["without a secret", "with a secret"])
def test_an_expired_token_is_exchanged_before_the_call(program, richard, is_public):
    app = program(oauth.make_app(oauth.DEVICE_CODE, is_public=is_public))
    key = session_with_expired_token(paired(app, richard))

    connection = visit(SessionStore(key))
    answer = connection.call("POST", TODOS, json={"title": "Call Monica"})

    assert answer["title"] == "Call Monica"
    assert oauth.refusals() == []
    assert visit(SessionStore(key)).is_there


def test_the_exchange_asks_for_no_more_than_the_person_left(program, richard):
    app = program(oauth.make_app(oauth.DEVICE_CODE, is_public=True, optional_scopes=["todo:write"]))
    connection = visit(SessionStore(session_with_expired_token(paired(app, richard, scopes=["todo:read"]))))

    assert connection.call("GET", TODOS)["results"] == []
    with pytest.raises(NotAllowedError):
        connection.call("POST", TODOS, json={"title": "Call Monica"})


def test_requests_of_one_session_exchange_its_token_once(program, richard):
    app = program(oauth.make_app(oauth.DEVICE_CODE, is_public=True))
    key = session_with_expired_token(paired(app, richard))
    tabs = [visit(SessionStore(key)) for _tab in range(3)]
    assert all(tab.is_there for tab in tabs)

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda tab: tab.call("GET", TODOS)["results"], tabs))

    assert answers == [[], [], []]
    assert oauth.replays() == []
    assert oauth.refusals() == []


def test_a_token_that_is_not_exchanged_is_forgotten_by_all_requests(program, richard):
    app = program(oauth.make_app(oauth.DEVICE_CODE, is_public=True))
    key = session_with_expired_token(paired(app, richard))
    tabs = [visit(SessionStore(key)) for _tab in range(2)]
    assert all(tab.is_there for tab in tabs)
    clients.disable(app.client)

    for tab in tabs:
        with pytest.raises(NotConnectedError):
            tab.call("GET", TODOS)

    assert not any(tab.is_there for tab in tabs)
    assert not visit(SessionStore(key)).is_there
    assert len(oauth.refusals()) == 1


def test_the_web_app_gives_back_a_token_that_does_not_sign_its_person_in(program, settings, richard):
    app = oauth.make_app(scopes=["todo:read", "profile:read"])
    program(app, api_key=make_key(client=app.client, owner=None).plaintext)
    settings.TEMPLATES = [
        {
            **settings.TEMPLATES[0],
            "DIRS": [ROOT / "example_project" / name / "templates" for name in ("piper", "outside")],
        }
    ]
    request = RequestFactory().get("/")
    request.session = SessionStore()
    request.session["web.token"] = {**oauth.get_token(app, richard, scope="todo:read"), "expires_at": time.time() + 900}

    set_urlconf("example_project.piper.pages")
    try:
        response = web.home(request)
    finally:
        set_urlconf(None)

    assert "You are signed out." in response.content.decode()
    assert oauth.issued() == (0, 0, 0)
    assert "Sign in" in response.content.decode()
