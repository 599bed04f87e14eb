from __future__ import annotations

import logging

import pytest
import time_machine
from django.db import connection
from django.test import override_settings
from django.urls import path
from oauth2_provider.models import get_access_token_model
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient
from rest_framework.views import APIView

from apikeys import clients
from apikeys.models import EventKind, KeyEvent, Level, UsageCount
from apikeys.oauth.testing import make_token
from apikeys.signals import credential_refused
from apikeys.testing import ApiKeyClient

from .oauth_views import KEY_FIRST, TOKEN_FIRST, Todos, bearer, token_view
from .request_path import statements
from .usage_counts import counted

pytestmark = pytest.mark.django_db

ForAnybody = token_view(permission_classes=[AllowAny])


def in_address(made):
    return {"QUERY_STRING": f"page=2&access_token={made.plaintext}"}


def under_encoded_name(made):
    return {"QUERY_STRING": f"access%5ftoken={made.plaintext}"}


def in_both_places(made):
    return {**bearer(made), "QUERY_STRING": f"access_token={made.plaintext}"}


def in_the_clear(made):
    return {**bearer(made), "wsgi.url_scheme": "http", "QUERY_STRING": "page=2"}


QUERY = (400, "token_in_query", EventKind.SENT_IN_QUERY)
EXPOSED = [
    pytest.param(in_address, *QUERY, id="in the address"),
    pytest.param(under_encoded_name, *QUERY, id="under an encoded name"),
    pytest.param(in_both_places, *QUERY, id="in header and address"),
    pytest.param(in_the_clear, 403, "https_required", EventKind.SENT_IN_CLEAR, id="without HTTPS"),
]


def ask_with(environ, *, to=Todos):
    client = APIClient() if "wsgi.url_scheme" in environ else ApiKeyClient()
    with override_settings(ROOT_URLCONF=(path("", to.as_view()),)):
        return client.get("/", **environ)


@pytest.mark.parametrize("to", [Todos, ForAnybody], ids=["needs a scope", "lets anybody in"])
@pytest.mark.parametrize(("place", "status", "code", "kind"), EXPOSED)
def test_token_that_left_its_place_is_refused_and_leaves_one_event(place, status, code, kind, to):
    made = make_token()

    responses = [ask_with(place(made), to=to) for _ in range(3)]

    assert {(response.status_code, response.json()["code"]) for response in responses} == {(status, code)}
    assert "WWW-Authenticate" not in responses[0]
    [event] = KeyEvent.objects.filter(kind=kind)
    assert (event.client, event.key, str(event.address)) == (made.client, None, "127.0.0.1")


@pytest.mark.parametrize(("place", "status", "code", "kind"), EXPOSED)
def test_token_that_left_its_place_is_refused_before_any_query(place, status, code, kind):
    asked = []

    def note(execute, sql, *arguments):
        if sql.startswith(("SELECT", "EXECUTE", "INSERT", "UPDATE")):
            asked.append(sql)
        return execute(sql, *arguments)

    def finalize_response(self, *arguments, **options):
        before_answer.extend(asked)
        return APIView.finalize_response(self, *arguments, **options)

    before_answer: list[str] = []
    made = make_token()
    with connection.execute_wrapper(note):
        ask_with(place(made), to=token_view(finalize_response=finalize_response))

    assert before_answer == []
    assert asked != []


def test_token_in_the_address_leaves_an_event_in_each_hour():
    made = make_token()
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        ask_with(in_address(made))
        clock.shift(3600)
        ask_with(in_address(made))

    assert KeyEvent.objects.filter(kind=EventKind.SENT_IN_QUERY).count() == 2


@pytest.mark.parametrize("value", ["", "never-issued", "x" * 600, "%00", "ak_live_x"])
def test_what_was_never_a_token_is_refused_in_the_address_and_leaves_no_event(value):
    response = ask_with({"QUERY_STRING": f"access_token={value}"})

    assert (response.status_code, response.json()["code"]) == (400, "token_in_query")
    assert not KeyEvent.objects.filter(kind=EventKind.SENT_IN_QUERY).exists()


@pytest.mark.parametrize("query", ["token=x", "x=access_token", "my_access_token=x", "access_tokens=x", "q=50%25"])
def test_parameter_of_another_name_is_the_views_own(query):
    made = make_token()

    assert ask_with({**bearer(made), "QUERY_STRING": query}).status_code == 200


@pytest.mark.parametrize("classes", [KEY_FIRST, TOKEN_FIRST], ids=["key first", "token first"])
def test_token_in_the_address_is_refused_in_each_order_of_classes(classes):
    made = make_token()

    response = ask_with(in_address(made), to=token_view(authentication_classes=classes))

    assert (response.status_code, response.json()["code"]) == (400, "token_in_query")


def expired(made):
    get_access_token_model().objects.update(expires="2020-01-01T00:00:00Z")


def disabled(made):
    clients.disable(made.client)


REFUSED = [
    pytest.param(expired, bearer, "token_expired", True, id="expired"),
    pytest.param(disabled, bearer, "client_disabled", True, id="client disabled"),
    pytest.param(lambda made: None, in_address, "token_in_query", False, id="in the address"),
    pytest.param(lambda made: None, lambda made: bearer(made.plaintext[:-1]), "token_invalid", False, id="cut off"),
]


@pytest.mark.parametrize(("end", "place", "code", "names_client"), REFUSED)
def test_refusal_is_counted_logged_and_told_without_the_token(end, place, code, names_client, caplog):
    told = []

    def receive(sender, **told_of):
        told.append(told_of)

    made = make_token()
    end(made)
    caplog.set_level(logging.DEBUG)
    credential_refused.connect(receive)
    try:
        response = ask_with(place(made))
    finally:
        credential_refused.disconnect(receive)

    client_id = made.client.client_id if names_client else ""
    assert counted("outcome", "client_id", "key_id", "family", level=Level.REFUSAL) == [(code, client_id, "", "")]
    assert [(each["code"], each["key_id"]) for each in told] == [(code, "")]
    [line] = [record for record in caplog.records if record.name == "apikeys.auth"]
    assert (line.reason, line.key_id) == (code, "")
    everything = [told, response.json(), dict(response.items())]
    everything += [
        # Django hands its own handlers the request, whose headers are what was sent.
        {name: value for name, value in record.__dict__.items() if name != "request"}
        for record in caplog.records
        if record.name != "django.db.backends"
    ]
    assert made.plaintext[:12] not in repr(everything)


def test_flood_of_unknown_tokens_writes_nothing():
    ask_with(bearer("unknown"))

    with statements() as sql:
        for number in range(5):
            ask_with(bearer(f"unknown{number}"))

    assert [text.split()[0] for text in sql] in (["SELECT"] * 5, ["SELECT"] * 4 + ["EXECUTE"])
    assert not UsageCount.objects.exists()
