from __future__ import annotations

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from apikeys import clients
from apikeys.conf import settings
from apikeys.models import Client, KeyEvent
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, control_in, controls_in
from tests.factories import ClientFactory, PersonFactory

from .claims import EMPTY, FILLED, SAID, SHARING, declared, html_of, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _claims():
    with declared():
        yield


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def client_page(app):
    return f"{CLIENTS}{app.pk}/change/"


def client_fields(**changed):
    return {
        "name": "Web app",
        "kind": "first_party",
        "allowed_scopes-0": "todo:read",
        "is_active": "on",
        "audiences": "",
        "resource": "",
        **EMPTY,
        **changed,
    }


def test_a_client_is_added_with_claims_and_api_servers(client):
    clients.create(name="Sharing", resource=SHARING)

    client.post(f"{CLIENTS}add/", client_fields(audiences=f"{SHARING}\r\n", **FILLED))

    app = Client.objects.get(name="Web app")
    assert (app.claims, app.audiences, app.resource) == (SAID, [SHARING], None)
    event = KeyEvent.objects.get(kind="claims_set")
    assert (event.actor_name, event.source, event.client) == ("gilfoyle", "admin", app)


def test_a_client_is_made_an_api_server(client):
    client.post(f"{CLIENTS}add/", client_fields(resource=f" {SHARING} "))

    assert Client.objects.get().resource == SHARING


def test_the_page_of_a_client_shows_what_it_says(client):
    app = ClientFactory(name="Web app")
    clients.set_claims(app, claims=SAID)

    response = client.get(client_page(app))

    page = html_of(response)
    assert '<option value="premium" selected>premium</option>' in page
    assert '<option value="false" selected>No</option>' in page
    assert '<option value="2" selected>2</option>' in page
    assert control_in(response, name="claim_seats")["value"] == "3"
    assert control_in(response, name="claim_discount")["value"] == "0.5"
    assert control_in(response, name="claim_contract")["value"] == "2026/7"
    assert "eu us</textarea>" in page
    assert "checked" in control_in(response, name="claim_plans", value="small")
    assert "checked" not in control_in(response, name="claim_plans", value="large")
    assert "What they pay for." in page


def test_saving_the_page_as_it_was_changes_nothing(client):
    app = ClientFactory(name="Web app", allowed_scopes=["todo:read"])
    clients.set_claims(app, claims=SAID)

    client.post(client_page(app), client_fields(**FILLED))

    assert stored(app).claims == SAID
    assert KeyEvent.objects.filter(kind="claims_set").count() == 1


def test_an_emptied_control_takes_the_claim_away(client):
    app = ClientFactory(name="Web app")
    clients.set_claims(app, claims=SAID)

    client.post(client_page(app), client_fields(**{**FILLED, "claim_seats": "", "claim_plans": []}))

    assert stored(app).claims == {name: value for name, value in SAID.items() if name not in {"seats", "plans"}}


def test_saving_the_page_leaves_what_is_declared_no_more(client):
    app = ClientFactory(name="Web app")
    clients.set_claims(app, claims={"contract": "7"})

    with declared(contract="integer"):
        client.post(client_page(app), client_fields(name="Web"))

    assert (stored(app).name, stored(app).claims) == ("Web", {"contract": "7"})


FAULTS = {
    "choice": ("claim_subscription", "gold", "Select a valid choice."),
    "integer": ("claim_seats", "many", "Enter a whole number."),
    "large": ("claim_seats", str(2**53), "“seats” must be a whole number."),
    "number": ("claim_discount", "nan", "Enter a number."),
    "some of": ("claim_plans", ["huge"], "Select a valid choice."),
    "text": ("claim_contract", "a\u202eb", "“contract” must be text on one line."),
    "texts": ("claim_regions", "eu\neu", "“regions” must be a list of different texts"),
    "size": ("__all__", None, "Claims may have at most 1024 bytes together."),
}


@pytest.mark.parametrize(("field", "value", "sentence"), FAULTS.values(), ids=FAULTS)
def test_a_fault_stands_beside_its_control(client, field, value, sentence):
    app = ClientFactory(name="Web app")
    wrong = {"claim_contract": "a" * 1024} if value is None else {field: value}

    response = client.post(client_page(app), client_fields(**wrong))

    context = response.context["adminform"].form.errors
    assert str(context[field][0]).startswith(sentence)
    assert stored(app).claims == {}


def test_a_key_pasted_as_a_claim_is_not_shown_again(client):
    app, plaintext = ClientFactory(name="Web app"), make_key().plaintext

    page = client.post(client_page(app), client_fields(claim_contract=f"see {plaintext}")).content.decode()

    assert "A claim must not contain a key." in page
    assert plaintext not in page


SERVER_FAULTS = {
    "no address": ("resource", "sharing", "“sharing” can name no API server."),
    "taken": ("resource", SHARING, "Another client is the API server of this address."),
    "no server": ("audiences", "https://other.example", "No client is the API server “https://other.example”."),
    "no name of one": ("audiences", f"{SHARING}\nother", "“other” can name no API server."),
}


@pytest.mark.parametrize(("field", "value", "sentence"), SERVER_FAULTS.values(), ids=SERVER_FAULTS)
def test_a_wrong_address_is_refused_beside_its_field(client, field, value, sentence):
    clients.create(name="Sharing", resource=SHARING)
    app = ClientFactory(name="Web app")

    response = client.post(client_page(app), client_fields(**{field: value}))

    assert str(response.context["adminform"].form.errors[field][0]).startswith(sentence)
    assert (stored(app).resource, stored(app).audiences) == (None, [])


def test_an_address_that_others_name_is_not_taken_away(client):
    sharing = clients.create(name="Sharing", resource=SHARING)
    clients.create(name="Watch", audiences=[SHARING])

    response = client.post(client_page(sharing), client_fields(name="Sharing", resource=""))

    assert "Watch" in str(response.context["adminform"].form.errors["resource"])
    assert stored(sharing).resource == SHARING


def test_page_keeps_an_address_by_which_the_client_names_itself(client):
    sharing = clients.create(name="Sharing", resource=SHARING)
    clients.edit(sharing, audiences=[SHARING])

    response = client.post(client_page(sharing), client_fields(name="Sharing", resource="", audiences=SHARING))

    assert f"“{SHARING}”" in str(response.context["adminform"].form.errors["audiences"])
    assert stored(sharing).resource == SHARING


def test_a_page_that_is_older_than_the_claims_is_refused(client):
    app = ClientFactory(name="Web app")
    seen = control_in(client.get(client_page(app)), name="seen")["value"]
    clients.set_claims(app, claims={"seats": 3})

    response = client.post(client_page(app), client_fields(seen=seen))

    assert "Somebody else changed this client" in html_of(response)
    assert stored(app).claims == {"seats": 3}


LOOKING = ["view_client"]
CHANGING = ["view_client", "change_client"]


@pytest.mark.parametrize("rights", [LOOKING, CHANGING], ids=["looking", "changing"])
def test_who_may_not_set_claims_reads_them(client, rights):
    app = ClientFactory(name="Web app", audiences=())
    clients.set_claims(app, claims={"subscription": "premium", "beta": True})
    client.force_login(PersonFactory(rights=rights))

    response = client.get(client_page(app))

    assert "Subscription: premium" in html_of(response)
    assert "Beta: Yes" in html_of(response)
    assert controls_in(response, name="claim_subscription") == []


def test_who_may_not_set_claims_can_not_send_them_either(client):
    app = ClientFactory(name="Web app", allowed_scopes=["todo:read"])
    clients.set_claims(app, claims={"seats": 3})
    client.force_login(PersonFactory(rights=CHANGING))

    client.post(client_page(app), client_fields(name="Web", **FILLED))

    assert (stored(app).name, stored(app).claims) == ("Web", {"seats": 3})


def test_who_may_only_look_reads_the_api_servers(client):
    clients.create(name="Sharing", resource=SHARING)
    app = clients.create(name="Web app", audiences=[SHARING])
    client.force_login(PersonFactory(rights=LOOKING))

    assert SHARING in html_of(client.get(client_page(app)))


def test_a_site_without_claims_has_no_controls_for_any(client):
    with override_settings(APIKEYS={**settings.given(), "CLAIMS": {}}):
        page = html_of(client.get(client_page(ClientFactory())))

    assert "claim_" not in page
    assert "What its keys say besides permissions." not in page


@pytest.mark.parametrize("claims", [0, 8], ids=["no claims", "many claims"])
def test_the_page_of_a_client_costs_as_many_queries_with_claims(client, claims):
    app = ClientFactory(name="Web app")
    if claims:
        clients.set_claims(app, claims=SAID)
    client.get(client_page(app))

    with CaptureQueriesContext(connection) as queries:
        client.get(client_page(app))
    with override_settings(APIKEYS={**settings.given(), "CLAIMS": {}}), CaptureQueriesContext(connection) as without:
        client.get(client_page(app))

    assert len(queries) == len(without)
