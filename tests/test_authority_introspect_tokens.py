"""What API servers are told of signed tokens and of OAuth tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from apikeys import clients, keys
from apikeys.models import APIKey
from apikeys.oauth import consents
from apikeys.oauth.models import Consent
from apikeys.oauth.testing import make_token
from apikeys.signed.keys import generate
from apikeys.testing import make_key

from .factories import UserFactory
from .introspection import ISSUER, introspect, is_active, make_app, make_server, revoke, set_signing_key, signed, told
from .request_path import statements

pytestmark = pytest.mark.django_db

CLAIMS = {"subscription": {"type": "text", "visible_to": "servers"}}


@pytest.fixture(autouse=True)
def signing_key(settings):
    set_signing_key(settings, CLAIMS=CLAIMS)


@pytest.fixture
def server():
    return make_server()


@pytest.fixture
def app(server):
    return make_app(server)


def test_server_is_told_what_a_signed_token_may_do(server, app):
    person = UserFactory(username="ada")
    with time_machine.travel("2026-11-20T12:00:00.900Z", tick=False):
        issued = make_key(client=app, owner=person, scopes=["todo:read", "todo:write"])
        response = introspect(server, signed(issued, server, scopes=["todo:read"], jti="the-token"))

    assert response.json() == {
        "active": True,
        "scope": "todo:read",
        "client_id": app.client_id,
        "client_name": app.name,
        "username": "ada",
        "sub": f"user:{person.pk}",
        "aud": server.resource,
        "iss": ISSUER,
        "iat": 1795176000,
        "exp": 1795176600,
        "token_type": "Bearer",
        "jti": "the-token",
        "kind": "signed_token",
        "key_id": issued.key.key_id,
        "family": issued.key.key_id,
    }


def test_signed_token_of_a_service_key_is_its_clients_own(server, app):
    answer = told(server, signed(make_key(client=app, owner=None), server))

    assert answer["sub"] == f"client:{app.client_id}"
    assert "username" not in answer


def test_signed_token_counts_until_its_last_second_whatever_the_leeway(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        token = signed(make_key(client=app), server, lifetime=600)
        clock.shift(timedelta(seconds=599))
        before = is_active(server, token)
        clock.shift(timedelta(seconds=1))
        after = is_active(server, token)

    assert (before, after) == (True, False)


def test_signed_token_ends_with_its_key(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False):
        issued = make_key(client=app)
        token = signed(issued, server, lifetime=600)
        keys.rotate(issued.key, overlap=timedelta(seconds=60))
        answer = told(server, token)

    assert answer["exp"] == 1795176060


def test_signed_token_has_only_the_scopes_that_its_key_still_has(server, app):
    issued = make_key(client=app, scopes=["todo:read", "todo:write"])
    token = signed(issued, server, scopes=["todo:read", "todo:write"])
    keys.narrow(issued.key, scopes=["todo:read"])

    assert told(server, token)["scope"] == "todo:read"


def test_signed_token_has_no_scope_that_it_was_not_given(server, app):
    issued = make_key(client=app, scopes=["todo:read", "todo:write"])

    assert told(server, signed(issued, server, scopes=["todo:write"]))["scope"] == "todo:write"


def test_claims_of_a_signed_token_are_those_of_now(server, app):
    clients.set_claims(app, claims={"subscription": "free"})
    token = signed(make_key(client=app), server, claims={"subscription": "free"})
    clients.set_claims(app, claims={"subscription": "premium"})

    assert told(server, token)["subscription"] == "premium"


def test_signed_token_is_bound_to_the_networks_of_its_own_and_of_its_key(server, app):
    issued = make_key(client=app, allowed_networks=["203.0.113.0/24"])
    token = signed(issued, server, networks=(("203.0.113.7/32",), ("203.0.113.0/24",)))

    assert told(server, token)["networks"] == [["203.0.113.7/32"], ["203.0.113.0/24"]]
    assert introspect(server, token, form={}).json() == {"active": False}


def test_signed_token_of_a_key_whose_client_is_bound_since_is_bound_as_well(server, app):
    token = signed(make_key(client=app), server)
    clients.edit(app, allowed_networks=["203.0.113.0/24"])

    assert told(server, token)["networks"] == [["203.0.113.0/24"]]


def revoked(issued, token):
    keys.revoke(issued.key, reason="leaked")


def expired(issued, token):
    APIKey.objects.filter(pk=issued.key.pk).update(expires_at=timezone.now())


def rotated_out(issued, token):
    keys.rotate(issued.key, overlap=timedelta(0))


def client_disabled(issued, token):
    clients.disable(issued.key.client)


def owner_disabled(issued, token):
    issued.key.owner.is_active = False
    issued.key.owner.save()


def owner_gone(issued, token):
    issued.key.owner.delete()


def server_no_longer_named(issued, token):
    clients.edit(issued.key.client, audiences=[])


def given_up(issued, token):
    assert revoke(make_key(client=issued.key.client), token).status_code == 200


ENDED: dict[str, Callable[[Any, str], object]] = {
    "key revoked": revoked,
    "key expired": expired,
    "key rotated out": rotated_out,
    "client disabled": client_disabled,
    "owner disabled": owner_disabled,
    "owner gone": owner_gone,
    "server no longer named": server_no_longer_named,
    "given up": given_up,
}


@pytest.mark.parametrize("end", ENDED.values(), ids=ENDED)
def test_signed_token_is_inactive_from_the_next_request_on(server, app, end):
    issued = make_key(client=app)
    token = signed(issued, server)
    before = is_active(server, token)

    end(issued, token)

    response = introspect(server, token)
    assert before
    assert (response.status_code, response.content) == (200, b'{"active":false}')


#: Well signed, each of them: by a fault here, or by who has the signing key of a copy of this site.
WRONG: dict[str, dict[str, Any]] = {
    "for another server": {"audience": "https://other.example"},
    "for the authority itself": {"audience": ISSUER},
    "of another issuer": {"issuer": "https://other.example/authority"},
    "of another client": {"client_id": "0" * 16},
    "of another person": {"subject": "user:0"},
    "of a person who is a client": {"subject": "client:0"},
    "of no key": {"key_id": "", "family": ""},
    "of an unknown key": {"key_id": "0" * 12},
    "from the future": {"issued_at": 4_000_000_000, "expires_at": 4_000_000_600},
    "bound to no network": {"networks": ((),)},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_signed_token_that_says_something_wrong_is_inactive(server, app, changes):
    token = signed(make_key(client=app), server, **changes)

    assert introspect(server, token).content == b'{"active":false}'


def test_token_that_is_signed_by_a_key_of_nobodys_is_inactive(settings, server, app):
    issued = make_key(client=app)
    ours = settings.APIKEYS
    settings.APIKEYS = {**ours, "SIGNING_KEYS": [generate("ES256").private_jwk()]}
    token = signed(issued, server)
    settings.APIKEYS = ours

    assert introspect(server, token).content == b'{"active":false}'


def test_signed_token_is_no_key_to_ask_with(server, app):
    issued = make_key(client=server.client, owner=None)
    token = signed(issued, server, scopes=["apikeys:introspect"])

    response = introspect(server, token, HTTP_AUTHORIZATION=f"Bearer {token}")

    assert response.status_code == 401


def test_signed_token_of_a_service_key_costs_three_queries_beside_those_about_the_caller(server, app):
    issued = make_key(client=app, owner=None)
    told(server, signed(issued, server))
    token = signed(issued, server)

    with statements() as sql:
        told(server, token)

    # The signing keys of the database, the key, and whether the token was given up.
    assert len(sql) == 2 + 3


def test_server_is_told_who_an_oauth_token_stands_for(server, app):
    with time_machine.travel("2026-11-20T12:00:00.900Z", tick=False):
        made = make_token(client=app, scopes=["todo:read"], lifetime=timedelta(minutes=15))
        response = introspect(server, made.plaintext)

    assert response.json() == {
        "active": True,
        "scope": "todo:read",
        "client_id": app.client_id,
        "client_name": app.name,
        "username": made.user.username,
        "sub": f"user:{made.user.pk}",
        "aud": server.resource,
        "iss": ISSUER,
        "iat": 1795176000,
        "exp": 1795176900,
        "token_type": "Bearer",
        "kind": "oauth_token",
    }


def test_oauth_token_of_the_client_itself_has_no_person(server, app):
    answer = told(server, make_token(client=app, user=None).plaintext)

    assert answer["sub"] == f"client:{app.client_id}"
    assert "username" not in answer


def test_claims_of_the_client_are_told_with_its_oauth_tokens(server, app):
    clients.set_claims(app, claims={"subscription": "premium"})

    assert told(server, make_token(client=app).plaintext)["subscription"] == "premium"


def test_oauth_token_is_bound_to_the_networks_of_its_client(server, app):
    token = make_token(client=app).plaintext
    clients.edit(app, allowed_networks=["203.0.113.0/24"])

    assert told(server, token)["networks"] == [["203.0.113.0/24"]]
    assert introspect(server, token, form={}).json() == {"active": False}


def withdraw(made):
    consents.withdraw(made.user, made.client)


def end_consent(made):
    Consent.objects.filter(user=made.user).update(expires_at=timezone.now())


def expire(made):
    get_access_token_model().objects.update(expires=timezone.now())


def disable_client(made):
    clients.disable(made.client)


def disable_person(made):
    made.user.is_active = False
    made.user.save()


def name_no_server(made):
    clients.edit(made.client, audiences=[])


def keep_for_another_resource(made):
    row = get_access_token_model().objects.get()
    row.resource = ["https://other.example"]
    row.save()


ENDED_OAUTH: dict[str, Callable[[Any], object]] = {
    "consent withdrawn": withdraw,
    "consent over": end_consent,
    "expired": expire,
    "client disabled": disable_client,
    "person disabled": disable_person,
    "server no longer named": name_no_server,
    "for another resource": keep_for_another_resource,
}


@pytest.mark.parametrize("end", ENDED_OAUTH.values(), ids=ENDED_OAUTH)
def test_oauth_token_is_inactive_from_the_next_request_on(server, app, end):
    made = make_token(client=app)
    before = is_active(server, made.plaintext)

    end(made)

    response = introspect(server, made.plaintext)
    assert before
    assert (response.status_code, response.content) == (200, b'{"active":false}')


def test_oauth_token_for_the_servers_address_alone_is_active_there(server, app):
    made = make_token(client=app)
    row = get_access_token_model().objects.get()
    row.resource = [server.resource]
    row.save()

    assert is_active(server, made.plaintext)


def test_use_of_the_consent_is_on_record(server, app):
    made = make_token(client=app)

    told(server, made.plaintext)

    assert Consent.objects.get().last_used_at is not None


def test_refused_oauth_token_is_no_use_of_the_consent(server):
    made = make_token(client=make_app())

    introspect(server, made.plaintext)

    assert Consent.objects.get().last_used_at is None


def test_oauth_token_costs_two_queries_beside_those_about_the_caller(server, app):
    made = make_token(client=app)
    told(server, made.plaintext)

    with statements() as sql:
        told(server, made.plaintext)

    assert len(sql) == 2 + 2
