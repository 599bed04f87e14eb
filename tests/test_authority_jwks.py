from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from apikeys.authority.models import SigningKey
from apikeys.signed.keys import KeySet, read_private
from tests.signing_keys import kids, pem, rotate, with_settings

pytestmark = pytest.mark.django_db

ADDRESS = "/authority/jwks.json"
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def get(**headers):
    return Client().get(ADDRESS, secure=True, headers=headers)


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("ES256", {"kty", "crv", "x", "y"}),
        ("EdDSA", {"kty", "crv", "x"}),
        ("RS256", {"kty", "n", "e"}),
    ],
    ids=["ES256", "EdDSA", "RS256"],
)
def test_only_public_members_are_told(algorithm, members):
    with with_settings(SIGNING_ALGORITHM=algorithm):
        rotate()

    [key] = get().json()["keys"]

    assert key.keys() == members | {"kid", "alg", "use"}
    assert not key.keys() & PRIVATE_MEMBERS


def test_a_private_jwk_of_the_settings_is_told_without_its_private_members():
    private = read_private(pem()).private_jwk()

    with with_settings(SIGNING_KEYS=[private]):
        response = get()

    assert not response.json()["keys"][0].keys() & PRIVATE_MEMBERS
    assert private["d"] not in response.text


def test_readers_of_key_sets_can_use_it():
    rotate()

    assert KeySet.from_jwks(get().json()).kids == set(kids())


def test_anybody_may_keep_it_as_long_as_the_setting_says():
    rotate()

    response = get()

    assert response.status_code == 200
    assert response["Content-Type"] == "application/jwk-set+json"
    assert response["Cache-Control"] == "public, max-age=300"
    assert response["Access-Control-Allow-Origin"] == "*"


def test_nobody_is_asked_who_they_are():
    rotate()

    response = get(authorization="Bearer nonsense", cookie=f"sessionid={'x' * 32}")

    assert response.status_code == 200
    assert not response.cookies
    assert "Cookie" not in response.get("Vary", "")
    assert "Authorization" not in response.get("Vary", "")


def test_a_site_that_is_closed_to_strangers_publishes_its_keys():
    rotate()
    with override_settings(
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
    ):
        assert get().status_code == 200


def test_who_has_it_already_is_told_so():
    rotate()
    tag = get()["ETag"]

    again = get(if_none_match=tag)
    rotate("--force")

    assert (again.status_code, again.content) == (304, b"")
    assert get(if_none_match=tag).status_code == 200


def test_head_is_get_without_the_body():
    rotate()

    response = Client().head(ADDRESS, secure=True)

    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"], ids=str.lower)
def test_other_methods_are_refused(method):
    response = Client().generic(method, ADDRESS, secure=True)

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


def test_without_keys_the_set_is_empty_and_kept_by_nobody():
    response = get()

    assert response.json() == {"keys": []}
    assert response["Cache-Control"] == "no-store"


def test_it_costs_one_query():
    rotate()

    with CaptureQueriesContext(connection) as captured:
        get()

    assert len([query for query in captured if query["sql"].startswith("SELECT")]) == 1


def test_keys_that_cannot_be_read_answer_503_and_do_not_say_why():
    with with_settings(SIGNING_KEYS=["-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"]):
        response = get()

    assert response.status_code == 503
    assert response.json() == {"error": "temporarily_unavailable"}
    assert response["Retry-After"] == "60"
    assert response["Cache-Control"] == "no-store"


def test_what_is_stored_as_private_is_not_told():
    rotate()

    assert SigningKey.objects.get().private not in get().text
