from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from oauth2_provider.models import get_access_token_model
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated

from apikeys import clients
from apikeys.core.principals import ClientUser
from apikeys.drf import APIKeyAuthentication, HasAPIKey, HasOwner, HasScopes, IsSessionUser, requires_scopes
from apikeys.oauth import OAuthTokenAuthentication, applications, consents
from apikeys.oauth.models import Consent
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .drf_views import ask
from .factories import UserFactory
from .oauth import make_app, refusals
from .oauth_views import Todos, send, token_view
from .request_path import statements

pytestmark = pytest.mark.django_db

ForAnybody = token_view(permission_classes=[AllowAny])


class Seeing(OAuthTokenAuthentication):
    """Keeps what it lets in."""

    seen: list = []

    def authenticate(self, request):
        found = super().authenticate(request)
        self.seen.append(found)
        return found


def principal_of(made):
    Seeing.seen.clear()
    assert send(made, to=token_view(authentication_classes=[Seeing])).status_code == 200
    return Seeing.seen[0][1]


def row_of(made):
    return get_access_token_model().objects.get(user=made.user, application__client_application__client=made.client)


def test_token_becomes_the_principal_of_its_client_and_person():
    made = make_token(scopes="todo:read")

    principal = principal_of(made)

    assert (principal.kind, principal.client_id, principal.client_name) == (
        "oauth_token",
        made.client.client_id,
        made.client.name,
    )
    assert (principal.user, principal.user_pk, principal.acts_for_user) == (made.user, made.user.pk, True)
    assert (principal.key_id, principal.key_name, principal.family) == ("", "", "")
    assert principal.scopes == {"todo:read"}
    assert principal.expires_at == row_of(made).expires


def test_token_of_client_credentials_is_the_clients_own():
    made = make_token(user=None)

    principal = principal_of(made)

    assert principal.user == ClientUser(client_id=made.client.client_id, name=made.client.name)
    assert (principal.user_pk, principal.acts_for_user) == (None, False)


def test_token_says_who_the_caller_is_to_permissions_of_others():
    response = send(make_token(), to=token_view(permission_classes=[HasScopes("todo:read"), IsAuthenticated]))

    assert response.status_code == 200


@pytest.mark.parametrize("word", ["bearer", "BEARER", "bEaReR"])
def test_word_before_the_token_may_be_written_in_any_case(word):
    assert ask(Todos, HTTP_AUTHORIZATION=f"{word}  {make_token().plaintext} ").status_code == 200


def withdraw(made):
    consents.withdraw(made.user, made.client)


def end_consent(made):
    Consent.objects.filter(user=made.user).update(expires_at=timezone.now())


def leave_consent_behind(made):
    """As if a token had outlived its consent."""
    Consent.objects.filter(user=made.user).delete()


def expire(made):
    get_access_token_model().objects.update(expires=timezone.now())


def delete_row(made):
    row_of(made).delete()


def unlink(made):
    made.client.client_application.delete()


def disable_client(made):
    clients.disable(made.client)


def disable_person(made):
    made.user.is_active = False
    made.user.save()


def delete_person(made):
    Consent.objects.filter(user=made.user).delete()
    made.user.delete()


def close_networks(made):
    clients.edit(made.client, allowed_networks=["198.51.100.0/24"])


ENDS = [
    pytest.param(withdraw, 401, "token_invalid", id="consent withdrawn"),
    pytest.param(end_consent, 401, "token_invalid", id="consent over"),
    pytest.param(leave_consent_behind, 401, "token_invalid", id="consent gone, token left"),
    pytest.param(expire, 401, "token_expired", id="expired"),
    pytest.param(delete_row, 401, "token_invalid", id="revoked"),
    pytest.param(unlink, 401, "token_invalid", id="application of no client"),
    pytest.param(disable_client, 403, "client_disabled", id="client disabled"),
    pytest.param(disable_person, 403, "owner_disabled", id="person disabled"),
    pytest.param(delete_person, 401, "token_invalid", id="person deleted"),
    pytest.param(close_networks, 403, "ip_not_allowed", id="other network"),
]


@pytest.mark.parametrize("to", [Todos, ForAnybody], ids=["needs a scope", "lets anybody in"])
@pytest.mark.parametrize(("end", "status", "code"), ENDS)
def test_what_ends_a_token_counts_on_the_next_request(end, status, code, to, settings):
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_DECLARED_SCOPES": False}
    made = make_token()
    assert send(made, to=to).status_code == 200

    end(made)

    response = send(made, to=to)
    assert (response.status_code, response.json()["code"]) == (status, code)
    expected = 'Bearer realm="api", error="invalid_token"' if status == 401 else None
    assert response.get("WWW-Authenticate") == expected
    assert refusals() == []


def test_token_works_until_its_last_moment_and_not_at_it():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        made = make_token(lifetime=timedelta(minutes=15))
        clock.shift(timedelta(minutes=15) - timedelta(microseconds=1))
        before = send(made)
        clock.shift(timedelta(microseconds=1))
        after = send(made)

    assert before.status_code == 200
    assert (after.json()["code"], after.json()["expired_at"]) == ("token_expired", "2026-11-20T12:15:00Z")


def test_consent_counts_until_its_last_moment_and_not_at_it():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        made = make_token(lifetime=timedelta(days=999))
        clock.move_to(Consent.objects.get().expires_at - timedelta(microseconds=1), tick=False)
        before = send(made)
        clock.shift(timedelta(microseconds=1))
        after = send(made)

    assert before.status_code == 200
    assert after.json()["code"] == "token_invalid"


def test_token_from_a_network_of_its_client_is_let_in():
    made = make_token()
    close_networks(made)

    assert send(made, REMOTE_ADDR="198.51.100.7").status_code == 200


MALFORMED = [
    pytest.param("Bearer", id="word alone"),
    pytest.param("Bearer ", id="nothing"),
    pytest.param("Bearer tok en", id="two texts"),
    pytest.param("Bearer tok\x00en", id="nul"),
    pytest.param("Bearer t\xc3\xb6ken", id="no ASCII"),
    pytest.param("Bearer \udcff" + "x" * 20, id="lone surrogate"),
    pytest.param("Bearer =token", id="padding first"),
    pytest.param('Bearer to"ken', id="quote"),
    pytest.param("Bearer " + "x" * 513, id="513 letters"),
    pytest.param("Bearer " + "x" * 100_000, id="100 kB"),
]


@pytest.mark.parametrize("to", [Todos, ForAnybody], ids=["needs a scope", "lets anybody in"])
@pytest.mark.parametrize("header", MALFORMED)
def test_text_that_no_token_can_be_is_refused_without_a_query(header, to):
    with statements() as sql:
        response = ask(to, HTTP_AUTHORIZATION=header)

    assert sql == []
    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


@pytest.mark.parametrize("to", [Todos, ForAnybody], ids=["needs a scope", "lets anybody in"])
@pytest.mark.parametrize("letters", [1, 30, 512])
def test_unknown_token_is_refused_also_where_anybody_may_come_in(letters, to):
    response = send("x" * letters, to=to)

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer one, Bearer two", id="header repeated"),
        pytest.param("Bearer one,two", id="two tokens"),
        pytest.param("Basic abc, Bearer one", id="behind somebody else's"),
    ],
)
def test_two_tokens_are_no_request(header):
    with statements() as sql:
        response = ask(Todos, HTTP_AUTHORIZATION=header)

    assert sql == []
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_request"'


@pytest.mark.parametrize(
    "header", ["Basic YTpi", "Digest a=b, c=d", "Word x", ""], ids=["basic", "digest", "word", "no word"]
)
def test_credential_of_another_kind_is_none_of_this(header):
    assert ask(ForAnybody, HTTP_AUTHORIZATION=header).status_code == 200
    assert ask(Todos, HTTP_AUTHORIZATION=header).json()["code"] == "token_missing"


def test_request_without_a_token_is_told_to_send_one():
    response = ask(Todos)

    assert (response.status_code, response.json()["code"]) == (401, "token_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert "access token" in response.json()["detail"]


def test_token_goes_before_a_session():
    made = make_token()
    todos = token_view(authentication_classes=[OAuthTokenAuthentication, SessionAuthentication])

    response = send(made, to=todos, user=UserFactory(is_superuser=True))

    assert response.json()["user"] == str(made.user)


def test_bad_token_never_falls_back_to_the_session():
    todos = token_view(
        authentication_classes=[OAuthTokenAuthentication, SessionAuthentication], permission_classes=[IsAuthenticated]
    )

    response = send("unknown", to=todos, user=UserFactory())

    assert response.json()["code"] == "token_invalid"


def test_answer_varies_with_the_credential():
    assert "Authorization, X-API-Key" in send(make_token())["Vary"]


@pytest.mark.parametrize(
    ("permissions", "person", "own"),
    [
        pytest.param([HasScopes("todo:read")], 200, 200, id="scope"),
        pytest.param([HasScopes("todo:write")], 403, 403, id="other scope"),
        pytest.param([HasScopes("todo:read"), HasOwner], 200, 403, id="person"),
        pytest.param([HasAPIKey], 403, 403, id="any key"),
        pytest.param([HasScopes("todo:read") | HasAPIKey], 200, 200, id="scope or any key"),
        pytest.param([~HasAPIKey], 403, 403, id="no key"),
        pytest.param([IsAuthenticated & ~HasAPIKey], 403, 403, id="anybody without a key"),
        pytest.param([~HasAPIKey | HasScopes("todo:write")], 403, 403, id="no key or other scope"),
        pytest.param([~HasAPIKey & HasScopes("todo:read")], 200, 200, id="no key and scope"),
        pytest.param([IsSessionUser], 403, 403, id="session"),
        pytest.param([IsAuthenticated], 403, 403, id="nothing declared"),
        pytest.param([], 403, 403, id="nothing"),
    ],
)
def test_permissions_hold_for_tokens_as_for_keys(permissions, person, own):
    todos = token_view(permission_classes=permissions)

    of_person, of_client = make_token(scopes="todo:read"), make_token(scopes="todo:read", user=None)

    assert [send(made, to=todos).status_code for made in (of_person, of_client)] == [person, own]


def test_decorated_handler_asks_tokens_for_its_scopes():
    @requires_scopes("todo:write")
    def get(self, request):
        raise AssertionError("it ran")

    todos = token_view(get=get)

    response = send(make_token(scopes="todo:read"), to=todos)

    assert response.json()["code"] == "insufficient_scope"
    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="insufficient_scope", scope="todo:write"'


@pytest.mark.parametrize(
    ("permissions", "sentence"),
    [
        pytest.param(
            [HasScopes("todo:write")], "This token lacks the permission “Change to-dos” (todo:write).", id="scope"
        ),
        pytest.param([IsAuthenticated], "This endpoint is not open to tokens.", id="undeclared"),
        pytest.param(
            [HasScopes("todo:read"), HasOwner], "This endpoint needs a token that acts for a person.", id="person"
        ),
    ],
)
def test_refusal_of_a_token_speaks_of_a_token(permissions, sentence):
    made = make_token(scopes="todo:read", user=None)

    assert send(made, to=token_view(permission_classes=permissions)).json()["detail"] == sentence


def test_view_without_declared_scopes_takes_tokens_where_the_setting_says_so(settings):
    settings.APIKEYS = {**settings.APIKEYS, "REQUIRE_DECLARED_SCOPES": False}

    assert send(make_token(), to=token_view(permission_classes=[IsAuthenticated])).status_code == 200


def test_token_is_no_key():
    todos = token_view(authentication_classes=[APIKeyAuthentication])

    assert send(make_token(), to=todos).json()["code"] == "key_missing"


def test_key_is_no_token():
    key = make_key()

    assert ask(Todos, key=key).json()["code"] == "token_invalid"
    assert ask(ForAnybody, key=key).json()["code"] == "token_invalid"
    assert ask(Todos, HTTP_X_API_KEY=key.plaintext).json()["code"] == "token_missing"


def test_header_for_a_view_without_permissions_of_ours_is_a_bearer_challenge():
    response = ask(token_view(permission_classes=[IsAuthenticated]))

    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


def test_tokens_of_an_app_that_has_to_ask_from_now_on_end():
    app = make_app(kind="first_party", skips_consent=True)
    token = make_token(client=app.client)
    assert send(token).status_code == 200

    applications.edit(app.link, skips_consent=False)

    assert send(token).status_code == 401


def test_token_for_a_test_leaves_out_what_no_token_holds():
    client = clients.create(name="Usage", allowed_scopes=["todo:read", "apikeys:usage"])

    made = make_token(client=client)

    assert send(made).status_code == 200
    assert get_access_token_model().objects.get().scope == "todo:read"
