from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.test import modify_settings
from django.urls import include, path

from apikeys.authority.checks import check_one_issuer
from apikeys.oauth.defaults import OAUTH2_PROVIDER
from apikeys.signed.keys import read_private
from tests.signing_keys import INSTANT, SECRET, pem, with_settings
from tests.test_checks import found
from tests.test_oauth_checks import urlconf

# None of these tests may use the database: pytest-django makes a query fail.


def at(*patterns):
    """Return the URL configuration with the authority at each of *patterns*."""
    return urlconf(*(path(pattern, include("apikeys.authority.urls")) for pattern in patterns))


def deployed(identifier):
    messages = run_checks(tags=["apikeys"], include_deployment_checks=True)
    return [message for message in messages if message.id == f"apikeys.{identifier}"]


@pytest.mark.parametrize("identifier", ["E017", "E019", "E020", "W218", "W222", "W223"])
def test_right_settings_give_no_message(identifier):
    assert deployed(identifier) == []


def test_an_authority_without_a_name_is_an_error():
    with with_settings(ISSUER=""):
        [message] = found("E017")

    assert "is empty" in message.msg


@pytest.mark.parametrize(
    "name",
    ["https://testserver/\tauthority", "https://testserver/authority ", "https://täst/authority", "https://t/<a>"],
    ids=["a tab", "a space", "a letter that is not ASCII", "brackets"],
)
def test_a_name_that_no_address_can_be_is_an_error(name):
    with with_settings(ISSUER=name):
        assert [message.id for message in found("E017")] == ["apikeys.E017"]


def test_a_name_that_is_no_address_at_all_is_told_once():
    with with_settings(ISSUER="authority"):
        assert found("E017") == []
        assert len(found("E001")) == 1


@pytest.mark.parametrize(
    ("issuer", "pattern", "count"),
    [
        ("https://testserver/authority", "authority/", 0),
        ("https://testserver/authority/", "authority/", 0),
        ("https://testserver", "", 0),
        ("https://testserver/sub/authority", "authority/", 0),
        ("https://testserver/sub", "", 0),
        ("https://testserver", "authority/", 1),
        ("https://testserver/authority", "auth/", 1),
        ("https://testserver/authority", "sub/authority/", 1),
        ("https://testserver/my-authority", "authority/", 1),
    ],
)
def test_a_name_that_the_urls_are_not_under_is_an_error(issuer, pattern, count, settings):
    settings.ROOT_URLCONF = at(pattern)

    with with_settings(ISSUER=issuer):
        assert len(found("E017")) == count


def test_an_authority_without_urls_is_a_warning(settings):
    settings.ROOT_URLCONF = at()

    [message] = found("W222")

    assert 'include("apikeys.authority.urls")' in message.hint


@pytest.mark.parametrize(
    ("early", "count"), [(INSTANT, 1), (timedelta(0), 0)], ids=["shorter than copies are kept", "as long"]
)
def test_keys_must_be_published_for_as_long_as_copies_are_kept(early, count):
    with with_settings(SIGNING_KEY_PUBLISHED_AHEAD=timedelta(minutes=5) - early, JWKS_MAX_AGE=timedelta(minutes=5)):
        assert len(found("E019")) == count


def test_keys_of_the_settings_are_published_by_hand():
    with with_settings(SIGNING_KEYS=[pem()], SIGNING_KEY_PUBLISHED_AHEAD=timedelta(0)):
        assert found("E019") == []


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"SIGNING_KEYS": [], "SIGNING_KEY_SECRETS": []}, 1),
        ({"SIGNING_KEYS": [], "SIGNING_KEY_SECRETS": [SECRET]}, 0),
        ({"SIGNING_KEYS": [pem()], "SIGNING_KEY_SECRETS": []}, 0),
    ],
    ids=["nothing", "secrets", "keys"],
)
def test_an_authority_that_can_sign_nothing_is_warned_of_at_deployment(given, count):
    with with_settings(**given):
        assert len(deployed("W218")) == count
        assert found("W218") == []


@pytest.mark.parametrize(
    "broken",
    ["-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", json.dumps({"kty": "oct", "k": "c2VjcmV0"}), "c2VjcmV0"],
    ids=["PEM", "a secret", "no key"],
)
def test_a_key_that_cannot_be_used_is_told_by_its_place_alone(broken):
    with with_settings(SIGNING_KEYS=[pem(), broken]):
        [message] = found("E020")

    assert "number 2" in message.msg
    assert "c2VjcmV0" not in message.msg


def test_two_keys_of_one_name_are_an_error():
    one, other = (read_private(pem()).private_jwk() | {"kid": "same"} for _ in range(2))

    with with_settings(SIGNING_KEYS=[one, other]):
        assert len(found("E020")) == 1


@pytest.mark.parametrize(
    "secrets",
    [["short"], [SECRET[:-1]], [SECRET + "A"], ["ä" + SECRET[1:]], ["+" + SECRET[1:]], [b"x"], SECRET, [SECRET, ""]],
    ids=["short", "unpadded", "longer", "not ASCII", "another alphabet", "bytes", "no list", "an empty one"],
)
def test_a_secret_that_is_no_fernet_key_is_an_error_that_does_not_show_it(secrets):
    with with_settings(SIGNING_KEY_SECRETS=secrets):
        [message] = found("E001")

    assert "must be a list of Fernet keys" in message.msg
    assert SECRET[1:-1] not in message.msg


@pytest.mark.parametrize(
    ("issuer", "count"),
    [("", 1), ("https://testserver/o", 1), ("https://testserver/authority", 0)],
    ids=["none", "another", "the same"],
)
def test_oauth_must_name_the_same_issuer(issuer, count, settings):
    settings.OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, "OIDC_ISS_ENDPOINT": issuer}

    assert len(found("W223")) == count


@modify_settings(INSTALLED_APPS={"remove": ["apikeys.oauth", "oauth2_provider"]})
def test_without_oauth_there_is_nobody_to_disagree():
    assert check_one_issuer(None) == []
