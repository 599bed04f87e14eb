"""What API servers are told of keys."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from apikeys import clients, keys
from apikeys.testing import make_key

from .factories import UserFactory
from .introspection import ENFORCED, ISSUER, introspect, is_active, make_app, make_server, set_apikeys, told

pytestmark = pytest.mark.django_db

CLAIMS = {
    "subscription": {"type": "text", "choices": ["free", "premium"], "visible_to": "servers"},
    "seats": {"type": "integer", "visible_to": ["https://billing.example"]},
    "margin": "number",
}


@pytest.fixture
def server():
    return make_server()


@pytest.fixture
def app(server):
    return make_app(server)


def test_server_is_told_who_a_key_is_and_what_it_may_do(server, app):
    person = UserFactory(username="ada")
    with time_machine.travel("2026-11-20T12:00:00.900Z", tick=False):
        issued = make_key(client=app, owner=person, scopes=["todo:read", "todo:write"], lifetime=timedelta(days=30))
        response = introspect(server, issued)

    assert response.status_code == 200
    assert response.json() == {
        "active": True,
        "scope": "todo:read todo:write",
        "client_id": app.client_id,
        "client_name": app.name,
        "username": "ada",
        "sub": f"user:{person.pk}",
        "aud": server.resource,
        "iss": ISSUER,
        "iat": 1795176000,
        "exp": 1795176000 + 30 * 24 * 60 * 60,
        "token_type": "Bearer",
        "jti": issued.key.key_id,
        "kind": "api_key",
        "key_id": issued.key.key_id,
        "family": issued.key.key_id,
    }


def test_service_key_is_its_clients_own_and_has_no_user_name(server, app):
    answer = told(server, make_key(client=app, owner=None))

    assert answer["sub"] == f"client:{app.client_id}"
    assert "username" not in answer


def test_key_without_an_end_has_no_exp(server, app, settings):
    set_apikeys(settings, ALLOW_NO_EXPIRY=True)

    assert "exp" not in told(server, make_key(client=app, lifetime=None))


def test_answer_is_kept_by_nobody(server, app):
    response = introspect(server, make_key(client=app))

    assert response["Cache-Control"] == "no-store"
    assert response["Pragma"] == "no-cache"
    assert response["Content-Type"] == "application/json"


def test_rotated_key_ends_with_its_overlap_and_names_its_family(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        old = make_key(client=app)
        new = keys.rotate(old.key, overlap=timedelta(hours=1))
        answers = told(server, old), told(server, new)
        clock.shift(timedelta(minutes=59, seconds=59))
        before = is_active(server, old)
        clock.shift(timedelta(seconds=1))
        after = is_active(server, old)

    assert answers[0]["exp"] == 1795176000 + 3600
    assert answers[0]["family"] == answers[1]["family"] == old.key.key_id
    assert answers[1]["key_id"] == new.key.key_id
    assert (before, after) == (True, False)


def test_key_is_active_until_its_last_second_and_not_at_its_end(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        issued = make_key(client=app, lifetime=timedelta(days=1))
        clock.shift(timedelta(days=1) - timedelta(seconds=1))
        before = is_active(server, issued)
        clock.shift(timedelta(seconds=1))
        after = is_active(server, issued)

    assert (before, after) == (True, False)


def test_scopes_are_those_under_the_ceiling_of_now(server, app):
    issued = make_key(client=app, scopes=["todo:read", "todo:write"])
    clients.set_ceiling(app, scopes=["todo:write", "usage:read"])

    assert told(server, issued)["scope"] == "todo:write"


def test_narrowed_scope_is_gone_from_the_next_answer(server, app):
    issued = make_key(client=app, scopes=["todo:read", "todo:write"])
    told(server, issued)

    keys.narrow(issued.key, scopes=["todo:read"])

    assert told(server, issued)["scope"] == "todo:read"


def test_scope_that_is_declared_no_longer_is_not_told(server, app, settings):
    issued = make_key(client=app, scopes=["todo:read", "todo:write"])
    kept = {name: scope for name, scope in settings.APIKEYS["SCOPES"].items() if name != "todo:write"}
    set_apikeys(settings, SCOPES=kept)

    assert told(server, issued)["scope"] == "todo:read"


@pytest.mark.parametrize(("may", "scope"), [(True, "staff:report todo:read"), (False, "todo:read")])
def test_scope_that_asks_for_rights_counts_for_who_has_them(settings, may, scope):
    reports = {"text": "Read reports", "permissions": ["apikeys.view_client"]}
    set_apikeys(settings, SCOPES={**settings.APIKEYS["SCOPES"], "staff:report": reports})
    server = make_server()
    app = make_app(server, allowed_scopes=["todo:read", "staff:report"])

    answer = told(server, make_key(client=app, owner=UserFactory(is_superuser=may)))

    assert answer["scope"] == scope


def test_scopes_of_the_authoritys_own_endpoints_are_told_to_no_server(server):
    app = make_app(server, allowed_scopes=["todo:read", "apikeys:introspect", "apikeys:usage"])

    answer = told(server, make_key(client=app, scopes=["todo:read", "apikeys:introspect", "apikeys:usage"]))

    assert answer["scope"] == "todo:read"


def test_key_with_no_scope_that_counts_elsewhere_is_active_with_none(server):
    app = make_app(server, allowed_scopes=["apikeys:usage"])

    assert told(server, make_key(client=app))["scope"] == ""


def test_claims_are_told_to_whom_they_are_declared_for(settings):
    set_apikeys(settings, CLAIMS=CLAIMS)
    sharing, billing = make_server(), make_server("billing")
    app = make_app(sharing, billing)
    clients.set_claims(app, claims={"subscription": "premium", "seats": 5, "margin": 0.5})
    issued = make_key(client=app)

    answers = [told(server, issued) for server in (sharing, billing)]

    assert [(answer.get("subscription"), answer.get("seats"), answer.get("margin")) for answer in answers] == [
        ("premium", None, None),
        ("premium", 5, None),
    ]


def test_claim_of_the_key_goes_before_that_of_its_client(settings, server, app):
    set_apikeys(settings, CLAIMS=CLAIMS)
    clients.set_claims(app, claims={"subscription": "premium"})
    issued = make_key(client=app, claims={"subscription": "free"})

    assert told(server, issued)["subscription"] == "free"


def bound(app, **networks):
    issued = make_key(client=app, allowed_networks=networks.get("key"))
    if "client" in networks:
        clients.edit(app, allowed_networks=networks["client"])
    return issued


NETWORKS = {
    "key": ({"key": ["203.0.113.0/24", "2001:db8::/32"]}, [["203.0.113.0/24", "2001:db8::/32"]]),
    "client": ({"client": ["198.51.100.0/24"]}, [["198.51.100.0/24"]]),
    "both": ({"key": ["203.0.113.7/32"], "client": ["203.0.113.0/24"]}, [["203.0.113.7/32"], ["203.0.113.0/24"]]),
}


@pytest.mark.parametrize(("networks", "lists"), NETWORKS.values(), ids=NETWORKS)
def test_server_that_looks_at_addresses_is_told_which_are_allowed(server, app, networks, lists):
    issued = bound(app, **networks)

    # The server itself calls from 127.0.0.1, which none of them allows.
    assert told(server, issued, form=ENFORCED)["networks"] == lists


NOT_ENFORCED = {
    "not said": {},
    "false": {"networks_enforced": "false"},
    "in other letters": {"networks_enforced": "TRUE"},
}


@pytest.mark.parametrize("form", NOT_ENFORCED.values(), ids=NOT_ENFORCED)
def test_server_that_does_not_say_that_it_looks_at_addresses_is_told_nothing_of_a_bound_key(server, app, form):
    issued = bound(app, key=["127.0.0.0/8"])

    assert introspect(server, issued, form=form).json() == {"active": False}


def test_server_that_does_not_look_at_addresses_is_told_of_other_keys(server, app):
    answer = told(server, make_key(client=app), form={})

    assert "networks" not in answer


def test_staleness_that_the_site_allows_itself_is_none_of_the_answers(settings, server, app):
    set_apikeys(settings, MAX_STALENESS=timedelta(minutes=5))
    issued = make_key(client=app)
    before = is_active(server, issued)

    # As another process does it, of which this one hears nothing.
    type(app).objects.filter(pk=app.pk).update(is_active=False)

    assert (before, is_active(server, issued)) == (True, False)
