from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from oauth2_provider.models import get_application_model

from apikeys import clients
from apikeys.models import Client, KeyEvent
from apikeys.oauth import applications, consents
from apikeys.oauth.models import ClientApplication
from tests.admin_pages import CLIENTS, control_in, controls_in
from tests.factories import ClientFactory, PersonFactory
from tests.oauth import error_of, get_token, make_app, make_person, refresh, revoke
from tests.oauth_clients import CALLBACK, PNG, sign_in_fields

pytestmark = pytest.mark.django_db


def page_of(app):
    return f"{CLIENTS}{app.pk}/change/"


def seen_on(client, app):
    return client.get(page_of(app)).context["adminform"].form.initial["seen"]


def errors_on(response):
    return response.context["adminform"].form.errors


def staff(*rights):
    person = PersonFactory()
    person.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return person


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


@pytest.fixture
def summariser():
    app = ClientFactory(name="LLM Summariser", kind="third_party", allowed_scopes=["todo:read", "todo:write"])
    applications.create(
        app,
        sign_in="authorization-code",
        redirect_uris=[CALLBACK],
        minimum_scopes=["todo:read"],
        optional_scopes=["todo:write"],
        publisher="Hooli Labs",
        website="https://summariser.example/",
    )
    return app


def test_client_and_its_sign_in_are_made_on_one_page(client, gilfoyle):
    client.post(f"{CLIENTS}add/", sign_in_fields(logo=SimpleUploadedFile("logo.png", PNG)))

    link = ClientApplication.objects.select_related("client", "application").get()
    application = link.application
    event = KeyEvent.objects.get(kind="sign_in_changed")
    assert (link.client.name, link.client.kind) == ("LLM Summariser", "third_party")
    assert application.client_id == link.client.client_id
    assert application.authorization_grant_type == "authorization-code"
    assert (application.redirect_uris, application.client_type) == (CALLBACK, "confidential")
    assert (link.publisher, link.website) == ("Hooli Labs", "https://summariser.example/")
    assert (link.minimum_scopes, link.optional_scopes) == (["todo:read"], ["todo:write"])
    assert (bytes(link.logo or b""), link.is_verified) == (PNG, False)
    assert (event.actor, event.source, event.client) == (gilfoyle, "admin", link.client)


def test_client_without_a_sign_in_has_keys_alone(client):
    client.post(f"{CLIENTS}add/", sign_in_fields(sign_in="", **NOTHING_BELOW))

    assert Client.objects.get().name == "LLM Summariser"
    assert not get_application_model().objects.exists()


NOTHING_BELOW = {
    "redirect_uris": "",
    "minimum_scopes": None,
    "optional_scopes": None,
    "publisher": "",
    "website": "",
}


def test_page_shows_how_the_client_signs_in(client, summariser):
    response = client.get(page_of(summariser))

    assert "checked" in control_in(response, name="sign_in", value="authorization-code")
    assert CALLBACK in response.text
    assert "checked" in control_in(response, name="minimum_scopes", value="todo:read")
    assert "checked" not in control_in(response, name="minimum_scopes", value="todo:write")
    assert controls_in(response, name="minimum_scopes", value="apikeys:usage") == []
    assert control_in(response, name="publisher")["value"] == "Hooli Labs"


def test_saving_unchanged_leaves_no_event(client, summariser):
    applications.edit(ClientApplication.objects.get(), logo=PNG)
    before = KeyEvent.objects.count()

    client.post(page_of(summariser), sign_in_fields(seen=seen_on(client, summariser)))

    assert KeyEvent.objects.count() == before


def test_sign_in_is_edited_with_its_event(client, summariser, gilfoyle):
    fields = sign_in_fields(publisher="Hooli", redirect_uris=f"{CALLBACK}\r\nhttp://127.0.0.1/\r\n", is_verified="on")

    client.post(page_of(summariser), fields)

    link = ClientApplication.objects.select_related("application").get()
    event = KeyEvent.objects.filter(kind="sign_in_changed").latest("pk")
    assert (link.publisher, link.is_verified) == ("Hooli", True)
    assert link.application.redirect_uris == f"{CALLBACK} http://127.0.0.1/"
    assert (event.actor, event.details["changed"]) == (gilfoyle, ["redirect_uris", "publisher", "is_verified"])


def test_logo_stays_until_it_is_replaced_or_removed(client, summariser):
    client.post(page_of(summariser), sign_in_fields(logo=SimpleUploadedFile("logo.png", PNG)))
    client.post(page_of(summariser), sign_in_fields(publisher="Hooli"))
    kept = ClientApplication.objects.get().logo
    client.post(page_of(summariser), sign_in_fields(drops_logo="on"))

    assert bytes(kept or b"") == PNG
    assert ClientApplication.objects.get().logo is None


@pytest.mark.parametrize("is_new", [True, False], ids=["add", "change"])
@pytest.mark.parametrize(
    ("changed", "field", "text"),
    [
        pytest.param(
            {"redirect_uris": "http://summariser.example/"},
            "redirect_uris",
            "Use https. Only 127.0.0.1, [::1] and localhost may use http.",
            id="http",
        ),
        pytest.param({"redirect_uris": ""}, "redirect_uris", "Give at least one address", id="no-address"),
        pytest.param({"sign_in": "password"}, "sign_in", "Select a valid choice", id="password-grant"),
        pytest.param({"sign_in": "client-credentials"}, "redirect_uris", "Leave this empty.", id="address-of-nobody"),
        pytest.param({"skips_consent": "on"}, "skips_consent", "Only a first-party client", id="third-party-skips"),
        pytest.param({"minimum_scopes": ["apikeys:usage"]}, "minimum_scopes", "Select a valid", id="reserved"),
        pytest.param({"minimum_scopes": ["usage:read"]}, "minimum_scopes", "may not hold: usage:read", id="ceiling"),
        pytest.param({"optional_scopes": ["usage:read"]}, "optional_scopes", "may not hold", id="optional-ceiling"),
        pytest.param({"website": "javascript:alert(1)"}, "website", "Enter a valid URL.", id="script"),
        pytest.param({"website": "http://a.example/"}, "website", "as https://app.example/", id="http-page"),
        pytest.param({"publisher": "ak_live_4Qm9ZtR1xVb7_HYiNs9S5"}, "publisher", "must not contain a key", id="key"),
    ],
)
def test_fault_is_refused_beside_its_field(client, changed, field, text, is_new):
    app = None if is_new else ClientFactory(name="LLM Summariser")

    response = client.post(f"{CLIENTS}add/" if app is None else page_of(app), sign_in_fields(**changed))

    assert text in " ".join(errors_on(response)[field])
    assert "<title>Error: " in response.text
    assert "ak_live_4Qm9ZtR1xVb7_HYiNs9S5" not in response.text
    assert not get_application_model().objects.exists()


def test_logo_of_another_kind_is_refused_beside_its_field(client, summariser):
    fields = sign_in_fields(logo=SimpleUploadedFile("logo.png", b"<svg onload='alert(1)'/>"))

    response = client.post(page_of(summariser), fields)

    assert errors_on(response)["logo"] == ["The logo must be a PNG file."]


def test_sign_in_fields_without_a_sign_in_are_refused(client):
    response = client.post(f"{CLIENTS}add/", sign_in_fields(sign_in=""))

    assert "sign_in" in errors_on(response)
    assert not Client.objects.exists()


def test_back_to_keys_alone_ends_the_application(client, summariser):
    consents.give(make_person(), summariser, scopes=["todo:read"])

    client.post(page_of(summariser), sign_in_fields(sign_in="", **NOTHING_BELOW))

    assert not get_application_model().objects.exists()
    assert KeyEvent.objects.filter(client=summariser, kind="consent_withdrawn").count() == 1


def test_page_says_what_another_sign_in_ends(client):
    app = make_app(scopes=["todo:read"])
    get_token(app, make_person())

    page = client.get(page_of(app.client)).text

    assert "Another choice ends 2 tokens and all codes, for good." in page
    assert "what 1 person consented to." in page


def test_page_says_how_many_tokens_disabling_stops(client):
    app = make_app(scopes=["todo:read"])
    get_token(app, make_person())

    page = client.get(page_of(app.client)).text

    said = "Disabling it stops 0 keys and 2 tokens. Takes effect at once. They come back if you enable it again."
    assert said in page


def test_disabling_on_the_page_stops_tokens_and_enabling_revives_them(client):
    app = make_app(scopes=["todo:read"])
    token = get_token(app, make_person())
    fields = {"name": app.client.name, "redirect_uris": app.link.application.redirect_uris}
    client.post(page_of(app.client), sign_in_fields(**fields, is_active=""))
    while_disabled = refresh(app, token["refresh_token"])

    client.post(page_of(app.client), sign_in_fields(**fields, is_active="on"))

    assert error_of(while_disabled) == (401, "invalid_client")
    assert refresh(app, token["refresh_token"]).status_code == 200


def test_lowering_the_ceiling_takes_only_the_lost_permission_from_tokens(client):
    app = make_app(scopes=["todo:read", "todo:write"])
    token = get_token(app, make_person(), scope="todo:read todo:write")
    fields = {"name": app.client.name, "redirect_uris": app.link.application.redirect_uris, "optional_scopes": None}

    client.post(page_of(app.client), sign_in_fields(**fields, **{"allowed_scopes-0": "todo:read"}))

    assert refresh(app, token["refresh_token"]).json()["scope"] == "todo:read"


@pytest.mark.parametrize(
    ("fields", "rights", "text"),
    [
        pytest.param(
            {"sign_in": "client-credentials"}, ["change_client"], "you may not issue those", id="client credentials"
        ),
        pytest.param(
            {"sign_in": "client-credentials"},
            ["change_client", "change_clientapplication"],
            "you may not issue those",
            id="client credentials, with the right to edit them",
        ),
        pytest.param(
            {"kind": "first_party", "skips_consent": True},
            ["change_client", "change_clientapplication"],
            "only superusers",
            id="no consent page",
        ),
    ],
)
def test_ceiling_of_an_app_that_asks_nobody_is_raised_by_who_may_trust_it(client, fields, rights, text):
    app = make_app(scopes=["todo:read"], **fields)
    client.force_login(staff(*rights))
    shown = client.get(page_of(app.client)).context["adminform"].form.initial
    kept = {name: shown.get(name) or None for name in ("sign_in", "skips_consent")}
    kept["redirect_uris"] = "\n".join(shown.get("redirect_uris", ()))

    response = client.post(page_of(app.client), sign_in_fields(name=app.client.name, kind=app.client.kind, **kept))

    app.client.refresh_from_db()
    assert text in str(errors_on(response)["allowed_scopes"])
    assert app.client.allowed_scopes == ["todo:read"]


def test_an_old_page_does_not_undo_what_somebody_else_changed_of_the_sign_in(client, summariser):
    seen = seen_on(client, summariser)
    applications.edit(ClientApplication.objects.get(), is_verified=True)

    response = client.post(page_of(summariser), sign_in_fields(publisher="Hooli", seen=seen))

    assert "Somebody else changed this client since you opened the page." in response.text
    assert ClientApplication.objects.get().is_verified


def test_who_may_not_say_how_clients_sign_in_can_read_it_and_change_the_rest(client, summariser):
    client.force_login(staff("view_client", "change_client"))
    response = client.get(page_of(summariser))

    client.post(page_of(summariser), sign_in_fields(contact="ops@example.com", publisher="Dinesh", is_verified="on"))

    link = ClientApplication.objects.select_related("client").get()
    assert "OAuth authorization code with PKCE" in response.text
    assert CALLBACK in response.text
    assert controls_in(response, name="sign_in") == controls_in(response, name="redirect_uris") == []
    assert (link.client.contact, link.publisher, link.is_verified) == ("ops@example.com", "Hooli Labs", False)


def test_who_may_not_say_how_clients_sign_in_adds_one_without(client):
    client.force_login(staff("add_client", "change_client", "view_client"))

    client.post(f"{CLIENTS}add/", sign_in_fields())

    assert Client.objects.get().name == "LLM Summariser"
    assert not get_application_model().objects.exists()


def test_who_may_look_alone_reads_how_a_client_signs_in(client, summariser):
    client.force_login(staff("view_client"))

    page = client.get(page_of(summariser)).text

    assert "OAuth authorization code with PKCE" in page
    assert "Replace…" not in page


def test_list_tells_how_clients_sign_in(client, summariser):
    ClientFactory(name="Nightly export")

    page = client.get(CLIENTS).text

    assert "OAuth authorization code with PKCE" in page
    assert "API keys only" in page


def test_list_counts_the_tokens_that_work(client):
    app, other = make_app(name="Summariser"), make_app(name="Watch")
    for person in (make_person(), make_person()):
        get_token(app, person)
    ended = get_token(other, make_person())
    revoke(other, ended["refresh_token"])

    table = client.get(CLIENTS).text

    rows = re.findall(r'field-name">.*?>(\w+)<.*?field-shown_tokens">(\d+)<', table, re.DOTALL)
    assert dict(rows) == {"Summariser": "4", "Watch": "0"}


def test_number_of_queries_does_not_grow_with_the_list(client):
    def queries_with(number):
        while Client.objects.count() < number:
            app = clients.create(name=f"App {Client.objects.count()}", owner=PersonFactory())
            applications.create(app, sign_in="authorization-code", redirect_uris=[CALLBACK])
        with CaptureQueriesContext(connection) as queries:
            client.get(CLIENTS)
        return len(queries)

    queries_with(1)

    assert queries_with(3) == queries_with(8)


def test_list_tells_of_keys_tokens_and_last_use_side_by_side(client, summariser):
    table = client.get(CLIENTS).text.partition('id="result_list"')[2]

    columns = re.findall(r'<th scope="col" class="[^"]*column-(\w+)', table)
    first = columns.index("working_keys")
    assert columns[first : first + 4] == ["working_keys", "shown_tokens", "last_used", "shown_owner"]
