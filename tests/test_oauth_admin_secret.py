from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.db import connection, connections
from django.test import Client as Browser
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from oauth2_provider.models import get_application_model

from apikeys.models import Client, KeyEvent
from apikeys.oauth.models import ClientApplication
from apikeys.testing.leaks import assert_not_stored
from tests.admin_pages import CLIENTS, control_in, controls_in
from tests.factories import ClientFactory, PersonFactory
from tests.oauth import App, client_credentials, error_of, make_app
from tests.oauth_clients import sign_in_fields

pytestmark = pytest.mark.django_db

CREDENTIALS: dict[str, Any] = {
    "sign_in": "client-credentials",
    "redirect_uris": "",
    "optional_scopes": None,
    "minimum_scopes": ["todo:read"],
}


def page_of(app, page="change"):
    return f"{CLIENTS}{app.pk}/{page}/"


def secret_in(response):
    return control_in(response, id="new-key")["value"]


def with_secret_template(source):
    """Return settings under which the page of a new client secret is *source*."""
    engine: Any
    (engine,) = django_settings.TEMPLATES
    overridden = ("django.template.loaders.locmem.Loader", {"admin/apikeys/oauth/secret.html": source})
    options = {**engine["OPTIONS"], "loaders": [overridden, "django.template.loaders.app_directories.Loader"]}
    return override_settings(TEMPLATES=[{**engine, "APP_DIRS": False, "OPTIONS": options}])


def added(client):
    """Return the answer to the form that makes a client with its sign-in."""
    return client.post(f"{CLIENTS}add/", sign_in_fields(**CREDENTIALS))


def changed(client):
    """Return the answer to the form that gives a client its sign-in."""
    app = ClientFactory(name="LLM Summariser")
    return client.post(page_of(app), sign_in_fields(**CREDENTIALS))


def replaced(client):
    """Return the answer to the form that replaces the secret."""
    app = make_app("client-credentials").client
    return client.post(page_of(app, "secret"), {"seen": seen_on(client, app)})


def seen_on(client, app):
    return control_in(client.get(page_of(app, "secret")), name="seen")["value"]


EACH = pytest.mark.parametrize("revealed", [added, changed, replaced])


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


@EACH
def test_shown_secret_is_accepted(client, revealed):
    secret = secret_in(revealed(client))

    app = App(link=ClientApplication.objects.get(), secret=secret)
    assert client_credentials(app, scope="todo:read").status_code == 200


@EACH
def test_secret_is_in_nothing_but_the_response(client, caplog, revealed):
    for logger in ("", "django", "apikeys", "oauth2_provider"):
        caplog.set_level(logging.DEBUG, logger=logger)

    # Under it the database's statements are logged too.
    with CaptureQueriesContext(connection):
        response = revealed(client)
        for address in (CLIENTS, page_of(Client.objects.get()), "/admin/", "/admin/oauth2_provider/application/"):
            client.get(address)

    secret = secret_in(response)
    headers = str(dict(response.headers))
    assert secret not in repr(response.context)
    assert_not_stored(secret, also={"log": caplog.text, "cookies": client.cookies, "headers": headers})


@EACH
def test_secret_stands_on_the_page_once_and_is_kept_out_of_caches_and_frames(client, revealed):
    response = revealed(client)

    assert response.text.count(secret_in(response)) == 1
    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "same-origin"
    assert response["X-Frame-Options"] == "DENY"


def test_app_that_keeps_no_secret_is_shown_none(client):
    response = client.post(f"{CLIENTS}add/", sign_in_fields(is_public="on"), follow=True)

    assert response.redirect_chain
    assert controls_in(response, id="new-key") == []
    assert "This app keeps no secret." in client.get(page_of(Client.objects.get())).text


@pytest.mark.parametrize("is_new", [True, False], ids=["add", "change"])
def test_form_that_is_sent_again_makes_no_second_secret(client, is_new):
    app = None if is_new else ClientFactory(name="LLM Summariser")
    address = f"{CLIENTS}add/" if app is None else page_of(app)
    seen = "" if app is None else client.get(address).context["adminform"].form.initial["seen"]
    client.post(address, sign_in_fields(seen=seen))

    response = client.post(address, sign_in_fields(seen=seen))

    assert controls_in(response, id="new-key") == []
    assert response.context["adminform"].form.errors
    assert KeyEvent.objects.filter(kind="sign_in_changed").count() == 1


def test_replacing_that_is_sent_again_makes_no_second_secret(client):
    app = make_app().client
    seen = seen_on(client, app)
    client.post(page_of(app, "secret"), {"seen": seen})

    response = client.post(page_of(app, "secret"), {"seen": seen})

    assert response.status_code == 409
    assert controls_in(response, id="new-key") == []
    assert "nothing new was created" in response.text
    assert KeyEvent.objects.filter(kind="secret_replaced").count() == 1


def test_page_says_when_the_secret_was_set_and_never_shows_its_hash(client, time_machine):
    time_machine.move_to("2026-05-03T12:00:00+00:00", tick=False)
    app = make_app().client
    stored = get_application_model().objects.get().client_secret

    page = client.get(page_of(app)).text

    assert "Set on 3 May 2026." in page
    assert "Replace…" in page
    assert stored not in page
    assert stored.rpartition("$")[2] not in page


def test_replacing_stops_the_old_secret(client):
    app = make_app("client-credentials")

    secret_in(client.post(page_of(app.client, "secret"), {"seen": seen_on(client, app.client)}))

    assert error_of(client_credentials(app, scope="todo:read")) == (401, "invalid_client")


def test_asking_for_the_page_replaces_nothing(client):
    app = make_app("client-credentials")

    client.get(page_of(app.client, "secret"))

    assert client_credentials(app, scope="todo:read").status_code == 200
    assert not KeyEvent.objects.filter(kind="secret_replaced").exists()


def test_form_of_another_site_replaces_nothing(gilfoyle):
    app = make_app("client-credentials")
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(gilfoyle)

    response = browser.post(page_of(app.client, "secret"), {"seen": seen_on(browser, app.client)})

    assert response.status_code == 403
    assert client_credentials(app, scope="todo:read").status_code == 200


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("rights", [(), ("view_client",), ("change_client",), ("change_clientapplication",)])
def test_both_rights_are_needed_to_replace(client, method, rights):
    app = make_app().client
    person = PersonFactory()
    person.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(person)

    response = getattr(client, method)(page_of(app, "secret"))

    assert response.status_code == 403
    assert not KeyEvent.objects.filter(kind="secret_replaced").exists()


def test_who_may_not_issue_service_keys_is_told_why_they_get_no_secret(client):
    app = make_app("client-credentials").client
    person = PersonFactory()
    person.user_permissions.set(Permission.objects.filter(codename__in=["change_client", "change_clientapplication"]))
    client.force_login(person)

    response = client.post(page_of(app, "secret"), {"seen": seen_on(client, app)})

    assert response.status_code == 403
    assert "you may not issue those" in response.text


@pytest.mark.parametrize("fields", [{"is_public": True}, None], ids=["no-secret", "no-sign-in"])
def test_there_is_no_page_where_there_is_no_secret(client, fields):
    app = ClientFactory() if fields is None else make_app(**fields).client

    assert client.get(page_of(app, "secret")).status_code == 404


@EACH
@pytest.mark.parametrize("source", ["{% include 'missing.html' %}", "{{ new.secret }}{% include 'missing.html' %}"])
def test_secret_that_could_not_be_shown_is_shown_nowhere_else(client, caplog, revealed, source):
    with with_secret_template(source):
        response = revealed(client)

    assert response.status_code == 500
    assert "Nobody has seen it" in response.text
    assert re.search("[0-9A-Za-z]{100}", response.text + caplog.text) is None
    assert f"{Client.objects.get().client_id} could not be rendered" in caplog.text


def test_shown_secret_is_accepted_where_each_request_is_a_transaction(client, transactional_db, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    secret = secret_in(added(client))

    app = App(link=ClientApplication.objects.get(), secret=secret)
    assert client_credentials(app, scope="todo:read").status_code == 200
