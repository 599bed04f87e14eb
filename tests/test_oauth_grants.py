from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from authlib.integrations.base_client import OAuthError
from django.utils import timezone

from apikeys import clients
from apikeys.models import EventKind, KeyEvent
from apikeys.oauth import consents
from apikeys.oauth.models import Consent
from tests import oauth
from tests.oauth import App

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Grant:
    """How an app gets a token: how it signs in, and what it has in hand when it asks the token endpoint."""

    sign_in: str
    prepare: Callable[[App, object], dict]
    #: How long what it has in hand is good for; None where that is the client itself.
    lasts: timedelta | None


def prepare_code(app, person):
    got = oauth.get_code(app, person)
    return {
        "grant_type": "authorization_code",
        "code": got.code,
        "code_verifier": got.verifier,
        "redirect_uri": oauth.CALLBACK,
    }


def prepare_device(app, person):
    started = oauth.start_device(app).json()
    oauth.approve_device(app, person, started)
    return {"grant_type": oauth.DEVICE_CODE, "device_code": started["device_code"]}


def prepare_client(app, person):
    return {"grant_type": "client_credentials", "scope": "todo:read"}


def prepare_refresh(app, person):
    token = oauth.get_token(app, person)
    return {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}


CODE = Grant("authorization-code", prepare_code, lasts=timedelta(seconds=60))
DEVICE = Grant(oauth.DEVICE_CODE, prepare_device, lasts=timedelta(seconds=1800))
CLIENT = Grant("client-credentials", prepare_client, lasts=None)
# A refresh token's time begins when its access token ends.
REFRESH = Grant("authorization-code", prepare_refresh, lasts=timedelta(days=90, minutes=15))

every_grant = pytest.mark.parametrize(
    "grant", [CODE, DEVICE, CLIENT, REFRESH], ids=["code", "device", "client credentials", "refresh"]
)
for_a_person = pytest.mark.parametrize("grant", [CODE, DEVICE, REFRESH], ids=["code", "device", "refresh"])


def ask(app, in_hand, **options):
    """Return what Authlib makes of the token endpoint's answer: a token, or the error that it raises."""
    with oauth.session(app, **options) as http:
        try:
            return dict(http.fetch_token(oauth.TOKEN, **in_hand))
        except OAuthError as error:
            return error.error


@every_grant
def test_what_is_in_hand_gives_a_token_with_what_was_asked_for(grant):
    app = oauth.make_app(grant.sign_in)
    in_hand = grant.prepare(app, oauth.make_person())

    token = ask(app, in_hand)

    assert token["scope"] == "todo:read"
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 15 * 60
    assert ("refresh_token" in token) is (grant is not CLIENT)


def test_an_app_refreshes_and_gives_up_what_it_has():
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())

    with oauth.session(app, token=token) as http:
        fresh = http.refresh_token(oauth.TOKEN, refresh_token=token["refresh_token"])
        given_up = http.revoke_token(oauth.REVOKE, token=fresh["access_token"], token_type_hint="access_token")

    assert fresh["scope"] == "todo:read"
    assert given_up.status_code == 200
    assert oauth.issued() == (0, 0, 0)


@every_grant
def test_another_client_gets_nothing_for_it(grant):
    app, thief = oauth.make_app(grant.sign_in), oauth.make_app(grant.sign_in, scopes=["usage:read"])
    in_hand = grant.prepare(app, oauth.make_person())
    before = oauth.issued()

    error = ask(thief, in_hand)

    # For itself a client asks with nothing in hand; what it may not have is the scope.
    assert error == ("invalid_scope" if grant is CLIENT else "invalid_grant")
    assert oauth.issued() == before
    assert oauth.refusals() == [(thief.client.name, error)]


@every_grant
def test_a_wrong_secret_gets_nothing(grant):
    app = oauth.make_app(grant.sign_in)
    in_hand = grant.prepare(app, oauth.make_person())
    before = oauth.issued()

    error = ask(app, in_hand, client_secret="guessed")

    assert error == "invalid_client"
    assert oauth.issued() == before
    assert oauth.refusals() == [(app.client.name, "invalid_client")]


@every_grant
def test_a_disabled_client_gets_nothing_at_once(grant):
    app = oauth.make_app(grant.sign_in)
    in_hand = grant.prepare(app, oauth.make_person())
    before = oauth.issued()

    clients.disable(app.client)

    assert ask(app, in_hand) == "invalid_client"
    assert oauth.issued() == before
    assert oauth.refusals() == [(app.client.name, "invalid_client")]


@every_grant
def test_an_enabled_client_gets_tokens_again(grant):
    app = oauth.make_app(grant.sign_in)
    in_hand = grant.prepare(app, oauth.make_person())
    clients.disable(app.client)

    clients.enable(app.client)

    assert ask(app, in_hand)["scope"] == "todo:read"


@for_a_person
def test_it_is_good_until_its_end(grant, time_machine):
    app = oauth.make_app(grant.sign_in)
    time_machine.move_to(timezone.now(), tick=False)
    in_hand = grant.prepare(app, oauth.make_person())
    if grant is REFRESH:
        Consent.objects.update(expires_at=timezone.now() + timedelta(days=365))

    time_machine.shift(grant.lasts - timedelta(seconds=1))

    assert ask(app, in_hand)["scope"] == "todo:read"


@for_a_person
def test_at_its_end_it_is_dead(grant, time_machine):
    app = oauth.make_app(grant.sign_in)
    time_machine.move_to(timezone.now(), tick=False)
    in_hand = grant.prepare(app, oauth.make_person())
    before = oauth.issued()

    time_machine.shift(grant.lasts)

    error = ask(app, in_hand)

    assert error == ("expired_token" if grant is DEVICE else "invalid_grant")
    assert oauth.issued() == before
    assert oauth.refusals() == [(app.client.name, error)]


@for_a_person
def test_it_is_good_once(grant):
    app = oauth.make_app(grant.sign_in)
    in_hand = grant.prepare(app, oauth.make_person())
    assert ask(app, in_hand)["scope"] == "todo:read"

    assert ask(app, in_hand) == "invalid_grant"
    # A device code is gone once it is spent; the others end what they gave.
    left = EventKind.OAUTH_REFUSED if grant is DEVICE else EventKind.TOKEN_REPLAYED
    events = KeyEvent.objects.filter(kind__in=[EventKind.OAUTH_REFUSED, EventKind.TOKEN_REPLAYED])
    assert [event.kind for event in events] == [left]


@for_a_person
def test_it_gives_no_more_than_the_ceiling_of_today(grant):
    app = oauth.make_app(grant.sign_in, scopes=["todo:read", "usage:read"])
    in_hand = grant.prepare(app, oauth.make_person())
    before = oauth.issued()

    clients.set_ceiling(app.client, scopes=["usage:read"])

    assert ask(app, in_hand) == "invalid_scope"
    assert oauth.issued() == before
    assert oauth.refusals() == [(app.client.name, "invalid_scope")]


@for_a_person
def test_a_disabled_person_gives_nothing(grant):
    app, person = oauth.make_app(grant.sign_in), oauth.make_person()
    in_hand = grant.prepare(app, person)
    before = oauth.issued()
    person.is_active = False
    person.save()

    assert ask(app, in_hand) == "invalid_grant"
    assert oauth.issued() == before
    assert oauth.refusals() == [(app.client.name, "invalid_grant")]


@for_a_person
def test_a_deleted_person_gives_nothing(grant):
    app, person = oauth.make_app(grant.sign_in), oauth.make_person()
    in_hand = grant.prepare(app, person)

    person.delete()

    assert ask(app, in_hand) == "invalid_grant"
    assert oauth.issued() == (0, 0, 0)
    assert oauth.refusals() == [(app.client.name, "invalid_grant")]


@for_a_person
def test_a_withdrawn_consent_gives_nothing(grant):
    app, person = oauth.make_app(grant.sign_in), oauth.make_person()
    in_hand = grant.prepare(app, person)

    consents.withdraw(person, app.client, by=person)

    error = ask(app, in_hand)

    assert error == ("access_denied" if grant is DEVICE else "invalid_grant")
    assert oauth.issued() == (0, 0, 0)
    assert oauth.refusals() == [(app.client.name, error)]


@pytest.mark.parametrize("grant", [CODE, CLIENT], ids=["code", "client credentials"])
def test_an_app_uses_its_own_grant_only(grant):
    device = oauth.make_app(oauth.DEVICE_CODE)
    in_hand = grant.prepare(oauth.make_app(grant.sign_in), oauth.make_person())
    before = oauth.issued()

    assert ask(device, in_hand) == "unauthorized_client"
    assert oauth.issued() == before
    assert oauth.refusals() == [(device.client.name, "unauthorized_client")]


@pytest.mark.parametrize(
    "parameters",
    [
        {"grant_type": "password", "username": "richard", "password": "right"},
        {"grant_type": "implicit"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "e30.e30."},
        {"grant_type": "__class__"},
        {"grant_type": "openid", "code": "x"},
        {"grant_type": ""},
        {"grant_type": "x" * 10_000},
        {"code": "x"},
    ],
    ids=["password", "implicit", "assertion", "no grant at all", "of OpenID", "empty", "10 kB", "none"],
)
@pytest.mark.parametrize("is_public", [False, True], ids=["confidential", "public"])
def test_no_other_grant_is_there(parameters, is_public):
    app = oauth.make_app(is_public=is_public)
    oauth.make_person("richard").set_password("right")

    response = oauth.post_as(app, oauth.TOKEN, parameters)

    assert oauth.error_of(response) == (400, "unsupported_grant_type")
    assert oauth.issued() == (0, 0, 0)
    assert oauth.refusals() == [(app.client.name, "unsupported_grant_type")]


@pytest.mark.parametrize("sign_in", ["password", "implicit", "openid-hybrid"])
def test_an_application_that_signs_in_otherwise_is_unusable(sign_in):
    app = oauth.make_app("client-credentials")
    # As somebody might who goes past applications.edit.
    type(app.link.application).objects.update(authorization_grant_type=sign_in)

    response = oauth.client_credentials(app, scope="todo:read")

    assert oauth.error_of(response) == (401, "invalid_client")
    assert oauth.issued() == (0, 0, 0)


def test_an_application_of_no_client_is_unusable():
    app = oauth.make_app("client-credentials")

    app.link.delete()

    assert oauth.error_of(oauth.client_credentials(app, scope="todo:read")) == (401, "invalid_client")
    assert oauth.refusals() == [(None, "invalid_client")]
