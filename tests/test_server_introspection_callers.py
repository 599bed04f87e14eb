from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from apikeys.drf import HasAPIKey, HasOwner, HasScopes, KeyRateThrottle, requires_scopes
from apikeys.signals import credential_refused, request_counted

from .introspected import PERSON, SERVICE, Sharing, authority, bearer, get, new_key, sharing, told

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.fixture
def server():
    with authority() as given, time_machine.travel(NOW, tick=False):
        yield given


def seen(answer, **changes):
    """What a view sees of the caller."""
    found = []

    def note(self, request):
        found.append((request.auth, request.user))
        return Response()

    with authority(answer, **changes), time_machine.travel(NOW, tick=False):
        assert get(sharing(get=note)).status_code == 200
    return found[0]


class TestPrincipal:
    def test_a_client_calls_for_itself(self):
        principal, user = seen(SERVICE)

        assert (principal.kind, principal.client_id, principal.client_name) == ("api_key", "todo-app", "To-dos")
        assert (principal.key_id, principal.family) == ("4Qm9ZtR1xVb7", "4Qm9ZtR1xVb7")
        assert principal.scopes == {"todo:read"}
        assert (user.pk, principal.user_pk, principal.acts_for_user) == ("client:todo-app", None, False)
        assert user.is_authenticated
        assert not user.is_staff

    def test_a_key_acts_for_a_person_whom_this_server_has_no_row_of(self):
        principal, user = seen(PERSON)

        assert (user.pk, user.get_username(), principal.user_pk) == ("user:7", "richard", "user:7")
        assert principal.acts_for_user

    def test_its_end_is_known(self):
        principal, _ = seen({**SERVICE, "exp": SECONDS + 60})

        assert principal.expires_at == NOW + timedelta(minutes=1)

    def test_claims_are_what_means_nothing_else(self):
        others = {"email": "r@example.com", "act": {}, "Seats": 4, "x-seats": 5, "": 6}

        principal, _ = seen({**PERSON, "subscription": "premium", "seats": 3, **others})

        assert dict(principal.claims) == {"subscription": "premium", "seats": 3}

    def test_scopes_of_the_authoritys_own_endpoints_give_nothing_here(self):
        principal, _ = seen({**SERVICE, "scope": 'todo:read apikeys:introspect sp"ace'})

        assert principal.scopes == {"todo:read"}

    @pytest.mark.parametrize(
        ("kind", "headers", "expected"),
        [
            pytest.param("signed_token", {}, "signed_token", id="told"),
            pytest.param("oauth_token", bearer("abc"), "oauth_token", id="told-of-token"),
            pytest.param(None, {}, "api_key", id="key-untold"),
            pytest.param(None, bearer("abc"), "oauth_token", id="token-untold"),
        ],
    )
    def test_its_kind_is_what_the_authority_says_or_what_was_presented(self, server, kind, headers, expected):
        server.answers["introspect"] = told(kind=kind)

        assert get(**headers).json()["kind"] == expected

    def test_rates_are_this_servers_and_quotas_none(self):
        principal, _ = seen(SERVICE, RATES=["7/min"], QUOTAS=["9/day"])

        assert [str(rate) for rate in principal.rates] == ["7/min"]
        assert principal.quotas == ()


class TestWhatViewsDemand:
    def test_a_missing_scope_is_refused(self, server):
        server.answers["introspect"] = told(scope="todo:write")

        response = get()

        assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
        assert response["WWW-Authenticate"] == 'Bearer realm="api", error="insufficient_scope", scope="todo:read"'

    @pytest.mark.parametrize("scope", ["", None], ids=["empty", "absent"])
    def test_no_scope_is_no_scope(self, server, scope):
        server.answers["introspect"] = told(scope=scope)

        assert get().json()["code"] == "insufficient_scope"

    def test_a_view_that_declares_nothing_is_closed(self, server):
        assert get(sharing(permission_classes=[IsAuthenticated])).json()["code"] == "scopes_not_declared"

    def test_a_decorated_method_demands_its_scopes(self, server):
        view = sharing(permission_classes=[HasAPIKey], get=requires_scopes("todo:write")(Sharing.get))

        assert get(view).json()["code"] == "insufficient_scope"

    @pytest.mark.parametrize(("answer", "status"), [(SERVICE, 403), (PERSON, 200)], ids=["client", "person"])
    def test_a_persons_view_needs_a_person(self, answer, status):
        with authority(answer):
            assert get(sharing(permission_classes=[HasScopes("todo:read") & HasOwner])).status_code == status

    @pytest.mark.parametrize(
        ("headers", "status"), [pytest.param({}, 200, id="key"), pytest.param(bearer("abc"), 403, id="token")]
    )
    def test_a_view_for_keys_takes_no_token(self, server, headers, status):
        server.answers["introspect"] = told(kind=None)

        assert get(sharing(permission_classes=[HasAPIKey]), **headers).status_code == status

    def test_rates_of_this_server_hold(self):
        view = sharing(throttle_classes=[KeyRateThrottle])
        with authority(SERVICE, RATES=["2/h"], LIMITS_STORAGE="memory://"):
            responses = [get(view) for _ in range(3)]

        assert [response.status_code for response in responses] == [200, 200, 429]
        assert responses[2].json()["code"] == "rate_limited"


class TestTelling:
    def test_requests_are_told_to_exporters(self, server):
        told_of = []

        def note(**kwargs):
            told_of.append((kwargs["client_id"], kwargs["key_id"], kwargs["outcome"]))

        request_counted.connect(note)
        try:
            get()
        finally:
            request_counted.disconnect(note)

        assert told_of == [("todo-app", "4Qm9ZtR1xVb7", "ok")]

    def test_refusals_are_told_and_logged_without_the_credential(self, caplog):
        caplog.set_level("INFO", logger="apikeys.auth")
        codes, key = [], new_key()

        def note(**kwargs):
            codes.append(kwargs["code"])

        credential_refused.connect(note)
        try:
            with authority({"active": False}):
                get(key=key)
        finally:
            credential_refused.disconnect(note)

        assert codes == ["key_invalid"]
        assert [record.reason for record in caplog.records if record.name == "apikeys.auth"] == ["key_invalid"]
        assert key not in caplog.text
