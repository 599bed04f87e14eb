from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client, modify_settings, override_settings
from django.test.utils import CaptureQueriesContext

from apikeys.authority.urls import metadata_urlpatterns
from apikeys.oauth.defaults import OAUTH2_PROVIDER
from tests.signing_keys import with_settings

pytestmark = pytest.mark.django_db  # only for the transaction of ATOMIC_REQUESTS

WELL_KNOWN = "/.well-known/oauth-authorization-server"
ISSUER = "https://testserver/authority"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ENDPOINTS = {
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks.json",
    "introspection_endpoint": f"{ISSUER}/introspect",
    "revocation_endpoint": f"{ISSUER}/revoke",
}

alone = modify_settings(INSTALLED_APPS={"remove": ["apikeys.oauth", "oauth2_provider"]})


def get(path=f"{WELL_KNOWN}/authority", **headers):
    return Client().get(path, secure=True, headers=headers)


@alone
def test_without_oauth_it_says_what_the_authority_offers():
    assert get().json() == {
        "issuer": ISSUER,
        **ENDPOINTS,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", EXCHANGE],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["Bearer"],
        "revocation_endpoint_auth_methods_supported": ["Bearer"],
        "scopes_supported": ["todo:read", "todo:write", "usage:read"],
    }


def test_with_oauth_one_document_has_both():
    document = get().json()

    assert document["issuer"] == ISSUER
    assert ENDPOINTS.items() <= document.items()
    assert document["authorization_endpoint"] == "https://testserver/o/authorize/"
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["grant_types_supported"] == [*OAUTH2_PROVIDER["OAUTH2_GRANT_TYPES_SUPPORTED"], EXCHANGE]
    assert set(document["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic",
        "client_secret_post",
        "none",
    }


def test_scopes_of_the_authority_itself_are_not_offered():
    assert not [name for name in get().json()["scopes_supported"] if name.startswith("apikeys:")]


@pytest.mark.parametrize("apps", [None, alone], ids=["with OAuth", "alone"])
@pytest.mark.parametrize("toolkit_issuer", ["", "https://elsewhere.example/o"], ids=["unnamed", "named"])
def test_no_address_comes_from_the_request_or_from_another_setting(apps, toolkit_issuer, settings):
    settings.ALLOWED_HOSTS = ["*"]
    settings.OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, "OIDC_ISS_ENDPOINT": toolkit_issuer}

    with apps or override_settings():
        document = get(host="evil.example").json()

    addresses = [value for value in document.values() if isinstance(value, str) and ":" in value]
    assert len(addresses) >= 5
    assert all(address.startswith("https://testserver/") for address in addresses)


@pytest.mark.parametrize(
    "path",
    [
        WELL_KNOWN,
        f"{WELL_KNOWN}/",
        f"{WELL_KNOWN}/other",
        f"{WELL_KNOWN}/authority/",
        f"{WELL_KNOWN}/authority/x",
        f"{WELL_KNOWN}/Authority",
        f"{WELL_KNOWN}//authority",
    ],
)
def test_another_issuer_is_not_here(path):
    assert get(path).status_code == 404


@pytest.mark.parametrize(
    ("issuer", "path"),
    [
        ("https://testserver", WELL_KNOWN),
        ("https://testserver/", WELL_KNOWN),
        ("https://testserver/authority/", f"{WELL_KNOWN}/authority"),
        ("https://testserver/a/b", f"{WELL_KNOWN}/a/b"),
        ("https://testserver/a%20b", f"{WELL_KNOWN}/a%20b"),
    ],
    ids=["no path", "a slash", "a slash at the end", "two segments", "an encoded letter"],
)
def test_it_stands_where_the_path_of_the_issuer_says(issuer, path):
    with with_settings(ISSUER=issuer):
        response = get(path)

    assert response.status_code == 200
    assert response.json()["issuer"] == issuer


def test_anybody_may_keep_and_read_it():
    response = get()

    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "public, max-age=300"
    assert response["Access-Control-Allow-Origin"] == "*"
    assert not response.cookies


def test_it_reads_nothing_from_the_database():
    with CaptureQueriesContext(connection) as captured:
        get()

    assert not [query for query in captured if query["sql"].startswith("SELECT")]


def test_a_site_that_is_closed_to_strangers_shows_it():
    with override_settings(
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
    ):
        assert get().status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"], ids=str.lower)
def test_other_methods_are_refused(method):
    response = Client().generic(method, f"{WELL_KNOWN}/authority", secure=True)

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


def test_without_an_issuer_it_is_told_in_nobodys_name():
    with with_settings(ISSUER=""), pytest.raises(ImproperlyConfigured, match="ISSUER"):
        get()


def test_the_metadata_of_the_api_itself_stays_at_the_root():
    document = get("/.well-known/oauth-protected-resource").json()

    assert document["authorization_servers"] == [ISSUER]
    assert {pattern.name for pattern in metadata_urlpatterns} >= {"authority-metadata", "oauth-resource-metadata"}


def test_the_urls_need_no_oauth():
    program = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "apikeys", "apikeys.authority"],
    ROOT_URLCONF="apikeys.authority.urls",
    SECRET_KEY="x",
)
django.setup()
from apikeys.authority.urls import metadata_urlpatterns
assert len(metadata_urlpatterns) == 2
import sys
assert "oauth2_provider" not in sys.modules
"""

    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603  # our own program
