from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from apikeys import clients
from apikeys.conf import settings
from apikeys.models import Client, KeyEvent
from apikeys.testing import ApiKeyClient, make_key
from tests.admin_pages import CLIENTS, control_in
from tests.factories import ClientFactory, PersonFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def fields(**changed):
    return {
        "name": "Web app",
        "kind": "first_party",
        "description": "",
        "contact": "",
        "owner": "",
        "allowed_scopes-0": "todo:read",
        "max_key_lifetime": "",
        "allowed_networks": "",
        "is_active": "on",
        **changed,
    }


def page_of(app):
    return f"{CLIENTS}{app.pk}/change/"


def test_client_is_added_as_filled_in(client, gilfoyle):
    richard = PersonFactory(username="richard")

    client.post(
        f"{CLIENTS}add/",
        fields(
            kind="third_party",
            description="Shows to-dos",
            contact="web@example.com",
            owner="richard",
            max_key_lifetime="30",
            allowed_networks="10.0.0.0/8",
            **{"allowed_scopes-0": "todo:read todo:write", "allowed_scopes": ["usage:read"]},
        ),
    )

    app: Any = Client.objects.get()
    event = KeyEvent.objects.get(kind="client_created")
    assert (app.name, app.kind, app.description, app.contact) == (
        "Web app",
        "third_party",
        "Shows to-dos",
        "web@example.com",
    )
    assert (app.owner, app.max_key_lifetime, app.allowed_networks) == (richard, timedelta(days=30), ["10.0.0.0/8"])
    assert app.allowed_scopes == ["todo:read", "todo:write", "usage:read"]
    assert (event.actor, event.source, event.client) == (gilfoyle, "admin", app)


def test_who_may_add_clients_alone_adds_one_that_works(client):
    client.force_login(PersonFactory(rights=["add_client", "grant_any_scope"], is_staff=True))

    client.post(f"{CLIENTS}add/", fields())

    assert Client.objects.get().is_active


def test_form_shows_what_the_client_is(client):
    app: Any = ClientFactory(
        name="Web app", owner=PersonFactory(username="richard"), max_key_lifetime=timedelta(days=30), by=None
    )

    response = client.get(page_of(app))

    assert control_in(response, name="owner")["value"] == "richard"
    assert control_in(response, name="max_key_lifetime")["value"] == "30"
    assert "checked" in control_in(response, value="todo:read todo:write")


def test_saving_unchanged_leaves_no_event(client):
    app: Any = ClientFactory(name="Web app", allowed_scopes=["todo:read"], owner=PersonFactory(username="richard"))

    client.post(page_of(app), fields(owner="richard"))

    assert [event.kind for event in KeyEvent.objects.all()] == ["client_created"]


@pytest.mark.parametrize("name", ["allowed_networks", "rates", "quotas", "audiences"])
def test_lines_that_stay_as_they_are_are_no_change(client, name):
    sharing = clients.create(name="Sharing", resource="https://sharing.example.com")
    lines = {
        "allowed_networks": ["192.0.2.0/24", "203.0.113.7/32"],
        "rates": ["5/min", "100/hour"],
        "quotas": ["100/day", "1000/month"],
        "audiences": [sharing.resource],
    }
    app: Any = ClientFactory(name="Web app", allowed_scopes=["todo:read"], **lines)
    sent = {field: "\r\n".join([*getattr(app, field), ""]) for field in lines}

    client.post(page_of(app), fields(**{**sent, name: f" {sent[name]}"}))
    client.post(page_of(app), fields(**{**sent, name: ""}))

    kept, taken = (entry.get_change_message() for entry in LogEntry.objects.order_by("pk"))
    label = str(Client._meta.get_field(name).verbose_name)
    assert label.lower() not in kept.lower()
    assert taken != kept


def test_change_is_written_with_its_event(client):
    app: Any = ClientFactory(name="Web app", allowed_scopes=["todo:read"])

    client.post(page_of(app), fields(name="Mobile app", **{"allowed_scopes-0": "todo:read todo:write"}))

    app.refresh_from_db()
    kinds = set(KeyEvent.objects.values_list("kind", flat=True))
    assert (app.name, app.allowed_scopes) == ("Mobile app", ["todo:read", "todo:write"])
    assert kinds == {"client_created", "client_edited", "ceiling_set"}


def test_disabling_stops_and_enabling_revives_its_keys(client):
    app: Any = ClientFactory(name="Web app", allowed_scopes=["todo:read"])
    key = ApiKeyClient(make_key(client=app))

    client.post(page_of(app), fields(is_active=""))
    while_disabled = key.get("/apikeys/whoami/").status_code
    client.post(page_of(app), fields())

    assert (while_disabled, key.get("/apikeys/whoami/").status_code) == (403, 200)


def test_page_says_how_many_keys_disabling_stops(client):
    app: Any = ClientFactory(name="Web app")
    make_key(client=app)
    make_key(client=app)

    page = client.get(page_of(app)).content.decode()

    said = "Disabling it stops its working keys: 2. Takes effect at once. They come back if you enable it again."
    assert said in page


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        pytest.param({"name": ""}, "name", id="no-name"),
        pytest.param({"name": "Taken"}, "name", id="taken-name"),
        pytest.param({"name": "ak_live_4Qm9ZtR1xVb7_HYiNs9S5"}, "name", id="key-as-name"),
        pytest.param({"owner": "nobody"}, "owner", id="unknown-owner"),
        pytest.param({"allowed_scopes": ["todo:export"]}, "allowed_scopes", id="undeclared-permission"),
        pytest.param({"max_key_lifetime": "0"}, "max_key_lifetime", id="no-lifetime"),
        pytest.param({"allowed_networks": "10.0.0"}, "allowed_networks", id="bad-network"),
        pytest.param({"kind": "fourth_party"}, "kind", id="unknown-kind"),
        pytest.param({"description": "ak_live_4Qm9ZtR1xVb7_HYiNs9S5"}, "description", id="key-in-description"),
    ],
)
@pytest.mark.parametrize("page", ["add", "change"])
def test_fault_is_refused_beside_its_field(client, page, changed, field):
    ClientFactory(name="Taken")
    app: Any = ClientFactory(name="Web app" if page == "change" else "Other", allowed_scopes=["todo:read"])

    response = client.post(page_of(app) if page == "change" else f"{CLIENTS}add/", fields(**changed))

    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert "<title>Error: " in response.content.decode()
    assert Client.objects.count() == 2


SCOPES = {"apikeys:manage": "Manage keys", "todo:read": {"resource": "To-dos", "label": "View to-dos"}}


def test_nobody_raises_a_ceiling_above_what_they_may_grant(client):
    person = PersonFactory(username="dinesh", rights=["change_client", "view_client"])
    client.force_login(person)
    with override_settings(APIKEYS={**settings.given(), "SCOPES": SCOPES}):
        app: Any = ClientFactory(name="Web app", allowed_scopes=["todo:read"])
        response = client.post(page_of(app), fields(allowed_scopes=["todo:read", "apikeys:manage"]))

    app.refresh_from_db()
    assert "You may not grant: apikeys:manage." in response.content.decode()
    assert app.allowed_scopes == ["todo:read"]


def test_what_a_client_may_hold_already_stays_whoever_edits_it(client):
    person = PersonFactory(username="dinesh", rights=["change_client", "view_client"])
    with override_settings(APIKEYS={**settings.given(), "SCOPES": SCOPES}):
        app: Any = ClientFactory(name="Web app", allowed_scopes=list(SCOPES))
        client.force_login(person)
        page = client.get(page_of(app))
        client.post(page_of(app), fields(name="Renamed", **{"allowed_scopes-0": "", "allowed_scopes": list(SCOPES)}))

    app.refresh_from_db()
    assert "disabled" not in control_in(page, value="apikeys:manage")
    assert (app.name, app.allowed_scopes) == ("Renamed", list(SCOPES))


def test_list_tells_what_clients_may_do(client):
    ClientFactory(name="Web app", owner=PersonFactory(username="richard"))

    page = client.get(CLIENTS).content.decode()

    assert "Web app" in page
    assert "to-dos: read and write" in page
    assert "richard" in page


def test_number_of_queries_does_not_grow_with_the_list(client):
    def queries_with(number):
        while Client.objects.count() < number:
            clients.create(name=f"App {Client.objects.count()}", owner=PersonFactory())
        with CaptureQueriesContext(connection) as queries:
            client.get(CLIENTS)
        return len(queries)

    queries_with(2)

    assert queries_with(10) == queries_with(30)


def test_those_who_only_look_can_read_a_client(client):
    person = PersonFactory(username="dinesh", rights=["view_client"])
    client.force_login(person)
    app: Any = ClientFactory(name="Web app")

    page = client.get(page_of(app)).content.decode()

    assert "Web app" in page
    assert "todo:read" in page


def test_events_are_listed(client):
    make_key(name="Nightly export")

    page = client.get("/admin/apikeys/keyevent/").content.decode()

    assert "Issued" in page
    assert "Nightly export" in page


def test_number_of_queries_does_not_grow_with_the_events(client):
    def queries_with(number):
        while KeyEvent.objects.count() < number:
            make_key()
        with CaptureQueriesContext(connection) as queries:
            client.get("/admin/apikeys/keyevent/")
        return len(queries)

    queries_with(4)

    assert queries_with(10) == queries_with(30)


def test_an_old_page_does_not_undo_what_somebody_else_did_since(client):
    app = ClientFactory(name="Web app")
    seen = client.get(page_of(app)).context["adminform"].form.initial["seen"]
    clients.disable(app)

    response = client.post(page_of(app), fields(contact="ops@example.com", seen=seen))

    assert "Somebody else changed this client since you opened the page." in response.text
    assert not Client.objects.get(pk=app.pk).is_active


def test_a_fresh_page_saves(client):
    app = ClientFactory(name="Web app")
    seen = client.get(page_of(app)).context["adminform"].form.initial["seen"]

    client.post(page_of(app), fields(contact="ops@example.com", seen=seen))

    assert Client.objects.get(pk=app.pk).contact == "ops@example.com"
