"""An API server and the real authority, which answers through a socket."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from functools import partial

import pytest
from django.db import connections
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.response import Response

from apikeys import clients, keys
from apikeys.authority import signing
from apikeys.authority.views.introspect import IntrospectView
from apikeys.core.principals import Principal
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .authority_stand_in import Reply, as_json
from .drf_views import derived
from .exchanges import exchange, token_text
from .factories import UserFactory
from .introspected import Sharing, authority, bearer, get, sharing
from .introspection import FORM, ISSUER, make_app, make_server, set_signing_key, signed
from .signed_requests import Summaries

# The authority answers in another thread.
pytestmark = pytest.mark.django_db(transaction=True)

CLAIMS = {"subscription": {"type": "text", "visible_to": "servers"}}


def answered(asked):
    """Answer as the authority would."""
    headers = {"HTTP_AUTHORIZATION": asked.headers["Authorization"]}
    request = RequestFactory().post("/", asked.body, content_type=FORM, secure=True, **headers)
    try:
        response = IntrospectView.as_view()(request).render()
    finally:
        connections.close_all()
    return Reply(status=response.status_code, body=response.content, headers=dict(response.headers))


@pytest.fixture(autouse=True)
def signing_key(settings):
    set_signing_key(settings, CLAIMS=CLAIMS)


@pytest.fixture
def site():
    """The address of the API server, which asks with its own key."""
    return make_server()


@pytest.fixture
def app(site):
    return make_app(site)


@pytest.fixture
def server(site):
    given = {"ISSUER": ISSUER, "AUDIENCE": site.resource, "AUTHORITY_KEY": site.key.plaintext}
    with authority(answered, **given) as server:
        yield server


def test_a_persons_key_is_let_in_and_named(server, app):
    person = UserFactory(username="ada")
    issued = make_key(client=app, owner=person, scopes=["todo:read"])

    assert get(key=issued.plaintext).json() == {"user": f"user:{person.pk}", "kind": "api_key"}


def test_a_service_key_is_let_in_as_its_client(server, app):
    issued = make_key(client=app, owner=None, scopes=["todo:read"])

    assert get(key=issued.plaintext).json() == {"user": f"client:{app.client_id}", "kind": "api_key"}


def test_a_signed_token_is_let_in(server, site, app):
    issued = make_key(client=app, owner=None, scopes=["todo:read"])

    assert get(**bearer(signed(issued, site))).json()["kind"] == "signed_token"


def test_an_oauth_token_is_let_in(server, site):
    made = make_token(scopes=["todo:read"])
    clients.edit(made.client, audiences=[site.resource])

    assert get(**bearer(made.plaintext)).json()["kind"] == "oauth_token"


def test_claims_arrive(server, app):
    issued = make_key(client=app, owner=None, scopes=["todo:read"], claims={"subscription": "premium"})
    found = []

    def note(self, request):
        found.append(dict(request.auth.claims))
        return type(self).answer(self, request)

    view = sharing(get=note, answer=sharing().get)

    assert get(view, key=issued.plaintext).status_code == 200
    assert found == [{"subscription": "premium"}]


def caller(view):
    """Return the class of views like *view*, and the list to which it adds whom it lets in."""
    found = []

    def note(self, request):
        found.append(request.auth)
        return Response()

    return derived(view, get=note), found


@pytest.mark.parametrize("owner", [partial(UserFactory, username="ada"), lambda: None], ids=["person", "client"])
def test_both_ways_tell_the_same_of_a_signed_token_but_for_names(server, app, owner):
    issued = make_key(
        client=app,
        owner=owner(),
        scopes=["todo:read", "todo:write"],
        claims={"subscription": "premium"},
        allowed_networks=["127.0.0.0/8"],
    )
    token = token_text(exchange(issued, scope="todo:read todo:write"))
    (asking, asked), (checking, checked) = caller(Sharing), caller(Summaries)
    server.answers["jwks.json"] = as_json({"keys": signing.published_jwks(now=timezone.now())})
    server.answers["revocations"] = Reply(status=503)

    statuses = [get(view, **bearer(token)).status_code for view in (asking, checking)]

    assert statuses == [200, 200]
    [by_asking], [by_signature] = asked, checked
    differing = {
        field.name: (getattr(by_asking, field.name), getattr(by_signature, field.name))
        for field in fields(Principal)
        if getattr(by_asking, field.name) != getattr(by_signature, field.name)
    }
    assert differing == {"client_name": (app.name, "")}
    names = [getattr(principal.user, "username", "") for principal in (by_asking, by_signature)]
    assert names == (["ada", ""] if issued.key.owner else [f"client:{app.client_id}"] * 2)


def test_a_revoked_key_is_refused_on_the_next_request(server, app):
    issued = make_key(client=app, owner=None, scopes=["todo:read"])
    assert get(key=issued.plaintext).status_code == 200

    keys.revoke(issued.key, reason="leaked")

    response = get(key=issued.plaintext)
    assert (response.status_code, response.json()["code"]) == (401, "key_invalid")


@pytest.mark.parametrize(("address", "status"), [("192.0.2.7", 200), ("203.0.113.7", 403)], ids=["inside", "outside"])
def test_networks_of_key_and_client_hold_here(server, site, address, status):
    app = make_app(site, allowed_networks=["192.0.0.0/16"])
    issued = make_key(client=app, owner=None, scopes=["todo:read"], allowed_networks=["192.0.2.0/24"])

    response = get(key=issued.plaintext, REMOTE_ADDR=address)

    assert response.status_code == status
    assert status == 200 or response.json()["code"] == "ip_not_allowed"


def test_a_key_of_a_client_that_does_not_name_this_server_is_unknown(server):
    issued = make_key(client=make_app(), owner=None, scopes=["todo:read"])

    assert get(key=issued.plaintext).json()["code"] == "key_invalid"


def test_a_server_whose_own_key_is_revoked_lets_nobody_in_and_calls_no_key_bad(server, site, app):
    issued = make_key(client=app, owner=None, scopes=["todo:read"])
    keys.revoke(site.key.key, reason="leaked")

    assert get(key=issued.plaintext).json()["code"] == "authority_unavailable"


def test_the_last_days_of_a_key_are_told_here_as_well(server, app):
    issued = make_key(client=app, owner=None, scopes=["todo:read"], lifetime=timedelta(days=3))

    assert "ApiKey-Expires" in get(key=issued.plaintext)
