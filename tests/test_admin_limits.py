from __future__ import annotations

import pytest

from apikeys import keys
from apikeys.models import APIKey, Client, KeyEvent
from apikeys.testing import make_key
from tests.admin_pages import ADD, CLIENTS, controls_in, errors_in, issue_fields, keys_in, page_of, rotate_fields
from tests.factories import ClientFactory, PersonFactory
from tests.races import fresh

pytestmark = pytest.mark.django_db

NOT_A_RATE = "Line 2: “600/fortnight” is not a rate. Write it as 600/min or 20/s."


@pytest.fixture(autouse=True)
def _signed_in(client):
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))


@pytest.fixture
def app():
    return ClientFactory(name="Web app")


def limits(row):
    row.refresh_from_db()
    return (row.rates, row.quotas)


@pytest.mark.usefixtures("app")
def test_a_key_is_issued_with_limits(client):
    client.post(ADD, issue_fields(rates="600/min\r\n20/s\r\n", quotas="100000/month"))

    key = APIKey.objects.get()
    assert limits(key) == (["20/s", "600/min"], ["100000/month"])


@pytest.mark.usefixtures("app")
def test_a_key_is_issued_without_limits_where_none_are_typed(client):
    client.post(ADD, issue_fields())

    assert limits(APIKey.objects.get()) == ([], [])


@pytest.mark.usefixtures("app")
def test_what_is_no_rate_is_refused_beside_its_field(client):
    response = client.post(ADD, issue_fields(rates="20/s\n600/fortnight", quotas="1/week"))

    assert errors_in(response, "rates") == [NOT_A_RATE]
    assert errors_in(response, "quotas") == [
        "Line 1: “1/week” is not a quota. Write it as 100000/month or 5000/day.",
    ]
    assert not APIKey.objects.exists()


@pytest.mark.usefixtures("app")
def test_a_key_pasted_as_a_rate_is_not_shown_again(client):
    plaintext = make_key().plaintext

    page = client.post(ADD, issue_fields(rates=plaintext)).content.decode()

    assert plaintext not in page
    assert "is not a rate." in page


def test_a_link_fills_in_limits(client):
    page = client.get(ADD, {"rate": ["20/s", "600/min"], "quota": "5000/day"}).content.decode()

    assert "20/s\n600/min</textarea>" in page
    assert "5000/day</textarea>" in page


def test_the_way_to_issue_anew_keeps_the_limits(client):
    key = keys.issue(ClientFactory(), name="Export", scopes="todo:read", rates=["20/s"], quotas=["5000/day"]).key
    keys.revoke(key, reason="leaked")

    page = client.get(page_of(key)).content.decode()

    assert "rate=20%2Fs" in page
    assert "quota=5000%2Fday" in page


def test_the_replacement_that_a_rotation_makes_has_the_limits(client):
    key = keys.issue(ClientFactory(), name="Export", scopes="todo:read", rates=["20/s"]).key

    assert keys_in(client.post(page_of(key, "rotate"), rotate_fields()))

    assert limits(fresh(key).replacement) == (["20/s"], [])


def test_the_page_shows_what_the_key_has_and_what_else_counts(client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "RATES": ("900/min",)}
    key = make_key(client=ClientFactory(quotas=["77/day"])).key
    keys.set_limits(key, rates=["20/s", "600/min"], quotas=["5000/day"])

    page = client.get(page_of(key, "limits")).content.decode()

    assert "20/s\n600/min</textarea>" in page
    assert "5000/day</textarea>" in page
    assert "<code>900/min</code>" in page
    assert "<code>77/day</code>" in page
    assert "They count for the key and its replacements together." in page


def test_the_page_changes_the_limits_of_the_key_and_its_replacement(client):
    old = make_key().key
    new = keys.rotate(old).key

    response = client.post(page_of(new, "limits"), {"rates": "20/s", "quotas": "5000/day"}, follow=True)

    assert "was changed." in response.content.decode()
    assert limits(old) == limits(new) == (["20/s"], ["5000/day"])
    event = KeyEvent.objects.get(key=new, kind="limits_changed")
    assert (event.actor_name, event.source) == ("gilfoyle", "admin")


def test_an_empty_field_takes_the_limits_away(client):
    key = make_key().key
    keys.set_limits(key, rates=["20/s"], quotas=["5000/day"])

    client.post(page_of(key, "limits"), {"rates": "", "quotas": ""})

    assert limits(key) == ([], [])


def test_a_fault_on_the_page_changes_nothing(client):
    key = make_key().key

    response = client.post(page_of(key, "limits"), {"rates": "20/s\n600/fortnight", "quotas": ""})

    assert errors_in(response, "rates") == [NOT_A_RATE]
    assert "<title>Error: " in response.content.decode()
    assert limits(key) == ([], [])


def test_the_page_is_for_those_who_may_change_keys(client):
    key = make_key().key
    client.force_login(PersonFactory(rights=["view_apikey", "rotate_apikey", "revoke_apikey"]))

    statuses = [
        client.get(page_of(key, "limits")).status_code,
        client.post(page_of(key, "limits"), {"rates": "1/s", "quotas": ""}).status_code,
    ]

    assert statuses == [403, 403]
    assert limits(key) == ([], [])


def test_the_history_tells_of_the_change(client):
    key = make_key().key
    keys.set_limits(key, rates=["20/s"], quotas=["5000/day"])

    page = client.get(page_of(key)).content.decode()

    assert "Limits changed" in page
    assert "From none to 20/s, 5000/day." in page


def client_fields(**changed):
    return {"name": "Web app", "kind": "first_party", "allowed_scopes": ["todo:read"], "is_active": "on", **changed}


def test_a_client_is_made_with_limits(client):
    client.post(f"{CLIENTS}add/", client_fields(rates="600/minute", quotas="5000/d"))

    assert limits(Client.objects.get()) == (["600/min"], ["5000/day"])


def test_the_page_of_a_client_changes_its_limits(client, app):
    client.post(f"{CLIENTS}{app.pk}/change/", client_fields(rates="20/s\n600/min"))

    assert limits(app) == (["20/s", "600/min"], [])
    assert KeyEvent.objects.get(client=app, kind="client_edited").details == {"changed": ["rates"]}


def test_the_page_of_a_client_shows_its_limits_one_a_line(client):
    app = ClientFactory(rates=["20/s", "600/min"])

    page = client.get(f"{CLIENTS}{app.pk}/change/").content.decode()

    assert "20/s\n600/min</textarea>" in page


def test_what_is_no_rate_of_a_client_is_refused_beside_its_field(client, app):
    response = client.post(f"{CLIENTS}{app.pk}/change/", client_fields(rates="20/s\n600/fortnight"))

    assert NOT_A_RATE in response.content.decode()
    assert limits(app) == ([], [])


@pytest.mark.usefixtures("app")
def test_every_field_for_limits_has_a_label_and_a_hint(client):
    pages = [client.get(ADD), client.get(page_of(make_key().key, "limits"))]

    for page in pages:
        for name in ("rates", "quotas"):
            (field,) = controls_in(page, name=name)
            assert f'<label for="{field["id"]}"' in page.content.decode()
            assert f'id="{field["id"]}_helptext"' in page.content.decode()
