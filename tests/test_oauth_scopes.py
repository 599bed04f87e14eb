from __future__ import annotations

import pytest
from django.test import Client as Browser
from django.urls import include, path

from apikeys import clients
from apikeys.oauth import applications, consents, urls
from apikeys.oauth.scopes import RegistryScopes
from tests import oauth
from tests.oauth_pages import parameters_in

pytestmark = pytest.mark.django_db


def scope_of(response):
    assert response.status_code == 200, response.text
    return response.json()["scope"]


def ask_page(app, person, *, scope):
    """Return what the app is told, where *person* allows all that the page says."""
    url = oauth.authorization_url(app, "v" * 48, scope=scope)
    return parameters_in(oauth.press(oauth.browser_of(person), url, {"allow": "yes"}))


def test_scopes_and_sentences_are_those_of_the_registry():
    scopes = RegistryScopes().get_all_scopes()

    assert scopes["todo:read"] == "View your to-dos: titles, notes, due dates and status."
    assert not [name for name in scopes if name.startswith("apikeys:")]


def test_metadata_names_what_may_be_asked_for_and_how():
    response = oauth.browser_of(oauth.make_person()).get("/o/.well-known/oauth-authorization-server", secure=True)

    metadata = response.json()
    assert metadata["scopes_supported"] == ["todo:read", "todo:write", "usage:read"]
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert not {"password", "implicit"} & set(metadata["grant_types_supported"])
    assert not {"introspection_endpoint", "registration_endpoint"} & set(metadata)
    assert metadata["token_endpoint"] == "https://testserver/o/token/"
    assert metadata["device_authorization_endpoint"] == f"https://testserver{oauth.DEVICE_AUTHORIZATION}"
    for endpoint in ("token", "revocation"):
        methods = metadata[f"{endpoint}_endpoint_auth_methods_supported"]
        assert sorted(methods) == ["client_secret_basic", "client_secret_post", "none"]
    assert response["Access-Control-Allow-Origin"] == "*"


ANYWHERE, NAMED = {"OIDC_ISS_ENDPOINT": ""}, {"OIDC_ISS_ENDPOINT": "https://id.example/tenant/o"}


@pytest.mark.parametrize(
    ("changes", "address", "issuer"),
    [
        (ANYWHERE, "/o/.well-known/oauth-authorization-server", "https://testserver/o"),
        (ANYWHERE, "/.well-known/oauth-authorization-server", "https://testserver"),
        (ANYWHERE, "/.well-known/oauth-authorization-server/o", "https://testserver/o"),
        (ANYWHERE, "/.well-known/oauth-authorization-server/evil", None),
        (ANYWHERE, "/.well-known/oauth-authorization-server/o/evil", None),
        (ANYWHERE, "/o/.well-known/oauth-authorization-server/evil", None),
        (ANYWHERE, "/o/.well-known/oauth-authorization-server/o", None),
        (NAMED, "/.well-known/oauth-authorization-server/tenant/o", "https://id.example/tenant/o"),
        (NAMED, "/.well-known/oauth-authorization-server", "https://id.example/tenant/o"),
        (NAMED, "/.well-known/oauth-authorization-server/o", None),
    ],
)
def test_metadata_are_those_of_no_other_issuer(settings, changes, address, issuer):
    settings.OAUTH2_PROVIDER = {**settings.OAUTH2_PROVIDER, **changes}
    settings.ROOT_URLCONF = (*urls.metadata_urlpatterns, path("o/", include("apikeys.oauth.urls")))

    response = Browser().get(address, secure=True)

    assert response.status_code == (404 if issuer is None else 200)
    assert issuer is None or response.json()["issuer"] == issuer


def test_an_app_may_ask_for_what_its_client_may_hold_and_for_nothing_else():
    app = oauth.make_app("client-credentials", scopes=["todo:read", "usage:read"])

    assert scope_of(oauth.client_credentials(app, scope="usage:read todo:read")) == "usage:read todo:read"
    assert oauth.error_of(oauth.client_credentials(app, scope="todo:read todo:write")) == (400, "invalid_scope")


@pytest.mark.parametrize("sign_in", ["client-credentials", oauth.DEVICE_CODE])
def test_without_scope_an_app_that_declares_no_minimum_is_refused(sign_in):
    app = oauth.make_app(sign_in)

    ask = oauth.start_device if sign_in == oauth.DEVICE_CODE else oauth.client_credentials
    response = ask(app, scope=None)

    assert oauth.error_of(response) == (400, "invalid_scope")
    assert oauth.issued() == (0, 0, 0)


def test_without_scope_an_app_on_the_web_that_declares_no_minimum_is_refused():
    told = ask_page(oauth.make_app(), oauth.make_person(), scope=None)

    assert told["error"] == "invalid_scope"
    assert oauth.issued() == (0, 0, 0)


def test_without_scope_an_app_gets_its_minimum_and_not_its_ceiling():
    app = oauth.make_app("client-credentials", minimum_scopes=["todo:read"])

    assert scope_of(oauth.client_credentials(app)) == "todo:read"


def test_without_scope_a_person_is_asked_for_the_minimum():
    app, person = oauth.make_app(minimum_scopes=["todo:read"]), oauth.make_person()

    token = oauth.get_token(app, person, scope=None)

    assert token["scope"] == "todo:read"
    assert consents.live(person, app.client).scopes == ["todo:read"]


def test_without_scope_a_device_gets_the_minimum():
    app, person = oauth.make_app(oauth.DEVICE_CODE, minimum_scopes=["todo:read"]), oauth.make_person()
    started = oauth.start_device(app, scope=None).json()

    oauth.approve_device(app, person, started)

    assert scope_of(oauth.poll_device(app, started["device_code"])) == "todo:read"


def test_a_minimum_that_is_above_the_ceiling_by_now_is_no_minimum():
    app = oauth.make_app("client-credentials", minimum_scopes=["todo:read"])

    clients.set_ceiling(app.client, scopes=["todo:write"])

    assert oauth.error_of(oauth.client_credentials(app)) == (400, "invalid_scope")


@pytest.mark.parametrize("sign_in", ["client-credentials", oauth.DEVICE_CODE])
@pytest.mark.parametrize(
    "scope",
    ["todo:rea", "todo:read todo:delete", "apikeys:usage", "todo:read  todo:write", "TODO:READ", '"', "todo:*"],
    ids=["misspelt", "one unknown", "reserved", "two spaces", "other case", "quote", "wildcard"],
)
def test_what_is_not_declared_gives_nothing(sign_in, scope):
    app = oauth.make_app(sign_in, scopes=["todo:read", "todo:write"])

    ask = oauth.start_device if sign_in == oauth.DEVICE_CODE else oauth.client_credentials
    response = ask(app, scope=scope)

    assert oauth.error_of(response) == (400, "invalid_scope")
    assert oauth.issued() == (0, 0, 0)
    assert oauth.refusals() == [(app.client.name, "invalid_scope")]


def test_reserved_scopes_are_for_no_app_whatever_its_ceiling():
    app = oauth.make_app("client-credentials")
    clients.set_ceiling(app.client, scopes=["todo:read", "apikeys:usage"])

    assert oauth.error_of(oauth.client_credentials(app, scope="apikeys:usage")) == (400, "invalid_scope")


def test_a_scope_asked_for_twice_counts_once():
    app = oauth.make_app("client-credentials")

    assert scope_of(oauth.client_credentials(app, scope="todo:read todo:read")) == "todo:read"


def test_a_refresh_never_gets_more_than_there_was():
    app, person = oauth.make_app(), oauth.make_person()
    token = oauth.get_token(app, person, scope="todo:read")
    # Allowed since, for another token.
    consents.give(person, app.client, scopes=["todo:write"])

    response = oauth.refresh(app, token["refresh_token"], scope="todo:read todo:write")

    assert oauth.error_of(response) == (400, "invalid_scope")
    assert oauth.refusals() == [(app.client.name, "invalid_scope")]
    assert scope_of(oauth.refresh(app, token["refresh_token"])) == "todo:read"


def test_a_scope_beside_a_code_adds_nothing_to_what_the_person_allowed():
    app, person = oauth.make_app(), oauth.make_person()
    # Allowed before, for another token.
    consents.give(person, app.client, scopes=["todo:write"])
    code = oauth.get_code(app, person, scope="todo:read")

    assert scope_of(oauth.exchange(app, code, scope="todo:read todo:write")) == "todo:read"


def test_a_refresh_may_ask_for_less_and_has_less_from_then_on():
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person(), scope="todo:read todo:write")

    less = oauth.refresh(app, token["refresh_token"], scope="todo:read").json()

    assert less["scope"] == "todo:read"
    assert oauth.error_of(oauth.refresh(app, less["refresh_token"], scope="todo:write")) == (400, "invalid_scope")


def test_a_refresh_after_the_ceiling_was_lowered_gives_what_is_left():
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person(), scope="todo:read todo:write")

    clients.set_ceiling(app.client, scopes=["todo:read"])

    assert scope_of(oauth.refresh(app, token["refresh_token"])) == "todo:read"


def test_a_refresh_after_the_ceiling_was_raised_gives_no_more():
    app = oauth.make_app(scopes=["todo:read"])
    token = oauth.get_token(app, oauth.make_person(), scope="todo:read")

    clients.set_ceiling(app.client, scopes=["todo:read", "todo:write"])

    assert scope_of(oauth.refresh(app, token["refresh_token"])) == "todo:read"


def test_a_code_gives_what_is_left_of_it():
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person(), scope="todo:read todo:write")

    clients.set_ceiling(app.client, scopes=["todo:read"])

    assert scope_of(oauth.exchange(app, code)) == "todo:read"


def test_a_refresh_after_a_new_and_smaller_consent_gives_what_that_says():
    app, person = oauth.make_app(), oauth.make_person()
    token = oauth.get_token(app, person, scope="todo:read todo:write")
    consent = consents.live(person, app.client)
    consent.scopes = ["todo:read"]
    consent.save()

    assert scope_of(oauth.refresh(app, token["refresh_token"])) == "todo:read"


def test_authorizing_again_with_less_takes_nothing_and_adds_nothing():
    app, person = oauth.make_app(), oauth.make_person()
    oauth.get_token(app, person, scope="todo:read todo:write")

    again = oauth.get_token(app, person, scope="todo:read")

    assert again["scope"] == "todo:read"
    assert scope_of(oauth.refresh(app, again["refresh_token"])) == "todo:read"


def test_a_changed_sign_in_ends_what_the_old_one_gave():
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())

    applications.edit(app.link, sign_in=oauth.DEVICE_CODE, redirect_uris=())

    assert oauth.error_of(oauth.refresh(app, token["refresh_token"])) == (400, "invalid_grant")
