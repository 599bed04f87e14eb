"""Tokens that an authority issued and withdraws, over HTTP, as an API server sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.urls import include, path
from django.utils import timezone

from apikeys import clients, keys
from apikeys.drf import HasScopes
from apikeys.logging import complaints
from apikeys.testing import ApiKeyClient

from .drf_views import derived
from .exchanges import LEEWAY, exchange, make_holder, make_signing_key, token_text
from .introspection import make_server, revoke
from .oauth_views import bearer
from .signed_requests import Summaries

# The authority and its API server are one process here.
urlpatterns = [
    path("authority/", include("apikeys.authority.urls")),
    path("read", Summaries.as_view()),
    path("write", derived(Summaries, permission_classes=[HasScopes("todo:write")]).as_view()),
]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

#: Of tokens: as long as a test that goes on by hours.
LIFETIME = timedelta(hours=5)
#: After so long a request asks for the list by itself, and what the authority keeps of it is old.
LATER = timedelta(hours=2, seconds=3)


@pytest.fixture
def server(live_server, settings):
    """An API server of the authority at *live_server*."""
    make_signing_key()
    made = make_server()
    complaints.forget()
    given = {
        "AUTHORITY_URL": f"{live_server.url}/authority/",
        "AUTHORITY_KEY": made.key.plaintext,
        "AUDIENCE": made.resource,
        "REQUIRE_HTTPS": False,
        "REVOCATIONS_POLL_INTERVAL": timedelta(hours=1),
        "SIGNED_TOKEN_LIFETIME": LIFETIME,
    }
    with override_settings(DEBUG=True, APIKEYS={**settings.APIKEYS, **given}):
        yield made


def send(token: str, *, to: str = "/read") -> Any:
    client: Any = ApiKeyClient()
    return client.get(to, **bearer(token))


def outcome_of(token: str, *, to: str = "/read") -> tuple[int, str]:
    response = send(token, to=to)
    return response.status_code, response.json().get("code", "")


def test_exchanged_token_is_let_in_as_its_person(server):
    key = make_holder(server)

    response = send(token_text(exchange(key)))

    assert response.json() == {"user": f"user:{key.key.owner.pk}", "kind": "signed_token"}


def disable_owner(key: Any, token: str) -> None:
    key.key.owner.is_active = False
    key.key.owner.save()


WITHDRAWALS = {
    "key revoked": lambda key, token: keys.revoke(key.key, reason="unneeded"),
    "key rotated": lambda key, token: keys.rotate(key.key, overlap=timedelta(0)),
    "client switched off": lambda key, token: clients.disable(key.key.client),
    "person disabled": disable_owner,
    "token given up": revoke,
}


@pytest.mark.parametrize("withdraw", WITHDRAWALS.values(), ids=list(WITHDRAWALS))
def test_what_the_authority_withdraws_is_refused_with_the_next_list(server, withdraw):
    key = make_holder(server)
    token = token_text(exchange(key))
    other = token_text(exchange(make_holder(server)))
    before = outcome_of(token)

    withdraw(key, token)
    with time_machine.travel(LATER, tick=True):
        after = (outcome_of(token), outcome_of(other))

    assert before == (200, "")
    assert after == ((401, "token_invalid"), (200, ""))


def test_disabled_person_stays_refused_by_a_server_whose_clock_is_late(server):
    key = make_holder(server)
    first_at = timezone.now()
    with time_machine.travel(first_at, tick=False):
        exchange(key)
    # What is outstanding reaches no further than this one.
    issued_at = first_at + timedelta(minutes=1)
    with time_machine.travel(issued_at, tick=False):
        token = token_text(exchange(key))
    disable_owner(key, token)

    # On the authority's clock it is over with all leeway, and on the server's not quite.
    over_at = issued_at + LIFETIME + LEEWAY
    with time_machine.travel(over_at + timedelta(seconds=10), tick=False):
        later = outcome_of(token_text(exchange(make_holder(server))))
    with time_machine.travel(over_at - timedelta(seconds=10), tick=False):
        outcome = outcome_of(token)

    assert later == (200, "")
    assert outcome == (401, "token_invalid")


def test_scope_that_the_key_lost_is_lost_with_the_next_list(server):
    key = make_holder(server)
    token = token_text(exchange(key, scope="todo:read todo:write"))
    before = outcome_of(token, to="/write")

    keys.narrow(key.key, scopes=["todo:read"])
    with time_machine.travel(LATER, tick=True):
        after = (outcome_of(token, to="/write"), outcome_of(token))

    assert before == (200, "")
    assert after == ((403, "insufficient_scope"), (200, ""))


def test_network_that_the_client_is_bound_to_counts_with_the_next_list(server):
    key = make_holder(server)
    token = token_text(exchange(key))
    before = outcome_of(token)

    clients.edit(key.key.client, allowed_networks=["192.0.2.0/24"])
    with time_machine.travel(LATER, tick=True):
        after = outcome_of(token)

    assert before == (200, "")
    assert after == (403, "ip_not_allowed")
