from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from rest_framework.authentication import BasicAuthentication, TokenAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.test import APIRequestFactory

from apikeys.drf import HasScopes

from .introspected import (
    AUDIENCE,
    ISSUER,
    SERVER_KEY,
    SERVICE,
    Sharing,
    authority,
    bearer,
    get,
    inactive,
    new_key,
    sharing,
    told,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.fixture
def server():
    with authority() as given, time_machine.travel(NOW, tick=False):
        yield given


class TestAsking:
    def test_the_authority_is_asked_once_about_the_whole_key_with_the_servers_own(self, server):
        key = new_key()

        response = get(key=key)

        assert response.status_code == 200
        [asked] = server.asked
        assert (asked.method, asked.path) == ("POST", "introspect")
        assert asked.form == {"token": [key], "networks_enforced": ["true"]}
        assert asked.headers["Authorization"] == f"Bearer {SERVER_KEY}"
        assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param(bearer, id="bearer"),
            pytest.param(lambda key: {"HTTP_AUTHORIZATION": f"Api-Key {key}"}, id="api-key"),
            pytest.param(lambda key: {"HTTP_X_API_KEY": key}, id="x-api-key"),
        ],
    )
    def test_a_key_is_taken_wherever_a_key_may_stand(self, server, headers):
        key = new_key()

        assert get(**headers(key)).status_code == 200
        assert server.asked[0].form["token"] == [key]

    @pytest.mark.parametrize("token", ["2YotnFZFEjr1zCsicMWpAA", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "a" * 8192])
    def test_any_other_bearer_token_is_asked_about(self, server, token):
        assert get(**bearer(token)).status_code == 200
        assert server.asked[0].form["token"] == [token]

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"HTTP_AUTHORIZATION": "Basic dXNlcjpwYXNzd29yZA=="}, id="basic"),
            pytest.param({"HTTP_AUTHORIZATION": "Token 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"}, id="token"),
        ],
    )
    def test_what_is_of_another_scheme_is_left_to_others(self, server, headers):
        response = get(key="", HTTP_AUTHORIZATION=headers.get("HTTP_AUTHORIZATION", ""))

        assert response.status_code == 401
        assert response.json()["code"] == "key_missing"
        assert response.json()["detail"].startswith("This endpoint needs an API key or an access token.")
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'
        assert server.asked == []

    def test_the_next_authentication_gets_what_is_left(self, server):
        class Reader(BasicAuthentication):
            def authenticate_credentials(self, userid, password, request=None):
                return (userid, None)

        view = sharing(authentication_classes=[*Sharing.authentication_classes, Reader], permission_classes=[AllowAny])

        assert get(view, HTTP_AUTHORIZATION="Basic dXNlcjpwYXNzd29yZA==").status_code == 200

    def test_what_others_would_read_as_well_is_for_the_authority_first(self, server):
        class Bearer(TokenAuthentication):
            keyword = "Bearer"

        view = sharing(authentication_classes=[*Sharing.authentication_classes, Bearer])

        assert get(view, **bearer("2YotnFZFEjr1zCsicMWpAA")).json()["kind"] == "api_key"

    @pytest.mark.parametrize(
        ("is_before", "outcome"), [(False, (401, "token_invalid")), (True, (200, ""))], ids=["after", "before"]
    )
    def test_foreign_bearer_tokens_are_read_by_what_goes_before_alone(self, is_before, outcome):
        class Foreign(TokenAuthentication):
            keyword = "Bearer"

            def authenticate_credentials(self, key):
                return (None, None)

        ways = [*Sharing.authentication_classes]
        ways.insert(0 if is_before else 1, Foreign)

        with authority(inactive) as server:
            response = get(
                sharing(authentication_classes=ways, permission_classes=[AllowAny]), **bearer("2YotnFZFEjr1zCsicMWpAA")
            )

        assert (response.status_code, response.json().get("code", "")) == outcome
        assert len(server.asked) == (not is_before)


INVALID = (401, 'Bearer realm="api", error="invalid_token"')
AMBIGUOUS = (400, 'Bearer realm="api", error="invalid_request"')
EXPOSED = (400, None)


class TestRefusedUnasked:
    @pytest.mark.parametrize(
        ("headers", "code", "expected"),
        [
            pytest.param({"HTTP_X_API_KEY": "ak_live_short"}, "key_malformed", INVALID, id="cut-off"),
            pytest.param(bearer("ak_live_short"), "key_malformed", INVALID, id="cut-off-bearer"),
            pytest.param(bearer("a b"), "token_invalid", INVALID, id="space-in-token"),
            pytest.param(bearer("a" * 8193), "token_invalid", INVALID, id="over-long-token"),
            pytest.param(bearer("\xe4"), "token_invalid", INVALID, id="no-ascii"),
            pytest.param(bearer("a, Bearer b"), "invalid_request", AMBIGUOUS, id="two-tokens"),
            pytest.param({"HTTP_AUTHORIZATION": "Basic YTpi, Bearer b"}, "invalid_request", AMBIGUOUS, id="repeated"),
            pytest.param({"QUERY_STRING": "access_token=a"}, "token_in_query", EXPOSED, id="token-in-query"),
            pytest.param({"QUERY_STRING": "access%5Ftoken=a"}, "token_in_query", EXPOSED, id="encoded"),
        ],
    )
    @pytest.mark.parametrize("permission", [HasScopes("todo:read"), AllowAny], ids=["scopes", "anybody"])
    def test_what_can_be_no_credential_is_refused(self, server, permission, headers, code, expected):
        response = get(sharing(permission_classes=[permission]), **headers)

        assert (response.status_code, response.get("WWW-Authenticate")) == expected
        assert response.json()["code"] == code
        assert server.asked == []

    def test_a_key_in_the_address_is_refused(self, server):
        response = get(QUERY_STRING=f"key={new_key()}")

        assert (response.status_code, response.json()["code"]) == (400, "key_in_query")
        assert server.asked == []

    @pytest.mark.parametrize("token", ["2YotnFZFEjr1zCsicMWpAA", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"])
    def test_a_key_and_a_token_on_one_request_are_refused(self, server, token):
        response = get(HTTP_X_API_KEY=new_key(), **bearer(token))

        assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
        assert server.asked == []

    def test_a_key_of_the_other_mode_is_refused(self, server):
        response = get(key=new_key(mode="test"))

        assert (response.status_code, response.json()["code"]) == (401, "wrong_mode")
        assert server.asked == []

    @pytest.mark.parametrize(
        "credential", [pytest.param(new_key, id="key"), pytest.param(lambda: "2YotnFZFEjr1zCsicMWpAA", id="token")]
    )
    def test_what_came_in_the_clear_is_refused(self, server, credential):
        request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {credential()}"})

        response = Sharing.as_view()(request)

        assert response.status_code == 403
        assert response.data["code"] == "https_required"
        assert server.asked == []


class TestAnswers:
    @pytest.mark.parametrize("value", [False, None, "true", 1, [], {}])
    def test_whatever_is_not_true_is_inactive(self, value):
        with authority({**SERVICE, "active": value}):
            response = get()

        assert (response.status_code, response.json()["code"]) == (401, "key_invalid")
        assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'

    def test_an_inactive_token_is_refused_as_a_token(self):
        with authority({"active": False}):
            response = get(**bearer("2YotnFZFEjr1zCsicMWpAA"))

        assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
        assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'

    @pytest.mark.parametrize("credential", [pytest.param(new_key, id="key"), pytest.param(lambda: "abc", id="token")])
    def test_an_inactive_credential_is_refused_where_anybody_is_let_in(self, credential):
        with authority({"active": False}):
            assert get(sharing(permission_classes=[AllowAny]), **bearer(credential())).status_code == 401

    @pytest.mark.parametrize(
        "audience",
        [
            pytest.param(AUDIENCE, id="text"),
            pytest.param([AUDIENCE], id="list"),
            pytest.param(["https://other.example.com", AUDIENCE], id="among-others"),
        ],
    )
    def test_this_server_is_in_the_audience(self, server, audience):
        server.answers["introspect"] = told(aud=audience)

        assert get().status_code == 200

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"aud": "https://other.example.com"}, id="other-audience"),
            pytest.param({"aud": f"{AUDIENCE}/"}, id="almost"),
            pytest.param({"aud": []}, id="empty-audience"),
            pytest.param({"aud": None}, id="no-audience"),
            pytest.param({"iss": "https://other.example.com"}, id="other-issuer"),
            pytest.param({"iss": f"{ISSUER}/"}, id="almost-issuer"),
            pytest.param({"iss": None}, id="no-issuer"),
            pytest.param({"token_type": "DPoP"}, id="token-type"),
            pytest.param({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}, id="bound"),
        ],
    )
    def test_what_is_meant_for_others_is_refused(self, server, changes):
        server.answers["introspect"] = told(**changes)

        assert (get().status_code, get().json()["code"]) == (401, "key_invalid")
        assert get(**bearer("abc")).json()["code"] == "token_invalid"

    def test_other_audiences_are_told_in_the_log(self, server, caplog):
        server.answers["introspect"] = told(aud="https://other.example.com")

        get()
        get()

        [line] = [record for record in caplog.records if record.levelname == "ERROR" and "AUDIENCE" in record.message]
        assert line.name == "apikeys.auth"

    @pytest.mark.parametrize(
        ("exp", "status"),
        [
            pytest.param(SECONDS - 29, 200, id="within-leeway"),
            pytest.param(SECONDS - 30, 401, id="at-leeway"),
            pytest.param(0, 401, id="1970"),
            pytest.param(253_402_300_799, 200, id="last"),
        ],
    )
    def test_the_end_counts_by_this_servers_clock_with_leeway(self, server, exp, status):
        server.answers["introspect"] = told(exp=exp)

        assert get().status_code == status

    def test_what_has_ended_says_so(self, server):
        server.answers["introspect"] = told(exp=SECONDS - 60)

        answers = [get(), get(**bearer("abc"))]

        assert [answer.json()["code"] for answer in answers] == ["key_expired", "token_expired"]
        assert [answer.json()["expired_at"] for answer in answers] == ["2026-11-22T11:59:00Z"] * 2

    @pytest.mark.parametrize(
        ("nbf", "status"),
        [pytest.param(SECONDS + 30, 200, id="at-leeway"), pytest.param(SECONDS + 31, 401, id="beyond")],
    )
    def test_what_has_not_begun_is_refused(self, server, nbf, status):
        server.answers["introspect"] = told(nbf=nbf)

        assert get().status_code == status

    def test_the_leeway_is_a_setting(self):
        with authority(told(exp=SECONDS - 1), CLOCK_LEEWAY=timedelta(0)), time_machine.travel(NOW, tick=False):
            assert get().json()["code"] == "key_expired"


class TestNetworks:
    @pytest.mark.parametrize(
        ("networks", "status"),
        [
            pytest.param(None, 200, id="not-bound"),
            pytest.param([["127.0.0.0/8"]], 200, id="inside"),
            pytest.param([["192.0.2.0/24", "127.0.0.1/32"]], 200, id="in-one-of-a-list"),
            pytest.param([["192.0.2.0/24"]], 403, id="outside"),
            pytest.param([["127.0.0.0/8"], ["192.0.2.0/24"]], 403, id="clients-outside"),
            pytest.param([["127.0.0.0/8"], ["127.0.0.1"]], 200, id="in-both"),
            pytest.param([[]], 403, id="empty-list"),
            pytest.param([["nonsense"]], 403, id="unreadable"),
        ],
    )
    def test_a_bound_key_is_let_in_from_its_networks_alone(self, server, networks, status):
        server.answers["introspect"] = told(networks=networks)

        response = get()

        assert response.status_code == status
        assert status == 200 or response.json()["code"] == "ip_not_allowed"

    def test_the_address_behind_a_trusted_proxy_counts(self):
        with authority(told(networks=[["192.0.2.0/24"]]), TRUSTED_PROXIES=["127.0.0.1"]):
            responses = [
                get(key=new_key(), HTTP_X_FORWARDED_FOR=address, HTTP_X_FORWARDED_PROTO="https")
                for address in ("192.0.2.7", "203.0.113.7")
            ]

        assert [response.status_code for response in responses] == [200, 403]
