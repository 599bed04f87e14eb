"""Limits and usage of tokens: counted by client and person, under no key."""

from __future__ import annotations

import pytest
from rest_framework.permissions import AllowAny

from apikeys import clients
from apikeys.drf import HasScopes, KeyRateThrottle
from apikeys.models import KeyNetwork, Level
from apikeys.oauth import LayeredAuthentication
from apikeys.oauth.testing import make_token
from apikeys.signals import request_counted
from apikeys.testing import make_key

from .drf_views import ask
from .factories import ClientFactory, UserFactory
from .limited import with_settings
from .oauth_views import KEY_FIRST, bearer, send, token_view
from .usage_counts import counted

pytestmark = pytest.mark.django_db

Limited = token_view(authentication_classes=KEY_FIRST, throttle_classes=[KeyRateThrottle])
Layered = token_view(authentication_classes=[LayeredAuthentication], throttle_classes=[KeyRateThrottle])


def statuses(*tokens):
    return [send(made, to=Limited).status_code for made in tokens]


@pytest.mark.parametrize("limit", [{"rates": ["2/h"]}, {"quotas": ["2/day"]}], ids=["rate", "quota"])
@pytest.mark.parametrize("who", [{}, {"user": None}], ids=["person", "client itself"])
def test_limit_of_the_client_stops_its_tokens(limit, who):
    made = make_token(client=ClientFactory(**limit), **who)

    responses = [send(made, to=Limited) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[-1].json()["code"] == "rate_limited"


def test_limit_of_the_project_counts_as_well(settings):
    with_settings(settings, RATES=["1/h"])
    made = make_token(client=ClientFactory(rates=["5/h"]))

    assert statuses(made, made) == [200, 429]


def test_tokens_of_one_person_and_client_share_one_budget():
    client, person = ClientFactory(rates=["3/h"]), UserFactory()
    first, second = (make_token(client=client, user=person) for _ in range(2))

    assert statuses(first, second, first, second) == [200, 200, 200, 429]


def test_people_have_a_budget_each():
    client = ClientFactory(rates=["1/h"])
    first, second = (make_token(client=client) for _ in range(2))

    assert statuses(first, second, first, second) == [200, 200, 429, 429]


def test_clients_have_a_budget_each():
    person = UserFactory()
    first, second = (make_token(client=ClientFactory(rates=["1/h"]), user=person) for _ in range(2))

    assert statuses(first, second, first) == [200, 200, 429]


def test_token_and_key_of_one_client_have_a_budget_each():
    client = ClientFactory(rates=["1/h"])
    made, issued = make_token(client=client), make_key(client=client)

    found = [send(made, to=Limited), ask(Limited, key=issued), send(made, to=Limited), ask(Limited, key=issued)]

    assert [response.status_code for response in found] == [200, 200, 429, 429]


def test_pair_spends_what_its_key_may_use():
    issued = make_key(owner=None, rates=["2/h"])
    made = [make_token(client=issued.key.client) for _ in range(2)]

    found = [ask(Layered, HTTP_X_API_KEY=issued.plaintext, **bearer(made[turn % 2])).status_code for turn in range(3)]

    assert [*found, ask(Limited, key=issued).status_code] == [200, 200, 429, 429]


@pytest.mark.parametrize("who", [{}, {"user": None}], ids=["person", "client itself"])
def test_request_of_a_token_is_counted_with_its_client_and_no_key(who):
    made = make_token(scopes="todo:read", **who)

    send(made)

    columns = ("client_id", "key_id", "family", "outcome", "scopes", "count")
    assert counted(*columns, level=Level.REQUEST) == [(made.client.client_id, "", "", "ok", "todo:read", 1)]
    assert not KeyNetwork.objects.exists()


def test_missing_scope_of_a_token_is_counted_as_that():
    made = make_token(scopes="todo:read")

    send(made, to=token_view(permission_classes=[HasScopes("todo:write")]))

    assert counted("outcome", "client_id", level=Level.REQUEST) == [("scope_missing", made.client.client_id)]


def test_limited_request_of_a_token_is_counted_as_that():
    made = make_token(client=ClientFactory(rates=["1/h"]))

    statuses(made, made)

    assert sorted(counted("outcome", "client_id", level=Level.REQUEST)) == [
        ("limited", made.client.client_id),
        ("ok", made.client.client_id),
    ]


def test_receivers_of_counted_requests_learn_the_client():
    told = []

    def receive(sender, **about):
        told.append((about["client_id"], about["key_id"], about["outcome"]))

    made = make_token()
    request_counted.connect(receive)
    try:
        send(made)
    finally:
        request_counted.disconnect(receive)

    assert told == [(made.client.client_id, "", "ok")]


def test_nobody_is_counted_where_no_token_was_sent():
    ask(token_view(permission_classes=[AllowAny]))

    assert counted("outcome") == []


def test_disabled_client_is_counted_as_the_one_that_was_refused():
    made = make_token()
    clients.disable(made.client)

    send(made)

    assert counted("outcome", "client_id", level=Level.REFUSAL) == [("client_disabled", made.client.client_id)]
