from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import clients, keys
from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasClaim, HasOwner, HasScopes, IsSessionUser, requires_scopes
from apikeys.oauth import HasUserConsent, LayeredAuthentication
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .claims import declared
from .drf_views import ask, derived, view
from .factories import UserFactory
from .oauth_views import bearer, token_view
from .request_path import code_of, statements

pytestmark = pytest.mark.django_db

READ = HasScopes("todo:read")
PREMIUM = HasClaim("subscription", "premium")
BETA = HasClaim("beta")


@pytest.fixture(autouse=True)
def _claims():
    with declared():
        yield


class Said(APIView):
    """Tells what the caller says."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes: Any = [READ]

    def get(self, request):
        return Response(dict(request.auth.claims))


def status_of(claims, permission, **fields):
    issued = make_key(scopes=["todo:read"], claims=claims, **fields)
    return ask(view(permission_classes=[READ & permission]), key=issued).status_code


def test_a_principal_says_what_its_client_and_its_key_say():
    issued = make_key(claims={"subscription": "premium", "regions": ["eu"]})
    clients.set_claims(issued.key.client, claims={"subscription": "free", "seats": 3})

    assert ask(Said, key=issued).json() == {"subscription": "premium", "seats": 3, "regions": ["eu"]}


def test_a_principal_says_nothing_that_is_declared_no_more():
    issued = make_key(claims={"subscription": "premium", "seats": 3})

    with declared(subscription="integer"):
        assert ask(Said, key=issued).json() == {"seats": 3}


@pytest.mark.parametrize("change", ["client", "key"])
def test_new_claims_count_on_the_next_request(change):
    issued = make_key(claims={"seats": 3})
    assert ask(Said, key=issued).json() == {"seats": 3}

    if change == "client":
        clients.set_claims(issued.key.client, claims={"beta": True})
        said = {"seats": 3, "beta": True}
    else:
        keys.set_claims(issued.key, claims={"seats": 4})
        said = {"seats": 4}

    assert ask(Said, key=issued).json() == said


@pytest.mark.parametrize("change", ["client", "key"])
def test_new_claims_count_at_once_where_a_process_remembers_keys(settings, change):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": timedelta(hours=1)}
    issued = make_key(claims={"seats": 3})
    assert ask(Said, key=issued).json() == {"seats": 3}

    if change == "client":
        clients.set_claims(issued.key.client, claims={"beta": True})
    else:
        keys.set_claims(issued.key, claims={"seats": 3, "beta": True})

    assert ask(Said, key=issued).json() == {"seats": 3, "beta": True}


def test_a_view_that_changes_what_it_was_told_changes_no_other_request():
    class Spoiling(Said):
        def get(self, request):
            with pytest.raises((TypeError, AttributeError)):
                request.auth.claims["regions"] = []
            with pytest.raises((TypeError, AttributeError)):
                request.auth.claims["regions"].append("us")
            return super().get(request)

    issued = make_key(claims={"regions": ["eu"]})
    ask(Spoiling, key=issued)

    assert ask(Said, key=issued).json() == {"regions": ["eu"]}


def test_claims_cost_no_query():
    issued = make_key(scopes=["todo:read"], claims={"subscription": "premium"})
    clients.set_claims(issued.key.client, claims={"seats": 3})
    callback = derived(Said, permission_classes=[READ & PREMIUM & HasClaim("seats")])
    ask(callback, key=issued)

    with statements() as sql:
        assert ask(callback, key=issued).status_code == 200

    assert len(sql) == 1


MATCHES = {
    "the value": ({"subscription": "premium"}, PREMIUM),
    "one of several values": ({"subscription": "free"}, HasClaim("subscription", "premium", "free")),
    "a number": ({"seats": 3}, HasClaim("seats", 3)),
    "a number that is whole": ({"discount": 1}, HasClaim("discount", 1.0)),
    "yes": ({"beta": True}, HasClaim("beta", True)),
    "no": ({"beta": False}, HasClaim("beta", False)),
    "an item of a list": ({"regions": ["eu", "us"]}, HasClaim("regions", "us")),
    "anything": ({"contract": "7"}, HasClaim("contract")),
    "any yes": ({"beta": True}, BETA),
    "any number": ({"seats": 1}, HasClaim("seats")),
    "any list": ({"regions": ["eu"]}, HasClaim("regions")),
}
DIFFERS = {
    "another value": ({"subscription": "free"}, PREMIUM),
    "no value": ({}, PREMIUM),
    "no claim that is declared": ({}, HasClaim("colour")),
    "a part of the value": ({"contract": "premium-7"}, HasClaim("contract", "premium")),
    "a letter of the value": ({"contract": "abc"}, HasClaim("contract", "a")),
    "another case": ({"contract": "Premium"}, HasClaim("contract", "premium")),
    "yes for a number": ({"seats": 1}, HasClaim("seats", True)),
    "a number for yes": ({"beta": True}, HasClaim("beta", 1)),
    "zero for no": ({"seats": 0}, HasClaim("seats", False)),
    "text for a number": ({"seats": 3}, HasClaim("seats", "3")),
    "no other item": ({"regions": ["eu"]}, HasClaim("regions", "us")),
    "no for any": ({"beta": False}, BETA),
    "zero for any": ({"seats": 0}, HasClaim("seats")),
}


@pytest.mark.parametrize(("claims", "permission"), MATCHES.values(), ids=MATCHES)
def test_a_key_with_the_claim_is_let_in(claims, permission):
    assert status_of(claims, permission) == 200


@pytest.mark.parametrize(("claims", "permission"), DIFFERS.values(), ids=DIFFERS)
def test_a_key_without_the_claim_is_refused(claims, permission):
    assert status_of(claims, permission) == 403


def test_a_client_may_have_the_claim_for_its_keys():
    issued = make_key(scopes=["todo:read"])
    clients.set_claims(issued.key.client, claims={"subscription": "premium"})

    assert ask(view(permission_classes=[READ & PREMIUM]), key=issued).status_code == 200


def test_the_refusal_names_the_claim_and_no_value():
    issued = make_key(scopes=["todo:read"], claims={"subscription": "free"})

    response = ask(view(permission_classes=[READ & PREMIUM]), key=issued)

    assert response.status_code == 403
    assert "WWW-Authenticate" not in response
    assert response.json() == {
        "detail": "This key's “Subscription” (subscription) does not open this endpoint. Only who runs this site can "
        "change it.",
        "code": "claim_missing",
        "required_claim": "subscription",
    }


def test_the_refusal_of_a_token_speaks_of_a_token():
    made = make_token(scopes=["todo:read"])

    response = ask(token_view(permission_classes=[READ & PREMIUM]), **bearer(made))

    assert code_of(response) == "claim_missing"
    assert response.json()["detail"].startswith("This token's “Subscription” (subscription)")


def test_a_token_has_the_claims_of_its_client():
    made = make_token(scopes=["todo:read"])
    clients.set_claims(made.client, claims={"subscription": "premium"})

    assert ask(token_view(permission_classes=[READ & PREMIUM]), **bearer(made)).status_code == 200


def test_a_key_beside_a_token_says_what_the_key_says():
    issued = make_key(scopes=["todo:read"], owner=None, claims={"subscription": "premium"})
    made = make_token(client=issued.key.client, scopes=["todo:read"])
    callback = token_view(
        authentication_classes=[LayeredAuthentication], permission_classes=[HasUserConsent, READ & PREMIUM]
    )

    assert ask(callback, HTTP_X_API_KEY=issued.plaintext, **bearer(made)).status_code == 200


#: Of what each caller says, which trees let it in: all beside a permission that opens the view to keys.
NONE: dict[str, Any] = {}
ONE, OTHER = {"subscription": "premium"}, {"beta": True}
BOTH = {**ONE, **OTHER}
TREES = {
    "claim": (PREMIUM, [False, True, False, True]),
    "~claim": (~PREMIUM, [True, False, True, False]),
    "claim & claim": (PREMIUM & BETA, [False, False, False, True]),
    "claim & ~claim": (PREMIUM & ~BETA, [False, True, False, False]),
    "claim | claim": (PREMIUM | BETA, [False, True, True, True]),
    "claim | ~claim": (PREMIUM | ~BETA, [True, True, False, True]),
    "(claim & claim) | claim": ((PREMIUM & BETA) | BETA, [False, False, True, True]),
    "class | claim": (IsAuthenticated | PREMIUM, [False, True, False, True]),
    "claim | anybody": (PREMIUM | AllowAny, [False, True, False, True]),
    "session | claim": (IsSessionUser | PREMIUM, [False, True, False, True]),
}


@pytest.mark.parametrize("opened_by", [READ, HasAPIKey], ids=["scopes", "any key"])
@pytest.mark.parametrize("joined", ["&", "list"])
@pytest.mark.parametrize(("tree", "admitted"), TREES.values(), ids=TREES)
def test_claims_compose(tree, admitted, joined, opened_by):
    permissions = [opened_by & tree] if joined == "&" else [tree, opened_by]
    callback = view(permission_classes=permissions)

    found = [
        ask(callback, key=make_key(scopes=["todo:read"], claims=claims)).status_code == 200
        for claims in (NONE, ONE, OTHER, BOTH)
    ]

    assert found == admitted


CLOSED = {
    "claim": PREMIUM,
    "~claim": ~PREMIUM,
    "claim | claim": PREMIUM | BETA,
    "claim & owner": PREMIUM & HasOwner,
    "claim & class": PREMIUM & IsAuthenticated,
    "claim | anybody": PREMIUM | AllowAny,
}


@pytest.mark.parametrize("tree", CLOSED.values(), ids=CLOSED)
def test_claims_alone_open_no_view(tree):
    response = ask(view(permission_classes=[tree]), key=make_key(claims=BOTH))

    assert (response.status_code, code_of(response)) == (403, "scopes_not_declared")


def test_a_claim_is_no_way_around_a_scope():
    response = ask(view(permission_classes=[HasScopes("todo:write") | PREMIUM]), key=make_key(scopes=["todo:read"]))
    with_claim = make_key(scopes=["todo:read"], claims=ONE)

    assert code_of(response) == "insufficient_scope"
    assert ask(view(permission_classes=[HasScopes("todo:write") | PREMIUM]), key=with_claim).status_code == 403


def test_a_claim_goes_with_a_decorator():
    callback = requires_scopes("todo:read")(view(permission_classes=[PREMIUM]))

    assert ask(callback, key=make_key(scopes=["todo:read"], claims=ONE)).status_code == 200
    assert code_of(ask(callback, key=make_key(scopes=["todo:read"]))) == "claim_missing"


@pytest.mark.parametrize(
    "tree", [PREMIUM, READ & PREMIUM, PREMIUM | BETA], ids=["claim", "scope & claim", "claim | claim"]
)
def test_a_session_user_has_no_claims(tree):
    assert ask(view(permission_classes=[tree]), user=UserFactory()).status_code == 403


def test_a_session_user_comes_in_beside_who_has_a_claim():
    callback = view(permission_classes=[IsSessionUser | (READ & PREMIUM)])

    assert ask(callback, user=UserFactory()).status_code == 200


@pytest.mark.parametrize("tree", [PREMIUM, ~PREMIUM, READ & PREMIUM, PREMIUM | BETA], ids=["one", "not", "and", "or"])
def test_who_sends_nothing_is_asked_for_a_key(tree):
    response = ask(view(permission_classes=[tree]))

    assert (response.status_code, code_of(response)) == (401, "key_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="no name"),
        pytest.param(("",), id="empty name"),
        pytest.param((7,), id="number as name"),
        pytest.param((["subscription"],), id="list as name"),
        pytest.param(("subscription", ["premium", "free"]), id="list of values"),
        pytest.param(("subscription", None), id="nothing as value"),
    ],
)
def test_a_claim_that_is_misspelt_fails_where_it_is_written(arguments):
    with pytest.raises(TypeError):
        HasClaim(*arguments)
