from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.test import APIClient

from apikeys.drf import HasOwner, HasScopes
from apikeys.resource_server import verifying
from apikeys.signals import credential_refused
from apikeys.signed import keys

from . import token_cases
from .authority_stand_in import as_json
from .drf_views import ask, derived
from .oauth_views import bearer
from .signed_requests import Summaries, authority, make_token

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

Open = derived(Summaries, permission_classes=[AllowAny])
NO_SCOPE = (403, "insufficient_scope")
#: Their ``sub`` is neither a person's nor a client's.
NOBODY = (401, "token_invalid")
#: What becomes of tokens that are good and don't open the view, by the name of the case.
NOT_LET_IN = {
    "no scope": NO_SCOPE,
    "scope empty": NO_SCOPE,
    "given: valid": NOBODY,
    "given: typ at+JWT upper case": NOBODY,
    "sub of 255 characters": NOBODY,
}


@pytest.fixture(autouse=True)
def now():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def server():
    with authority() as found:
        yield found


def send(token: str, *, to: Any = Summaries, **extra: Any) -> Any:
    return ask(to, **bearer(token), **extra)


def outcome_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


def test_token_lets_its_person_in(server):
    response = send(make_token())

    assert response.status_code == 200
    assert response.json() == {"user": "user:7", "kind": "signed_token"}


def test_principal_is_who_the_token_says(server):
    seen = []

    def get(self, request):
        seen.append(request.auth)
        return Response()

    view = derived(Summaries, get=get)

    send(make_token(scopes=("todo:read", "todo:write"), claims={"subscription": "premium"}), to=view)

    [found] = seen
    assert (found.kind, found.client_id, found.key_id, found.family, found.user_pk, found.acts_for_user) == (
        "signed_token",
        "todo-app",
        "4Qm9ZtR1xVb7",
        "4Qm9ZtR1xVb7",
        "user:7",
        True,
    )
    assert (found.scopes, dict(found.claims)) == ({"todo:read", "todo:write"}, {"subscription": "premium"})
    assert found.expires_at == NOW + timedelta(minutes=10)


def test_token_of_a_client_acts_for_nobody(server):
    view = derived(Summaries, permission_classes=[*Summaries.permission_classes, HasOwner])

    response = send(make_token(subject="client:todo-app"), to=view)

    assert outcome_of(response) == (403, "owner_required")


def test_scopes_of_the_authority_itself_are_left_out(server):
    view = derived(Summaries, permission_classes=[HasScopes("apikeys:introspect")])

    response = send(make_token(scopes=("todo:read", "apikeys:introspect")), to=view)

    assert outcome_of(response) == (403, "insufficient_scope")


@pytest.mark.parametrize("subject", ["7", "client:another", "user:", "client:", "todo-app"])
def test_token_of_neither_a_person_nor_its_client_is_refused(server, subject):
    response = send(make_token(subject=subject))

    assert outcome_of(response) == (401, "token_invalid")


def test_missing_scope_is_named(server):
    response = send(make_token(scopes=("todo:write",)))

    assert outcome_of(response) == (403, "insufficient_scope")
    assert response.json()["detail"].startswith("This token lacks")
    assert 'scope="todo:read"' in response["WWW-Authenticate"]


def test_request_without_token_is_told_what_to_send(server):
    response = ask(Summaries)

    assert outcome_of(response) == (401, "token_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert server.server.asked == []


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        pytest.param(timedelta(minutes=10, seconds=29), (200, ""), id="within the leeway"),
        pytest.param(timedelta(minutes=10, seconds=30), (401, "token_expired"), id="past it"),
    ],
)
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "remembered"])
def test_token_counts_until_its_end(server, now, later, outcome, is_known):
    token = make_token()
    if is_known:
        send(token)

    now.shift(later)
    response = send(token)

    assert outcome_of(response) == outcome
    if outcome[0] == 401:
        assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


class Widgets(Summaries):
    permission_classes = [HasScopes("widgets:read")]


SENDABLE = [case for case in token_cases.CASES if case.is_sendable]


@pytest.fixture(scope="module")
def server_of_cases():
    given = {"ISSUER": token_cases.ISSUER, "AUDIENCE": token_cases.AUDIENCE, "CLOCK_LEEWAY": token_cases.LEEWAY}
    with authority(**given, REVOCATIONS_POLL_INTERVAL=None) as found:
        found.server.answers["jwks.json"] = as_json(token_cases.JWKS)
        yield found.server


@pytest.mark.parametrize("case", [case for case in SENDABLE if case.expected == "accept"], ids=lambda case: case.name)
def test_good_token_is_let_in_as_far_as_it_goes(now, server_of_cases, case):
    now.move_to(token_cases.NOW)

    response = send(case.token, to=Widgets)

    assert outcome_of(response) == NOT_LET_IN.get(case.name, (200, ""))


@pytest.mark.parametrize("view", [Widgets, Open], ids=["needs a scope", "open to anybody"])
@pytest.mark.parametrize("case", [case for case in SENDABLE if case.expected != "accept"], ids=lambda case: case.name)
def test_bad_token_is_refused_as_all_others(now, server_of_cases, case, view):
    now.move_to(token_cases.NOW)

    response = send(case.token, to=view)

    assert outcome_of(response) == (401, f"token_{case.expected}")
    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


def test_no_token_sends_this_server_anywhere_else(now, server_of_cases):
    now.move_to(token_cases.NOW)

    for case in SENDABLE:
        send(case.token, to=Widgets)

    assert {asked.path for asked in server_of_cases.asked} == {"jwks.json"}


@pytest.mark.parametrize(
    ("networks", "address", "outcome"),
    [
        pytest.param([["192.0.2.0/25"]], "192.0.2.127", (200, ""), id="last address of the network"),
        pytest.param([["192.0.2.0/25"]], "192.0.2.128", (403, "ip_not_allowed"), id="first address behind it"),
        pytest.param([["192.0.2.0/24"], ["192.0.2.9/32"]], "192.0.2.9", (200, ""), id="of key and client"),
        pytest.param([["192.0.2.0/24"], ["192.0.2.9/32"]], "192.0.2.8", (403, "ip_not_allowed"), id="not of both"),
        pytest.param([["2001:db8::/48"], ["192.0.2.9"]], "192.0.2.9", (403, "ip_not_allowed"), id="not of the first"),
        pytest.param([["192.0.2.0/24"]], "::ffff:192.0.2.9", (200, ""), id="mapped"),
        pytest.param([[]], "192.0.2.9", (403, "ip_not_allowed"), id="empty means none"),
        pytest.param([["0.0.0.0/0", "::/0"]], "", (403, "ip_not_allowed"), id="address unknown"),
        pytest.param([], "", (200, ""), id="not bound"),
    ],
)
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "remembered"])
def test_networks_of_the_token_hold(server, networks, address, outcome, is_known):
    token = make_token(networks=tuple(map(tuple, networks)))
    if is_known:
        send(token, REMOTE_ADDR=networks[-1][-1].partition("/")[0] if networks and networks[-1] else "")

    response = send(token, REMOTE_ADDR=address)

    assert outcome_of(response) == outcome


def test_token_is_refused_over_plain_http(server):
    client: Any = APIClient()

    with override_settings(ROOT_URLCONF=(path("", Summaries.as_view()),)):
        response = client.get("/", **bearer(make_token()))

    assert outcome_of(response) == (403, "https_required")
    assert server.server.asked == []


@pytest.mark.parametrize("name", ["access_token", "access%5Ftoken"])
@pytest.mark.parametrize("view", [Summaries, Open], ids=["needs a scope", "open to anybody"])
def test_token_in_the_address_is_refused(server, name, view):
    response = ask(view, address=f"/?page=2&{name}={make_token()}")

    assert outcome_of(response) == (400, "token_in_query")


def test_other_parameters_are_nothing_to_it(server):
    response = send(make_token(), address="/?page=2&access_token=&token=a.b.c")

    assert response.status_code == 200


@pytest.mark.parametrize(
    "header", ["Bearer {0}, Bearer {0}", "Bearer {0}, Bearer x", "Basic eDp5, Bearer {0}", "Bearer x,bearer  {0}"]
)
def test_repeated_header_is_refused(server, header):
    response = ask(Open, HTTP_AUTHORIZATION=header.format(make_token()))

    assert outcome_of(response) == (400, "invalid_request")


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_scheme_is_read_in_any_case(server, word):
    response = ask(Summaries, HTTP_AUTHORIZATION=f"{word} {make_token()}")

    assert response.status_code == 200


@pytest.mark.parametrize("name", ["ISSUER", "AUDIENCE"])
def test_server_that_does_not_know_itself_answers_nobody(name):
    with authority(**{name: ""}), pytest.raises(ImproperlyConfigured, match=name):
        send(make_token())


def test_token_for_another_server_is_refused_though_it_is_remembered_there(server):
    token = make_token()
    assert send(token).status_code == 200

    with override_settings(APIKEYS={**settings.APIKEYS, "AUDIENCE": "https://sharing.example.com"}):
        response = send(token)

    assert outcome_of(response) == (401, "token_invalid")


@pytest.mark.parametrize("most", [0, 1, 10_000])
def test_as_many_tokens_are_remembered_as_are_allowed(most):
    with authority(REMEMBERED_TOKENS=most):
        made = [make_token() for _ in range(3)]

        answers = [send(token).status_code for token in made * 2]

        assert answers == [200] * 6
        assert len(verifying._verified) == min(most, 3)  # noqa: SLF001  # nobody else can tell


def test_remembered_token_with_another_signature_is_refused(server):
    token = make_token()
    head, body, _tail = token.split(".")
    other = make_token(signed_by=keys.generate("ES256"))
    assert send(token).status_code == 200

    response = send(f"{head}.{body}.{other.split('.')[2]}")

    assert outcome_of(response) == (401, "token_invalid")


def test_token_and_key_of_this_server_stay_out_of_the_log(server, caplog):
    caplog.set_level(logging.DEBUG)
    good, bad = make_token(), make_token(audience="https://other.example.com")

    send(good)
    send(bad)

    assert "credential refused" in caplog.text
    texts = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert not [text for text in texts if good in text or bad in text or "the-key-of-this-server" in text]


def test_refusal_is_told_with_its_code_and_key(server):
    told = []

    def receive(code, key_id, address, **kwargs):
        told.append((code, key_id, address))

    credential_refused.connect(receive)
    try:
        send(make_token(networks=(("192.0.2.0/24",),)))
    finally:
        credential_refused.disconnect(receive)

    assert told == [("ip_not_allowed", "4Qm9ZtR1xVb7", "127.0.0.1")]
