from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import override_settings

from apikeys import clients, keys
from apikeys.conf import settings
from apikeys.models import APIKey, KeyEvent
from apikeys.testing import make_key
from tests.admin_pages import ADD, control_in, controls_in, errors_in, issue_fields, keys_in
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


def test_nothing_is_preselected_but_ninety_days(client):
    response = client.get(ADD)

    chosen = [(control["name"], control["value"]) for control in controls_in(response) if "checked" in control]
    assert chosen == [("acts_for", "person"), ("expires", "90")]


def test_issued_key_is_as_filled_in(client, gilfoyle, app):
    PersonFactory(username="richard")

    with time_machine.travel(NOW, tick=False):
        response = issue(
            client, owner="richard", expires="30", note="vault", allowed_networks="10.0.0.0/8\n2001:db8::1"
        )

    assert response.status_code == 200
    key: Any = APIKey.objects.get()
    assert keys_in(response) == [response.context["issued"].plaintext]
    assert (key.name, key.client, key.owner.username, key.note) == ("Nightly export", app, "richard", "vault")
    assert (key.scopes, key.allowed_networks) == (["todo:read"], ["10.0.0.0/8", "2001:db8::1/128"])
    assert (key.expires_at, key.created_by) == (NOW + timedelta(days=30), gilfoyle)
    assert KeyEvent.objects.get(kind="issued").source == "admin"


def test_client_is_found_by_its_id(client, app):
    issue(client, client=app.client_id)

    assert APIKey.objects.get().client == app


def test_read_and_write_grants_both(client):
    issue(client, **{"scopes": None, "scopes-0": "todo:read todo:write"})

    assert APIKey.objects.get().scopes == ["todo:read", "todo:write"]


def test_service_key_has_no_owner(client):
    issue(client, acts_for="nobody", owner="")

    key = APIKey.objects.get()
    assert (key.owner, key.acts_for_user) == (None, False)


def test_service_key_comes_with_a_warning(client):
    response = client.get(ADD)

    assert "A service key acts for nobody" in response.content.decode()


def test_custom_date_ends_a_minute_before_midnight_in_ones_own_time_zone(client):
    with time_machine.travel(NOW, tick=False), override_settings(TIME_ZONE="Europe/Berlin"):
        issue(client, expires="custom", custom_date="2026-12-01")

    assert APIKey.objects.get().expires_at == datetime(2026, 12, 1, 22, 59, tzinfo=UTC)


def test_last_day_that_the_policy_allows_may_be_chosen(client):
    with time_machine.travel(NOW, tick=False):
        issue(client, expires="custom", custom_date="2027-11-22")

    assert APIKey.objects.get().expires_at == NOW + timedelta(days=365)


def test_options_show_their_dates(client):
    with time_machine.travel(NOW, tick=False):
        page = client.get(ADD).content.decode()

    assert "90 days (20 February 2027)" in page
    assert "7 days (29 November 2026)" in page


def test_no_expiry_is_explained_and_disabled_unless_allowed(client):
    response = client.get(ADD)

    assert "No expiry. This site does not allow keys without expiry." in response.content.decode()
    assert "disabled" in control_in(response, name="expires", value="none")


def test_key_without_expiry_is_issued_where_allowed(client):
    with override_settings(APIKEYS={**settings.given(), "ALLOW_NO_EXPIRY": True}):
        issue(client, expires="none")

    assert APIKey.objects.get().expires_at is None


def test_prefilled_link_fills_and_does_not_submit(client):
    response = client.get(f"{ADD}?name=Export&client=Web+app&scope=todo:read&expires=30")

    assert control_in(response, name="name")["value"] == "Export"
    assert control_in(response, name="client")["value"] == "Web app"
    assert "checked" in control_in(response, value="todo:read")
    assert "checked" in control_in(response, name="expires", value="30")
    assert not APIKey.objects.exists()


def test_link_with_nonsense_is_ignored(client):
    response = client.get(f"{ADD}?expires=soon&scope=todo:none&form_id=1")

    assert response.status_code == 200
    assert "checked" in control_in(response, name="expires", value="90")


def test_what_the_client_may_not_hold_is_disabled_with_the_reason(client):
    ClientFactory(name="LLM summariser", allowed_scopes=["todo:read"])

    response = client.get(f"{ADD}?client=LLM+summariser")

    page = response.content.decode()
    assert "disabled" in control_in(response, value="todo:read todo:write")
    assert "disabled" not in control_in(response, value="todo:read")
    assert "The client “LLM summariser” may only read." in page
    assert "The client “LLM summariser” may not hold this permission." in page


def test_forged_permission_above_the_ceiling_is_refused(client):
    ClientFactory(name="LLM summariser", allowed_scopes=["todo:read"])

    response = issue(client, client="LLM summariser", scopes=["todo:read", "todo:write"])

    assert errors_in(response, "scopes") == ["The client “LLM summariser” may not hold: todo:write."]
    assert not APIKey.objects.exists()


RESERVED = {"apikeys:manage": "Manage keys", "todo:read": "View to-dos"}


def test_what_one_may_not_grant_is_disabled_and_refused(client):
    with override_settings(APIKEYS={**settings.given(), "SCOPES": RESERVED}):
        ClientFactory(name="Robot", allowed_scopes=list(RESERVED))
        client.force_login(PersonFactory(username="dinesh", rights=["issue_apikey"]))
        page = client.get(f"{ADD}?client=Robot").content.decode()
        response = issue(client, client="Robot", owner="dinesh", scopes=["apikeys:manage"])

    assert "You may not grant this permission." in page
    assert errors_in(response, "scopes") == ["You may not grant: apikeys:manage."]
    assert not APIKey.objects.exists()


def test_summary_sentence_comes_with_an_error(client):
    response = issue(client, name="")

    assert (
        "This key will be able to: view to-dos. It will not be able to: change to-dos, read usage numbers."
        in response.content.decode()
    )


def test_same_form_twice_makes_one_key(client):
    fields = issue_fields()
    client.post(ADD, fields)

    response = client.post(ADD, fields)

    assert response.status_code == 409
    assert keys_in(response) == []
    assert APIKey.objects.count() == 1


def test_form_that_made_a_key_says_so_whatever_changed_since(client, app):
    fields = issue_fields()
    client.post(ADD, fields)
    clients.disable(app)

    response = client.post(ADD, {**fields, "name": ""})

    assert response.status_code == 409


@pytest.mark.parametrize("form_id", ["", "1", "not-a-uuid"], ids=["empty", "number", "text"])
def test_form_without_its_id_issues_nothing(client, form_id):
    response = issue(client, form_id=form_id)

    assert response.status_code == 200
    assert not APIKey.objects.exists()


def test_every_form_has_its_own_id(client):
    ids = {str(client.get(ADD).context["form"]["form_id"].value()) for _number in range(3)}

    assert len(ids) == 3
    assert all(uuid.UUID(value) for value in ids)


def test_page_holds_no_list_of_people(client):
    for number in range(20):
        PersonFactory(username=f"employee-{number}")

    response = client.get(ADD)

    assert "employee-" not in response.content.decode()


def test_people_are_suggested_by_the_start_of_the_name_and_few(client):
    for number in range(15):
        PersonFactory(username=f"employee-{number:02}")
    PersonFactory(username="richard")

    found = client.post(f"{ADD}people/", {"q": "employee"}).json()["results"]

    assert found == [f"employee-{number:02}" for number in range(10)]


def test_clients_are_suggested_by_the_start_of_the_name(client):
    ClientFactory(name="Watch app")
    ClientFactory(name="Analytics")

    assert client.post(f"{ADD}clients/", {"q": "w"}).json()["results"] == ["Watch app", "Web app"]


def test_page_is_described_for_the_script(client):
    ClientFactory(name="LLM summariser", allowed_scopes=["todo:read"])

    answer = client.post(f"{ADD}describe/", {"client": "LLM summariser", "scope": "todo:read"}).json()

    assert answer["reasons"]["id_scopes-0-write"] == "The client “LLM summariser” may only read."
    assert answer["summary"].startswith("This key will be able to: view to-dos.")


def test_name_of_a_revoked_key_is_free_again(client, app):
    keys.revoke(make_key(client=app, name="Nightly export").key, reason="unneeded")

    response = issue(client)

    assert len(keys_in(response)) == 1


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        pytest.param("Old export", ["todo:read"], id="name"),
        pytest.param("4Qm9ZtR1xVb7", ["todo:read"], id="key-id"),
        pytest.param("ak_live_4Qm9Zt…", ["todo:read"], id="mask"),
        pytest.param("Older", None, id="unknown"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_permissions_of_another_key_are_told(client, app, text, scopes):
    key = make_key(client=app, name="Old export", scopes=["todo:read"]).key
    APIKey.objects.filter(pk=key.pk).update(key_id="4Qm9ZtR1xVb7")

    assert client.post(f"{ADD}same_as/", {"key": text}).json() == {"scopes": scopes}


def test_permissions_of_another_key_are_told_only_to_those_who_may_look(client):
    client.force_login(PersonFactory(rights=["issue_apikey"]))

    assert client.post(f"{ADD}same_as/", {"key": "x"}).status_code == 403


@pytest.mark.parametrize("question", ["people", "clients", "describe", "same_as"])
def test_what_is_typed_is_never_asked_in_an_address(client, question):
    assert client.get(f"{ADD}{question}/?q=x").status_code == 405
