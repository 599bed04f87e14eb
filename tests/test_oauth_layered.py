from __future__ import annotations

import pytest
from oauth2_provider.models import get_access_token_model
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny

from apikeys import clients, keys
from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasScopes, IsSessionUser
from apikeys.models import APIKey, EventKind, KeyEvent, Level
from apikeys.oauth import HasUserConsent, LayeredAuthentication, OAuthTokenAuthentication, consents
from apikeys.oauth.models import Consent
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .drf_views import ask
from .factories import UserFactory
from .oauth_views import bearer, make_known_key, quiet_view, send, token_view
from .request_path import statements
from .usage_counts import counted

pytestmark = pytest.mark.django_db

BEARER = 'Bearer realm="api"'
API_KEY = 'Api-Key realm="api", header="X-API-Key"'


class Seeing(LayeredAuthentication):
    """Keeps what it lets in."""

    seen: list = []

    def authenticate(self, request):
        found = super().authenticate(request)
        self.seen.append(found)
        return found


def layered_view(*permissions, **attributes):
    permissions = permissions or (HasUserConsent, HasScopes("todo:read"))
    return token_view(authentication_classes=[LayeredAuthentication], permission_classes=permissions, **attributes)


Profile = layered_view()


def make_pair(*, key_scopes=("todo:read",), token_scopes=("todo:read",), owner=None, **fields):
    """Return a key of a client and a token of the same client."""
    issued = make_known_key(owner=owner, scopes=key_scopes, **fields)
    clients.set_ceiling(issued.key.client, scopes=["todo:read", "todo:write", "usage:read"])
    return issued, make_token(client=issued.key.client, scopes=token_scopes)


def ask_with(issued, made, *, to=Profile, **extra):
    return ask(to, HTTP_X_API_KEY=issued.plaintext, **bearer(made), **extra)


def test_key_says_which_app_and_token_says_which_person():
    Seeing.seen.clear()
    issued, made = make_pair()

    response = ask_with(issued, made, to=token_view(authentication_classes=[Seeing]))

    assert response.json() == {"key_id": issued.key.key_id, "user": str(made.user)}
    principal = Seeing.seen[0][1]
    assert (principal.kind, principal.family, principal.client_id) == (
        "layered",
        issued.key.family,
        made.client.client_id,
    )
    assert (principal.user, principal.user_pk, principal.acts_for_user) == (made.user, made.user.pk, True)
    assert principal.expires_at == get_access_token_model().objects.get().expires


@pytest.mark.parametrize(
    ("of_key", "of_token", "status"),
    [
        pytest.param(["todo:read"], ["todo:read"], 200, id="both"),
        pytest.param(["todo:read"], ["todo:write"], 403, id="key alone"),
        pytest.param(["todo:write"], ["todo:read"], 403, id="token alone"),
        pytest.param(["todo:write"], ["todo:write"], 403, id="neither"),
    ],
)
def test_scope_counts_where_both_have_it(of_key, of_token, status):
    issued, made = make_pair(key_scopes=of_key, token_scopes=of_token)

    response = ask_with(issued, made)

    assert response.status_code == status
    if status == 403:
        assert response.json()["code"] == "insufficient_scope"
        assert response.json()["detail"].startswith("The key and the token don't both have the permission")
        assert response["WWW-Authenticate"] == f'{BEARER}, error="insufficient_scope", scope="todo:read"'


ALONE = [
    pytest.param(lambda key, made: {"HTTP_X_API_KEY": key.plaintext}, "token_missing", BEARER, id="key"),
    pytest.param(
        lambda key, made: {"HTTP_AUTHORIZATION": f"Bearer {key.plaintext}"}, "token_missing", BEARER, id="key as bearer"
    ),
    pytest.param(
        lambda key, made: {"HTTP_AUTHORIZATION": f"Api-Key {key.plaintext}"},
        "token_missing",
        BEARER,
        id="key as Api-Key",
    ),
    pytest.param(lambda key, made: bearer(made), "key_missing_beside_token", API_KEY, id="token"),
    pytest.param(lambda key, made: {}, "key_missing", f"{BEARER}, {API_KEY}", id="nothing"),
]


@pytest.mark.parametrize(("headers", "code", "challenge"), ALONE)
def test_one_without_the_other_is_told_what_is_missing_and_read_by_nobody(headers, code, challenge):
    pair = make_pair()

    with statements() as sql:
        response = ask(Profile, **headers(*pair))

    assert sql == []
    assert (response.status_code, response.json()["code"]) == (401, code)
    assert response["WWW-Authenticate"] == challenge


@pytest.mark.parametrize(("headers", "code", "challenge"), ALONE[:-1])
def test_one_without_the_other_is_refused_also_where_anybody_may_come_in(headers, code, challenge):
    response = ask(layered_view(AllowAny), **headers(*make_pair()))

    assert (response.status_code, response.json()["code"]) == (401, code)


def test_pair_of_two_clients_is_refused():
    issued, _ = make_pair()
    _, made = make_pair()

    response = ask_with(issued, made)

    assert (response.status_code, response.json()["code"]) == (401, "credentials_differ")
    assert response["WWW-Authenticate"].startswith(f'{BEARER}, error="invalid_token", error_description="')


def test_pair_of_two_clients_leaves_one_event_an_hour_with_the_client_of_the_key():
    issued, _ = make_pair()
    _, made = make_pair()

    for _attempt in range(2):
        ask_with(issued, made)

    [event] = KeyEvent.objects.filter(kind=EventKind.OAUTH_REFUSED)
    assert (event.client, event.details) == (issued.key.client, {"error": "credentials_differ"})


@pytest.mark.parametrize("spoil", ["token of another client", "unknown token"])
def test_refused_pair_is_no_use_of_either(spoil):
    issued, _ = make_pair()
    token = make_pair()[1] if spoil == "token of another client" else "x"
    APIKey.objects.update(last_used_at=None)

    response = ask_with(issued, token)

    assert response.status_code == 401
    assert not APIKey.objects.exclude(last_used_at=None).exists()
    assert not Consent.objects.exclude(last_used_at=None).exists()


def test_pair_that_is_let_in_is_a_use_of_both():
    issued, made = make_pair()
    APIKey.objects.update(last_used_at=None)

    ask_with(issued, made)

    assert APIKey.objects.get(pk=issued.key.pk).last_used_at is not None
    assert Consent.objects.get(client=made.client).last_used_at is not None


@pytest.mark.parametrize("permission", [AllowAny, HasUserConsent])
@pytest.mark.parametrize("key", ["its own", "x"])
def test_pair_is_refused_where_no_key_is_read_off_its_header(settings, permission, key):
    issued, made = make_pair()
    settings.APIKEYS = {**settings.APIKEYS, "CREDENTIAL_SOURCES": ["bearer"]}
    plaintext = issued.plaintext if key == "its own" else key

    response = ask(layered_view(permission), HTTP_X_API_KEY=plaintext, **bearer(made))

    assert (response.status_code, response.json()["code"]) == (401, "key_missing_beside_token")


def test_key_that_acts_for_somebody_else_than_the_token_is_refused():
    issued, made = make_pair(owner=UserFactory())

    assert ask_with(issued, made).json()["code"] == "credentials_differ"


def test_key_that_acts_for_the_person_of_the_token_is_let_in():
    person = UserFactory()
    issued = make_key(owner=person)
    made = make_token(client=issued.key.client, user=person)

    assert ask_with(issued, made).status_code == 200


def test_clients_own_token_is_no_persons():
    issued = make_key(owner=None)
    made = make_token(client=issued.key.client, user=None)

    response = ask_with(issued, made)

    assert (response.status_code, response.json()["code"]) == (401, "token_missing")


def revoke_key(issued, made):
    keys.revoke(issued.key, reason="leaked")


def withdraw(issued, made):
    consents.withdraw(made.user, made.client)


def disable(issued, made):
    clients.disable(made.client)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(revoke_key, "key_revoked", id="key revoked"),
        pytest.param(withdraw, "token_invalid", id="consent withdrawn"),
        pytest.param(disable, "client_disabled", id="client disabled"),
    ],
)
def test_end_of_either_counts_on_the_next_request(end, code):
    issued, made = make_pair()
    assert ask_with(issued, made).status_code == 200

    end(issued, made)

    assert ask_with(issued, made).json()["code"] == code


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param(lambda key, made: {"HTTP_X_API_KEY": "x", **bearer(made)}, 401, "key_malformed", id="bad key"),
        pytest.param(
            lambda key, made: {"HTTP_X_API_KEY": key.plaintext, **bearer("x")}, 401, "token_invalid", id="bad token"
        ),
        pytest.param(
            lambda key, made: {"HTTP_X_API_KEY": key.plaintext, "HTTP_AUTHORIZATION": f"Bearer {key.plaintext}"},
            400,
            "invalid_request",
            id="key twice",
        ),
        pytest.param(
            lambda key, made: {
                "HTTP_X_API_KEY": key.plaintext,
                "HTTP_AUTHORIZATION": f"Bearer {made.plaintext}, Bearer {made.plaintext}",
            },
            400,
            "invalid_request",
            id="token twice",
        ),
        pytest.param(
            lambda key, made: {
                "HTTP_X_API_KEY": f"{key.plaintext},{key.plaintext}",
                **bearer(made),
            },
            400,
            "invalid_request",
            id="header twice",
        ),
        pytest.param(
            lambda key, made: {"HTTP_X_API_KEY": made.plaintext, "HTTP_AUTHORIZATION": f"Bearer {key.plaintext}"},
            400,
            "invalid_request",
            id="swapped",
        ),
        pytest.param(
            lambda key, made: {
                "HTTP_X_API_KEY": key.plaintext,
                **bearer(made),
                "QUERY_STRING": f"access_token={made.plaintext}",
            },
            400,
            "token_in_query",
            id="token in the address",
        ),
    ],
)
def test_pair_with_a_fault_is_refused_for_it(headers, status, code):
    response = ask(Profile, **headers(*make_pair()))

    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "classes",
    [[APIKeyAuthentication], [OAuthTokenAuthentication], [APIKeyAuthentication, OAuthTokenAuthentication]],
    ids=["keys", "tokens", "either"],
)
def test_consent_is_asked_for_also_where_the_view_takes_less(classes):
    profile = token_view(authentication_classes=classes, permission_classes=[HasScopes("todo:read"), HasUserConsent])
    issued, made = make_pair()

    found = {}
    if APIKeyAuthentication in classes:
        found["key"] = ask(profile, key=issued)
    if OAuthTokenAuthentication in classes:
        found["token"] = send(made, to=profile)

    codes = {"key": ("token_missing", BEARER), "token": ("key_missing_beside_token", API_KEY)}
    assert {each: (answer.json()["code"], answer["WWW-Authenticate"]) for each, answer in found.items()} == {
        each: codes[each] for each in found
    }


def test_consent_alone_opens_no_view():
    assert ask_with(*make_pair(), to=layered_view(HasUserConsent)).json()["code"] == "scopes_not_declared"


def test_person_in_a_session_has_given_no_consent():
    profile = token_view(
        authentication_classes=[LayeredAuthentication, SessionAuthentication],
        permission_classes=[HasUserConsent & HasScopes("todo:read") | IsSessionUser],
    )
    closed = token_view(authentication_classes=[SessionAuthentication], permission_classes=[HasUserConsent])

    assert ask(profile, user=UserFactory()).status_code == 200
    assert ask(closed, user=UserFactory()).status_code == 403
    assert ask_with(*make_pair(), to=profile).status_code == 200


def test_key_of_a_pair_is_a_key():
    assert ask_with(*make_pair(), to=layered_view(HasAPIKey, HasUserConsent)).status_code == 200


def test_pair_costs_two_queries():
    pair = make_pair()
    quiet = quiet_view(authentication_classes=[LayeredAuthentication])
    ask_with(*pair, to=quiet)

    with statements() as sql:
        response = ask_with(*pair, to=quiet)

    assert (response.status_code, len(sql)) == (200, 2)


def test_request_of_a_pair_is_counted_by_its_key():
    issued, made = make_pair()

    ask_with(issued, made)

    columns = ("key_id", "family", "client_id", "outcome", "scopes")
    assert (issued.key.key_id, issued.key.family, made.client.client_id, "ok", "todo:read") in counted(
        *columns, level=Level.REQUEST
    )
    assert APIKey.objects.get(pk=issued.key.pk).last_used_at is not None


def test_refusal_of_a_pair_is_counted_against_its_key():
    issued, _ = make_pair()
    _, made = make_pair()

    ask_with(issued, made)

    assert counted("outcome", "key_id", "client_id", level=Level.REFUSAL) == [
        ("credentials_differ", issued.key.key_id, issued.key.client.client_id)
    ]
