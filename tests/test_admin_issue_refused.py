from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.test import override_settings

from apikeys import clients
from apikeys.conf import settings
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.admin_pages import ADD, controls_in, errors_in, issue_fields, page_of
from tests.factories import ClientFactory, PersonFactory

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)

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


def issue(browser, **changed):
    return browser.post(ADD, issue_fields(**changed))


I2 = [
    pytest.param({"name": ""}, "name", "Give the key a name.", id="no-name"),
    pytest.param({"client": ""}, "client", "Type the name of the client.", id="no-client"),
    pytest.param(
        {"client": "Nobody"},
        "client",
        "There is no client “Nobody”. Type its exact name or its client id.",
        id="unknown-client",
    ),
    pytest.param({"owner": "nobody"}, "owner", "There is no person with the user name “nobody”.", id="unknown-owner"),
    pytest.param(
        {"scopes": []}, "scopes", "Choose at least one permission. A key with none can do nothing.", id="no-permission"
    ),
    pytest.param(
        {"scopes": ["todo:export"]},
        "scopes",
        "“todo:export” is not a permission any more. Reload the page.",
        id="permission-gone",
    ),
    pytest.param(
        {"expires": "custom", "custom_date": "2026-11-21"}, "custom_date", "Choose a date in the future.", id="past"
    ),
    pytest.param({"expires": "custom"}, "custom_date", "Choose a date in the future.", id="no-date"),
    pytest.param(
        {"expires": "custom", "custom_date": "2027-11-23"},
        "custom_date",
        "Keys of this client may live at most 365 days (until 22 November 2027).",
        id="too-long",
    ),
    pytest.param({"expires": "none"}, "expires", "This site does not allow keys without expiry.", id="endless"),
    pytest.param(
        {"allowed_networks": "10.0.0.0/8\n10.0.0"},
        "allowed_networks",
        "Line 2: “10.0.0” is not an IP address or network.",
        id="bad-network",
    ),
    pytest.param({"note": "x" * 201}, "note", "The note may have at most 200 characters.", id="long-note"),
    pytest.param(
        {"note": "ak_live_4Qm9ZtR1xVb7_HYiNs9S555GCGe"},
        "note",
        "The note must not contain a key. Never paste it here.",
        id="key-in-note",
    ),
]


@pytest.mark.parametrize(("changed", "field", "message"), I2)
def test_error_stands_beside_its_field_and_nothing_is_issued(client, changed, field, message):
    with time_machine.travel(NOW, tick=False):
        response = issue(client, **changed)

    assert errors_in(response, field) == [message]
    assert list(response.context["form"].errors) == [field]
    assert "<title>Error: " in response.content.decode()
    assert not APIKey.objects.exists()


def test_taken_name_is_refused_with_ways_on(client, app, gilfoyle):
    key = make_key(client=app, name="Nightly export").key

    response = issue(client)

    assert errors_in(response, "name")[0] == (
        "“Nightly export” already has a working key for this client. Rotate it instead, or choose another name."
    )
    page = response.content.decode()
    assert f'<a href="{page_of(key)}">View the key</a>' in page
    assert f'<a href="{page_of(key, "rotate")}">Rotate it</a>' in page


def test_full_owner_is_refused(client, app, gilfoyle):
    make_key(client=app, owner=gilfoyle)

    with override_settings(APIKEYS={**settings.given(), "MAX_KEYS_PER_OWNER": 1}):
        response = issue(client)

    assert errors_in(response, "owner") == ["gilfoyle already has 1 working keys, the limit. Revoke one first."]


def test_disabled_client_is_refused(client, app):
    clients.disable(app)

    response = issue(client)

    assert errors_in(response, "client") == ["The client “Web app” is switched off."]


def test_disabled_owner_is_refused(client):
    PersonFactory(username="richard", is_active=False)

    response = issue(client, owner="richard")

    assert errors_in(response, "owner") == ["richard is disabled."]


def test_first_faulty_field_takes_the_focus(client):
    response = issue(client, client="Nobody", note="x" * 201)

    assert [control["name"] for control in controls_in(response) if "autofocus" in control] == ["client"]


def test_faulty_permissions_take_the_focus(client):
    response = issue(client, scopes=[])

    assert [control["id"] for control in controls_in(response) if "autofocus" in control] == ["id_scopes-0-none"]


def test_pasted_key_is_not_shown_again(client):
    pasted = make_key().plaintext

    response = issue(client, note=pasted, name="")

    assert pasted not in response.content.decode()


@pytest.mark.parametrize("field", ["client", "owner", "expires", "allowed_networks", "note", "name"])
def test_a_pasted_key_is_not_quoted_by_any_fault(client, field):
    pasted = make_key().plaintext

    response = issue(client, **{field: pasted})

    assert pasted not in response.text
    assert not APIKey.objects.filter(name="Nightly export").exists()


@pytest.mark.parametrize("suggestion", ["clients", "people", "same_as"])
def test_a_suggestion_for_what_no_database_looks_up_is_a_bad_request(client, suggestion):
    assert client.post(f"{ADD}{suggestion}/", {"q": "Web\0app"}).status_code == 400
