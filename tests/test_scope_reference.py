from __future__ import annotations

import re
from html import unescape

import pytest
from django.urls import include, path

from apikeys.conf import settings as app_settings
from apikeys.drf import HasScopes
from apikeys.models import Client
from apikeys.registry import scope_registry
from apikeys.testing import ApiKeyClient, make_key

from .admin_pages import control_in
from .drf_views import view
from .factories import ClientFactory, PersonFactory, UserFactory
from .request_path import statements

PAGE, JSON = "/apikeys/scopes/", "/apikeys/scopes.json"
ISSUE = "Issue a key with this permission"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _site(settings):
    settings.ROOT_URLCONF = "tests.openapi_urls"


@pytest.fixture
def configured(settings):
    """Return a function that changes settings of the app."""

    def configure(**changes):
        settings.APIKEYS = {**app_settings.given(), **changes}

    return configure


@pytest.fixture
def richard(client):
    """Return who is signed in, without any right."""
    person = UserFactory(username="richard")
    client.force_login(person)
    return person


def sign_in(client, *rights, **fields):
    client.force_login(PersonFactory(rights=rights, **fields))


def page_of(client):
    return " ".join(unescape(client.get(PAGE).content.decode()).split())


def section(page, name):
    """Return what *page* says about scope *name*."""
    anchor = re.sub("[^A-Za-z0-9]+", "-", name)
    return page.partition(f'id="{anchor}"')[2].partition("</article>")[0]


def endpoints_in(text):
    return re.findall(r"<li><code>([A-Z]+ [^<]+)</code>([^<]*)</li>", text)


def test_each_declared_scope_stands_there_once(client, richard):
    page = page_of(client)

    assert re.findall(r'<a class="anchor" href="#[\w-]+"><code>([^<]+)</code>', page) == list(scope_registry())
    assert re.findall(r'<li><a href="#[\w-]+"><code>([^<]+)</code>', page) == list(scope_registry())


def test_scopes_stand_under_their_resource_with_sentence_and_tag(client, richard):
    page = page_of(client)

    assert page.index(">To-dos</h2>") < page.index('id="todo-read"') < page.index('id="todo-write"')
    assert "View your to-dos: titles, notes, due dates and status." in section(page, "todo:read")
    assert "Sensitive" not in section(page, "todo:read")
    assert "Sensitive" in section(page, "todo:write")


def test_endpoints_are_those_of_the_url_configuration(client, richard):
    page = page_of(client)

    assert endpoints_in(section(page, "usage:read")) == [
        ("GET /api/either/", ", with an access token"),
        ("GET /api/notes/count/", ", together with todo:read, for a person"),
        ("GET /api/numbers/", ""),
        ("PUT /api/numbers/", ", together with todo:write"),
    ]
    assert ("GET /api/profile/", ", for a person, with a key and an access token of one client") in endpoints_in(
        section(page, "todo:read")
    )
    assert ("GET /api/any-key/", "") in endpoints_in(page.partition('id="open-to-any"')[2])


def test_endpoint_with_two_ways_in_names_both(client, richard, settings):
    either = (HasScopes("todo:read") & HasScopes("usage:read")) | (HasScopes("todo:read") & HasScopes("todo:write"))
    settings.ROOT_URLCONF = (
        path("apikeys/", include("apikeys.urls")),
        path("x/", view(permission_classes=[either], http_method_names=["get"]).as_view()),
    )

    assert endpoints_in(section(page_of(client), "todo:read")) == [
        ("GET /x/", ", together with usage:read or todo:write")
    ]


def test_scope_that_opens_nothing_says_so(client, richard, settings):
    settings.ROOT_URLCONF = (path("apikeys/", include("apikeys.urls")),)

    assert "No endpoint of this site." in section(page_of(client), "todo:read")


def test_anchors_of_names_that_differ_in_punctuation_only_differ(client, richard, configured):
    configured(SCOPES={"todo:read": "Read", "todo.read": "Read as well", "::": "Odd"})

    anchors = re.findall(r'<article class="permission" id="([^"]+)"', client.get(PAGE).content.decode())

    assert anchors[0] == "todo-read"
    assert len(set(anchors)) == len(anchors) == len(scope_registry())


def test_texts_are_shown_literally(client, richard, configured):
    configured(SCOPES={"x": {"label": "<b>{}</b>", "text": "<script>alert(1)</script>", "resource": "<i>"}})

    page = client.get(PAGE).content.decode()

    assert "&lt;b&gt;{}&lt;/b&gt;" in page
    assert "<script>alert" not in page


def test_site_without_scopes_of_its_own_shows_the_page(client, richard, configured):
    configured(SCOPES={})

    assert client.get(PAGE).status_code == 200


def test_site_is_named_as_the_setting_says(client, richard, configured):
    configured(SITE_NAME="Pied Piper")

    assert "<title>Permissions of Pied Piper</title>" in page_of(client)


def test_who_is_not_signed_in_is_sent_to_the_login(client, settings):
    settings.LOGIN_URL = "/login/"

    response = client.get(PAGE)

    assert (response.status_code, response["Location"]) == (302, f"/login/?next={PAGE}")


def test_public_page_is_for_everybody(client, configured):
    configured(SCOPE_REFERENCE="public")

    assert client.get(PAGE).status_code == 200
    assert client.get(JSON, secure=True).status_code == 200


@pytest.mark.parametrize("address", [PAGE, JSON])
def test_page_that_is_off_is_missing_for_everybody(client, configured, address):
    configured(SCOPE_REFERENCE="off")
    sign_in(client, is_superuser=True)

    assert client.get(address, secure=True).status_code == 404


def test_page_takes_no_post(client, richard):
    assert client.post(PAGE).status_code == 405


def test_page_is_not_kept_by_shared_caches(client, richard):
    assert "private" in client.get(PAGE)["Cache-Control"]


@pytest.mark.parametrize(
    ("rights", "is_staff", "offered"),
    [
        pytest.param(["issue_apikey"], True, True, id="own-keys"),
        pytest.param(["issue_service_apikey"], True, True, id="service-keys"),
        pytest.param(["issue_apikey"], False, False, id="not-staff"),
        pytest.param(["view_apikey"], True, False, id="may-look"),
    ],
)
def test_link_to_issue_a_key_is_for_who_may(client, rights, is_staff, offered):
    sign_in(client, *rights, is_staff=is_staff)

    text = section(page_of(client), "todo:read")

    assert ('<a href="/admin/apikeys/apikey/add/?scope=todo%3Aread">' + ISSUE in text) is offered


def test_link_to_issue_a_key_is_only_beside_what_its_reader_may_grant(client, configured):
    configured(SCOPES={"todo:read": "Read", "users:edit": {"text": "Edit", "permissions": ["auth.change_user"]}})
    sign_in(client, "issue_apikey")

    page = page_of(client)

    assert ISSUE in section(page, "todo:read")
    assert ISSUE not in section(page, "users:edit")
    assert ISSUE not in section(page, "apikeys:usage")


def test_link_leads_to_a_form_with_the_permission_chosen(client):
    sign_in(client, "issue_apikey")
    [address] = re.findall(r'href="(/admin/[^"]+)"', section(page_of(client), "usage:read"))

    form = client.get(address)

    assert "checked" in control_in(form, name="scopes", value="usage:read")


def test_site_without_admin_offers_no_link(client, settings):
    settings.ROOT_URLCONF = (path("apikeys/", include("apikeys.urls")),)
    sign_in(client, is_superuser=True)

    assert ISSUE not in page_of(client)


def test_clients_are_named_for_who_may_see_clients(client):
    ClientFactory(name="Web app", allowed_scopes=["todo:read"])
    ClientFactory(name="Old app", allowed_scopes=["todo:read"])
    Client.objects.filter(name="Old app").update(is_active=False)
    sign_in(client, "view_client")

    page = page_of(client)

    assert "<dd> Web app </dd>" in section(page, "todo:read")
    assert "No client at the moment." in section(page, "todo:write")


def test_clients_are_named_for_nobody_else(client, richard):
    ClientFactory(name="Web app", allowed_scopes=["todo:read"])

    page = page_of(client)

    assert "Web app" not in page
    assert "Clients that this site allows it." in section(page, "todo:read")


def test_site_with_hundreds_of_clients_names_none(client):
    Client.objects.bulk_create([Client(name=f"App {number}", allowed_scopes=["todo:read"]) for number in range(201)])
    sign_in(client, "view_client")

    assert "App 1" not in page_of(client)


def test_rights_that_a_scope_needs_are_named(client, richard, configured):
    configured(SCOPES={"users:edit": {"text": "Edit", "permissions": ["auth.change_user", "auth.view_user"]}})

    text = section(page_of(client), "users:edit")

    assert "It counts only for people with these rights: <code>auth.change_user</code>, <code>auth.view_user" in text


def test_reserved_scope_says_who_grants_it(client, richard):
    assert "Keys that a superuser issues. Never an access token." in section(page_of(client), "apikeys:usage")


def test_page_takes_the_same_queries_whatever_there_is(client, configured):
    sign_in(client, "view_client", "issue_apikey")
    with statements() as few:
        client.get(PAGE)
    ClientFactory.create_batch(5)
    configured(SCOPES={f"scope:{number}": "Text" for number in range(50)})

    with statements() as many:
        client.get(PAGE)

    assert len(few) == len(many) == 5


def test_tools_get_all_scopes_with_any_key():
    response = ApiKeyClient(make_key(scopes="usage:read")).get(JSON)

    scopes = {scope["name"]: scope for scope in response.json()["scopes"]}
    assert list(scopes) == list(scope_registry())
    assert scopes["usage:read"] == {
        "name": "usage:read",
        "resource": "usage",
        "label": "Read usage numbers",
        "text": "Read usage numbers",
        "sensitive": False,
        "reserved": False,
        "permissions": [],
        "endpoints": [
            opened("GET", "/api/either/", credentials=[["token"]]),
            opened("GET", "/api/notes/count/", beside=[["todo:read"]], person=True, credentials=[["key"], ["token"]]),
            opened("GET", "/api/numbers/"),
            opened("PUT", "/api/numbers/", beside=[["todo:write"]]),
        ],
    }


def opened(method, address, *, beside=((),), person=False, credentials=(("key",),)):
    return {
        "method": method,
        "path": address,
        "beside": [list(names) for names in beside],
        "needs_person": person,
        "credentials": [list(names) for names in credentials],
    }


def test_tools_of_who_is_signed_in_get_all_scopes(client, richard):
    assert client.get(JSON, secure=True).status_code == 200


def test_tools_without_a_credential_are_refused(client):
    response = client.get(JSON, secure=True)

    assert (response.status_code, response.json()["code"]) == (401, "key_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_public_json_refuses_a_bad_key_all_the_same(configured):
    configured(SCOPE_REFERENCE="public")

    assert ApiKeyClient("ak_live_nonsense").get(JSON).json()["code"] == "key_malformed"


def test_texts_follow_the_language_of_the_request(client, richard):
    assert '<html lang="de">' in client.get(PAGE, headers={"Accept-Language": "de"}).content.decode()
