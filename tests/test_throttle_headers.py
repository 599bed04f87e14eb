from __future__ import annotations

import re

import pytest
import time_machine
from django.http import JsonResponse
from django.test import RequestFactory
from rest_framework.exceptions import NotFound

import apikeys
from apikeys import limits
from apikeys.core import errors
from apikeys.drf import refusal_response
from apikeys.testing import make_key

from .drf_views import ask
from .limited import Limited, caller, limited, refusal_of, with_settings
from .request_path import request_with

pytestmark = pytest.mark.django_db

#: A List of Strings with Integer parameters, in the one way that RFC 9651 serialises it.
_MEMBER = r'"[ !#-\[\]-~]*"(?:;[a-z*][a-z0-9_.*-]*=-?[0-9]{1,15})*'
LEGACY = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
DRAFT = ["RateLimit-Policy", "RateLimit"]


def parsed(text):
    """Return the members of a structured field, with their parameters."""
    assert re.fullmatch(rf"{_MEMBER}(?:, {_MEMBER})*", text)
    members = {}
    for member in text.split(", "):
        name, *parameters = member.split(";")
        members[name.strip('"')] = {key: int(value) for key, value in (item.split("=") for item in parameters)}
    return members


@pytest.fixture(autouse=True)
def _midnight():
    # The first second of a minute, of an hour and of a day, which local memory counts from.
    with time_machine.travel("2026-11-20T00:00:01Z", tick=False):
        yield


def test_an_answer_tells_every_policy_and_what_is_left_of_it(settings):
    with_settings(settings, RATES=["20/s", "600/min"], LIMIT_SCOPES={"search": ["30/min"]})

    response = ask(limited(limit_scope="search"), key=make_key())

    assert response.status_code == 200
    assert parsed(response["RateLimit-Policy"]) == {
        "second": {"q": 20, "w": 1},
        "minute": {"q": 600, "w": 60},
        "search-minute": {"q": 30, "w": 60},
    }
    left = parsed(response["RateLimit"])
    assert {name: member["r"] for name, member in left.items()} == {"second": 19, "minute": 599, "search-minute": 29}
    assert all(0 <= member["t"] <= 60 for member in left.values())


def test_a_quota_has_no_window_that_is_always_as_long(settings):
    with_settings(settings, QUOTAS=["100/month"])

    response = ask(Limited, key=make_key())

    assert parsed(response["RateLimit-Policy"]) == {"quota-month": {"q": 100}}
    assert parsed(response["RateLimit"])["quota-month"]["r"] == 99


def test_a_refusal_names_a_time_that_is_not_before_that_of_the_policy(settings):
    with_settings(settings, RATES=["5/min", "1/10s"])
    key = make_key()
    ask(Limited, key=key)

    response = ask(Limited, key=key)

    left = parsed(response["RateLimit"])
    assert response.status_code == 429
    assert response.json()["violated_policies"] == ["10-second"]
    assert left["10-second"]["r"] == 0
    assert left["minute"]["r"] == 4
    assert int(response["Retry-After"]) == left["10-second"]["t"]


def not_found(self, request):
    raise NotFound


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        pytest.param("draft", DRAFT, LEGACY, id="draft"),
        pytest.param("legacy", LEGACY, DRAFT, id="legacy"),
        pytest.param("both", [*LEGACY, *DRAFT], [], id="both"),
        pytest.param("off", [], [*LEGACY, *DRAFT], id="off"),
    ],
)
def test_the_project_chooses_the_fields(settings, kind, there, absent):
    with_settings(settings, RATES=["2/min"], RATE_LIMIT_HEADERS=kind)
    key = make_key()

    responses = [ask(callback, key=key) for callback in (Limited, limited(get=not_found), Limited)]

    assert [response.status_code for response in responses] == [200, 404, 429]
    for response in responses:
        assert [name for name in there if name not in response] == []
        assert [name for name in absent if name in response] == []
    assert "Retry-After" in responses[-1]


def test_the_old_fields_tell_of_the_limit_with_the_least_left(settings):
    with_settings(settings, RATES=["10/s", "12/min"], RATE_LIMIT_HEADERS="legacy")
    key = make_key()

    responses = [ask(Limited, key=key) for _ in range(3)]

    found = [tuple(response[name] for name in LEGACY[:2]) for response in responses]
    assert found == [("10", "9"), ("10", "8"), ("10", "7")]


def test_a_caller_without_limits_is_told_nothing():
    response = ask(Limited, key=make_key())

    assert [name for name in [*DRAFT, *LEGACY] if name in response] == []


def plain_view(request):
    """A view that is not REST framework's."""
    try:
        standings = limits.spend(apikeys.verify(request) or caller(), cost=2)
    except errors.CredentialError as error:
        return refusal_response(error, request=request)
    return JsonResponse({}, headers=limits.header_fields(standings))


def test_a_view_that_is_not_rest_frameworks_counts_too(settings):
    with_settings(settings, RATES=["4/min"])
    key = make_key()

    responses = [plain_view(request_with(key)) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert parsed(responses[0]["RateLimit"])["minute"]["r"] == 2
    assert parsed(responses[2]["RateLimit"])["minute"]["t"] == int(responses[2]["Retry-After"])


def test_an_error_names_the_key_for_the_log_but_not_for_the_caller(settings):
    who = caller("1/min")
    limits.spend(who)

    error = refusal_of(who)

    assert (error.key_id, error.family) == (who.key_id, who.family)
    assert who.key_id not in refusal_response(error, request=RequestFactory().get("/")).text
