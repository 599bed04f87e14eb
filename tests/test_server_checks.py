from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings
from django.urls import path

from apikeys.drf import APIKeyAuthentication
from apikeys.resource_server import IntrospectionAuthentication, SignedTokenAuthentication

from .drf_views import derived
from .signed_requests import AUDIENCE, ISSUER, Summaries

# None of these tests may use the database: pytest-django makes a query fail.

COMPLETE = {"ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "AUTHORITY_KEY": "the-key-of-this-server"}


class OwnSigned(SignedTokenAuthentication):
    """A project's own."""


def ids(*ways: Any, **given: Any) -> list[str]:
    """Return the ids of what is found in a project whose one view authenticates by *ways*."""
    return [message.id.removeprefix("apikeys.") for message in messages(*ways, **given)]


def messages(*ways: Any, **given: Any) -> list[Any]:
    view = derived(Summaries, authentication_classes=list(ways))
    apikeys = {**settings.APIKEYS, **COMPLETE, **given}
    with override_settings(ROOT_URLCONF=(path("", view.as_view()),), APIKEYS=apikeys):
        found = run_checks(tags=["apikeys"])
    return [message for message in found if message.id in {f"apikeys.{name}" for name in ("E018", "W219", "W220")}]


@pytest.mark.parametrize("way", [SignedTokenAuthentication, IntrospectionAuthentication])
def test_server_that_knows_itself_and_its_authority_is_fine(way):
    assert ids(way) == []


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (SignedTokenAuthentication, "ISSUER"),
        (SignedTokenAuthentication, "AUDIENCE"),
        (OwnSigned, "AUDIENCE"),
        (IntrospectionAuthentication, "ISSUER"),
        (IntrospectionAuthentication, "AUDIENCE"),
        (IntrospectionAuthentication, "AUTHORITY_KEY"),
    ],
)
def test_server_that_lacks_what_it_verifies_by_is_an_error(way, name):
    [message] = messages(way, **{name: ""})

    assert message.id == "apikeys.E018"
    assert f"APIKEYS[{name!r}] is empty" in message.msg


def test_what_two_classes_lack_is_told_once():
    assert ids(SignedTokenAuthentication, IntrospectionAuthentication, AUDIENCE="") == ["E018"]


def test_site_that_verifies_nothing_by_another_needs_none_of_it():
    assert ids(APIKeyAuthentication, ISSUER="", AUDIENCE="", AUTHORITY_KEY="") == []


@pytest.mark.parametrize(
    ("name", "value"), [("AUTHORITY_KEY", ""), ("REVOCATIONS_POLL_INTERVAL", None)], ids=["no key", "no interval"]
)
def test_signed_tokens_without_a_list_are_warned_of(name, value):
    [message] = messages(SignedTokenAuthentication, **{name: value})

    assert message.id == "apikeys.W219"
    assert name in message.msg


@pytest.mark.parametrize(
    ("name", "value"), [("AUTHORITY_KEY", ""), ("REVOCATIONS_POLL_INTERVAL", None)], ids=["no key", "no interval"]
)
def test_bound_without_a_list_is_an_error(name, value):
    [message] = messages(SignedTokenAuthentication, **{name: value, "REVOCATIONS_MAX_AGE": timedelta(minutes=1)})

    assert message.id == "apikeys.E018"
    assert "every signed token is refused" in message.msg


@pytest.mark.parametrize(
    ("most", "found"),
    [
        pytest.param(timedelta(milliseconds=4999), ["W220"], id="shorter"),
        pytest.param(timedelta(seconds=5), [], id="as long"),
    ],
)
def test_list_that_ages_faster_than_it_is_fetched_is_warned_of(most, found):
    assert ids(SignedTokenAuthentication, REVOCATIONS_MAX_AGE=most) == found


def test_lists_are_nothing_to_a_server_that_asks_about_each_token():
    assert ids(IntrospectionAuthentication, REVOCATIONS_POLL_INTERVAL=None) == []


def test_value_that_is_none_is_told_of_as_such():
    with override_settings(APIKEYS={**settings.APIKEYS, "REVOCATIONS_POLL_INTERVAL": 5}):
        found = [message.id for message in run_checks(tags=["apikeys"])]

    assert found.count("apikeys.E001") == 1
    assert ids(SignedTokenAuthentication, REVOCATIONS_POLL_INTERVAL=5, AUDIENCE="") == []


def test_key_of_the_server_is_in_no_message():
    found = messages(SignedTokenAuthentication, IntrospectionAuthentication, ISSUER="", REVOCATIONS_POLL_INTERVAL=None)

    assert len(found) == 2
    assert not [message for message in found if "the-key-of-this-server" in f"{message.msg} {message.hint}"]
