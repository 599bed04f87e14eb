from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.admin.models import LogEntry
from django.core.signals import got_request_exception
from django.db import connection, connections
from django.db.models.signals import post_save
from django.test import override_settings
from django.test.signals import template_rendered
from django.test.utils import CaptureQueriesContext
from django.views.debug import ExceptionReporter

from apikeys.core.keyformat import key_pattern
from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient, make_key
from apikeys.testing.leaks import assert_not_stored
from tests.admin_pages import ADD, CLIENTS, LIST, control_in, issue_fields, keys_in, page_of, rotate_fields
from tests.factories import ClientFactory, PersonFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def gilfoyle():
    return PersonFactory(username="gilfoyle", is_superuser=True)


@pytest.fixture
def app():
    return ClientFactory(name="Web app")


@pytest.fixture(autouse=True)
def _signed_in(client, gilfoyle, app):
    client.force_login(gilfoyle)


@pytest.fixture
def atomic_requests(transactional_db, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


def with_reveal_template(source):
    """Return settings under which the page of a new key is *source*."""
    engine: Any
    (engine,) = django_settings.TEMPLATES
    overridden = ("django.template.loaders.locmem.Loader", {"admin/apikeys/apikey/reveal.html": source})
    options = {**engine["OPTIONS"], "loaders": [overridden, "django.template.loaders.app_directories.Loader"]}
    return override_settings(TEMPLATES=[{**engine, "APP_DIRS": False, "OPTIONS": options}])


def issued(client):
    return client.post(ADD, issue_fields())


def rotated(client):
    key = make_key(name="Old").key
    return client.post(page_of(key, "rotate"), rotate_fields())


BOTH = pytest.mark.parametrize("revealed", [issued, rotated], ids=["issue", "rotate"])


@BOTH
def test_shown_key_is_accepted(client, revealed):
    (plaintext,) = keys_in(revealed(client))

    assert ApiKeyClient(plaintext).get("/apikeys/whoami/").status_code == 200


@BOTH
def test_secret_is_in_nothing_but_the_response(client, caplog, revealed):
    for logger in ("", "django", "apikeys"):
        caplog.set_level(logging.DEBUG, logger=logger)

    # Under it the database's statements are logged too.
    with CaptureQueriesContext(connection):
        response = revealed(client)
        (plaintext,) = keys_in(response)
        for address in (LIST, ADD, CLIENTS, page_of(APIKey.objects.latest("pk")), "/admin/"):
            client.get(address)

    logged = {record.name for record in caplog.records}
    assert {"django.db.backends", "django.template"} <= logged
    headers = str(dict(response.headers))
    assert_not_stored(plaintext, also={"log": caplog.text, "cookies": client.cookies, "headers": headers})


@BOTH
def test_secret_stands_on_the_page_once(client, revealed):
    response = revealed(client)

    assert len(keys_in(response)) == 1
    assert control_in(response, id="new-key")["value"] == response.context["issued"].plaintext


@BOTH
def test_context_of_the_page_keeps_the_secret_out_of_its_repr(client, revealed):
    response = revealed(client)

    (plaintext,) = keys_in(response)
    assert plaintext.rpartition("_")[2] not in repr(response.context)


@BOTH
def test_page_is_kept_out_of_caches_and_frames(client, revealed):
    response = revealed(client)

    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "same-origin"
    assert response["X-Frame-Options"] == "DENY"


def test_buttons_that_need_a_script_are_hidden_without_one(client):
    response = issued(client)

    assert "hidden" in control_in(response, id="copy-key")
    assert "hidden" in control_in(response, id="copy-command")


@BOTH
def test_snippets_hold_a_variable_and_no_key(client, revealed):
    response = revealed(client)

    codes = [snippet.code for snippet in response.context["snippets"]]
    assert [snippet.label for snippet in response.context["snippets"]] == [
        "curl",
        "HTTPie",
        "Python",
        "JavaScript",
        "PowerShell",
    ]
    assert all("/apikeys/whoami/" in code and "ak_live_" not in code for code in codes)


def test_permissions_expiry_and_owner_are_told(client):
    page = issued(client).content.decode()

    assert "View your to-dos: titles, notes, due dates and status. <code>todo:read</code>" in page
    assert "(in 90 days)" in page
    assert "Owner: gilfoyle." in page


def test_replacement_is_revealed_with_the_end_of_the_old_key(client):
    page = rotated(client).content.decode()

    assert "<h1>Copy the replacement key</h1>" in page
    assert "works until" in page


@BOTH
def test_page_is_rendered_after_the_commit_even_with_atomic_requests(client, atomic_requests, revealed):
    in_transaction = []

    def look(template, **kwargs):
        if template.name == "admin/apikeys/apikey/reveal.html":
            in_transaction.append(connection.in_atomic_block)

    template_rendered.connect(look)
    try:
        response = revealed(client)
    finally:
        template_rendered.disconnect(look)

    assert in_transaction == [False]
    assert len(keys_in(response)) == 1


BROKEN = pytest.mark.parametrize(
    "source",
    [
        "{% include 'nowhere.html' %}",
        # Its message quotes the secret.
        "{{ issued.plaintext }}{% url issued.plaintext %}",
    ],
    ids=["missing-template", "message-with-secret"],
)


@BROKEN
def test_key_that_could_not_be_shown_is_cancelled(client, source):
    with with_reveal_template(source):
        response = issued(client)

    assert response.status_code == 500
    assert "The key could not be shown and was cancelled. Issue a new one." in response.content.decode()
    assert keys_in(response) == []
    assert APIKey.objects.get().revocation.reason == "undelivered"


def test_key_that_could_not_be_shown_is_cancelled_with_atomic_requests(client, atomic_requests):
    with with_reveal_template("{% include 'nowhere.html' %}"):
        issued(client)

    assert APIKey.objects.get().revocation.reason == "undelivered"


@BROKEN
def test_replacement_that_could_not_be_shown_is_undone(client, source):
    key = make_key(name="Old").key

    with with_reveal_template(source):
        response = client.post(page_of(key, "rotate"), rotate_fields())

    replacement = APIKey.objects.exclude(pk=key.pk).get()
    key.refresh_from_db()
    assert response.status_code == 500
    assert (replacement.revocation.reason, replacement.replaces) == ("undelivered", None)
    assert (key.overlap_ends_at, key.is_revoked()) == (None, False)


@BROKEN
def test_log_of_a_failed_reveal_says_where_without_the_secret(client, caplog, source):
    with with_reveal_template(source):
        issued(client)

    key = APIKey.objects.get()
    records = [record for record in caplog.records if record.name == "apikeys.admin"]
    assert [key.key_id in record.getMessage() for record in records] == [True]
    assert "NoReverseMatch" in caplog.text or "TemplateDoesNotExist" in caplog.text
    assert "ak_live_" not in caplog.text


def test_reload_without_script_shows_no_key_and_the_ways_on(client):
    fields = issue_fields()
    client.post(ADD, fields)

    response = client.post(ADD, fields)

    key = APIKey.objects.get()
    page = response.content.decode()
    assert response.status_code == 409
    assert (
        "“Nightly export” was already issued. You reloaded the page, so nothing new was created, and its secret cannot "
        "be shown a second time. If you did not copy it, rotate the key." in page
    )
    assert f'href="{page_of(key)}">View the key</a>' in page
    assert f'href="{page_of(key, "rotate")}">Rotate it</a>' in page


def test_reload_of_a_rotation_makes_no_third_key(client):
    key = make_key(name="Old").key
    fields = rotate_fields()
    client.post(page_of(key, "rotate"), fields)

    response = client.post(page_of(key, "rotate"), fields)

    assert response.status_code == 409
    assert keys_in(response) == []
    assert "was already issued. You reloaded the page" in response.content.decode()
    assert APIKey.objects.count() == 2


def test_admin_log_names_the_key_by_its_mask(client):
    issued(client)

    key = APIKey.objects.get()
    page = client.get(page_of(key, "history")).content.decode()
    assert key.masked in page
    assert key.key_id not in page


def test_whole_page_is_shown_where_the_project_left_out_our_addresses(client):
    with override_settings(ROOT_URLCONF="tests.urls_admin_only"):
        response = issued(client)

    assert len(keys_in(response)) == 1


def refuse_to_log(instance, **kwargs):
    raise RuntimeError("the admin's log is full")


@pytest.fixture
def _broken_admin_log():
    post_save.connect(refuse_to_log, sender=LogEntry)
    yield
    post_save.disconnect(refuse_to_log, sender=LogEntry)


@pytest.mark.usefixtures("_broken_admin_log")
def test_failure_after_the_issue_leaves_no_key_and_reports_no_secret(client):
    reports = []

    def report(request, **kwargs):
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.append(reporter.get_traceback_text() + reporter.get_traceback_html())

    client.raise_request_exception = False
    got_request_exception.connect(report)
    try:
        response = client.post(ADD, issue_fields(note="Stored in the vault"))
    finally:
        got_request_exception.disconnect(report)

    assert response.status_code == 500
    assert not APIKey.objects.exists()
    assert ["the admin's log is full" in text for text in reports] == [True]
    assert key_pattern("ak").search(reports[0]) is None
    assert "Stored in the vault" not in reports[0]


@pytest.mark.usefixtures("_broken_admin_log")
def test_debug_page_shows_no_secret(client):
    client.raise_request_exception = False

    with override_settings(DEBUG=True):
        response = client.post(ADD, issue_fields())

    assert response.status_code == 500
    assert "RuntimeError" in response.content.decode()
    assert keys_in(response) == []
