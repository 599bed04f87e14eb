from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, get_device_grant_model

from apikeys import clients
from apikeys.oauth import consents
from tests import oauth

pytestmark = pytest.mark.django_db


@pytest.fixture
def watch():
    return oauth.make_app(oauth.DEVICE_CODE, is_public=True)


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    return time_machine


def start(app, **changes):
    response = oauth.start_device(app, **changes)
    assert response.status_code == 200, response.text
    return response.json()


def decide(started, status, **fields):
    code = started["user_code"].replace("-", "")
    assert get_device_grant_model().objects.filter(user_code=code).update(status=status, **fields) == 1


def error_of_poll(app, started):
    return oauth.error_of(oauth.poll_device(app, started["device_code"]))


def test_a_device_gets_a_code_to_show_and_where_to_type_it_in(watch):
    started = start(watch)

    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", started["user_code"])
    assert started["verification_uri"] == "https://testserver/o/device/"
    assert started["verification_uri_complete"] == f"https://testserver/o/device/?user_code={started['user_code']}"
    assert (started["expires_in"], started["interval"]) == (1800, 5)
    assert set(started) == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }


@pytest.mark.parametrize("resource", ["https://api.example/", ["", "https://api.example/"]], ids=["one", "the second"])
def test_a_device_that_asks_for_a_resource_too_early_is_refused(watch, resource):
    response = oauth.start_device(watch, resource=resource)

    assert oauth.error_of(response) == (400, "invalid_target")
    assert oauth.refusals() == [(watch.client.name, "invalid_target")]
    assert not get_device_grant_model().objects.exists()


def test_a_device_names_the_resource_where_it_asks_for_its_token(watch):
    started = start(watch, resource="")
    oauth.approve_device(watch, oauth.make_person(), started)

    response = oauth.poll_device(watch, started["device_code"], resource="https://api.example/")

    assert response.status_code == 200
    assert get_access_token_model().objects.get().resource == ["https://api.example/"]


def test_nobody_keeps_what_a_device_was_told(watch):
    response = oauth.start_device(watch)

    assert response.headers["cache-control"] == "no-store"
    assert not get_device_grant_model().objects.filter(device_code=response.json()["device_code"]).exists()


def test_what_the_database_has_of_a_device_code_is_no_device_code(watch):
    started = start(watch)
    oauth.approve_device(watch, oauth.make_person(), started)
    stored = get_device_grant_model().objects.get().device_code

    assert oauth.error_of(oauth.poll_device(watch, stored)) == (400, "invalid_grant")


def test_no_two_devices_show_one_code(watch, monkeypatch):
    first = start(watch)["user_code"].replace("-", "")
    letters = iter([*first, *"ZZZZXXXX"])
    monkeypatch.setattr("apikeys.oauth.devices.secrets.choice", lambda alphabet: next(letters))

    assert start(watch)["user_code"] == "ZZZZ-XXXX"


def test_where_every_code_is_shown_a_device_is_asked_to_come_back(watch, monkeypatch):
    monkeypatch.setattr("apikeys.oauth.devices.secrets.choice", lambda alphabet: "Z")
    start(watch)

    assert oauth.error_of(oauth.start_device(watch)) == (400, "temporarily_unavailable")


@pytest.mark.parametrize(
    ("sign_in", "changes", "expected"),
    [
        (oauth.DEVICE_CODE, {"scope": "usage:read"}, (400, "invalid_scope")),
        (oauth.DEVICE_CODE, {"scope": "apikeys:usage"}, (400, "invalid_scope")),
        (oauth.DEVICE_CODE, {"client_id": "unknown"}, (401, "invalid_client")),
        (oauth.DEVICE_CODE, {"client_id": None}, (400, "invalid_request")),
        ("authorization-code", {}, (400, "unauthorized_client")),
    ],
    ids=["above the ceiling", "reserved", "unknown client", "no client", "another grant"],
)
def test_a_device_that_may_not_ask_is_told_so(sign_in, changes, expected):
    app = oauth.make_app(sign_in, is_public=True)
    data = {"client_id": app.client_id, "scope": "todo:read", **changes}

    response = oauth.post(
        oauth.DEVICE_AUTHORIZATION, {name: value for name, value in data.items() if value is not None}
    )

    assert oauth.error_of(response) == expected
    assert not get_device_grant_model().objects.exists()
    assert len(oauth.refusals()) == 1


def test_a_confidential_device_authenticates_before_it_gets_a_code():
    app = oauth.make_app(oauth.DEVICE_CODE)
    data = {"client_id": app.client_id, "scope": "todo:read"}

    assert oauth.error_of(oauth.post(oauth.DEVICE_AUTHORIZATION, data)) == (401, "invalid_client")
    assert oauth.post(oauth.DEVICE_AUTHORIZATION, {"scope": "todo:read"}, app=app).status_code == 200


def test_a_disabled_client_gets_no_code(watch):
    clients.disable(watch.client)

    assert oauth.error_of(oauth.start_device(watch)) == (401, "invalid_client")


# Asking


def test_a_device_may_ask_at_once_and_then_every_five_seconds(watch, clock):
    started = start(watch)

    assert error_of_poll(watch, started) == (400, "authorization_pending")
    clock.shift(timedelta(seconds=5))
    assert error_of_poll(watch, started) == (400, "authorization_pending")


def test_a_device_that_asks_too_early_has_to_wait_five_seconds_longer(watch, clock):
    started = start(watch)
    error_of_poll(watch, started)
    clock.shift(timedelta(seconds=4.9))

    assert error_of_poll(watch, started) == (400, "slow_down")
    clock.shift(timedelta(seconds=9.9))
    assert error_of_poll(watch, started) == (400, "slow_down")
    clock.shift(timedelta(seconds=15))
    assert error_of_poll(watch, started) == (400, "authorization_pending")


def test_asking_leaves_no_event(watch):
    started = start(watch)

    error_of_poll(watch, started)
    error_of_poll(watch, started)

    assert oauth.refusals() == []


def test_a_device_never_waits_longer_than_a_minute(watch, clock):
    started = start(watch)
    for _hurry in range(20):
        error_of_poll(watch, started)

    clock.shift(timedelta(minutes=1))

    assert error_of_poll(watch, started) == (400, "authorization_pending")


def test_an_approved_device_gets_its_token_however_early_it_asks(watch):
    started = start(watch)
    error_of_poll(watch, started)
    oauth.approve_device(watch, oauth.make_person(), started)

    assert oauth.poll_device(watch, started["device_code"]).status_code == 200


def test_a_denied_device_is_told_so(watch):
    started = start(watch)
    decide(started, "denied", user=oauth.make_person())

    assert error_of_poll(watch, started) == (400, "access_denied")
    assert oauth.issued() == (0, 0, 0)


@pytest.mark.parametrize(("seconds", "expected"), [(1799, "authorization_pending"), (1800, "expired_token")])
def test_a_code_ends_when_it_said(watch, clock, seconds, expected):
    started = start(watch)

    clock.shift(timedelta(seconds=seconds))

    assert error_of_poll(watch, started) == (400, expected)


def test_an_approval_that_nobody_came_for_ends_too(watch, clock):
    started = start(watch)
    oauth.approve_device(watch, oauth.make_person(), started)

    clock.shift(timedelta(seconds=1800))

    assert error_of_poll(watch, started) == (400, "expired_token")
    assert oauth.issued() == (0, 0, 0)


# Confusion


@pytest.mark.parametrize("device_code", ["unknown", "", None, "x" * 5000], ids=["unknown", "empty", "missing", "long"])
def test_a_device_code_that_nobody_has_gives_nothing(watch, device_code):
    status, error = oauth.error_of(oauth.poll_device(watch, device_code))

    assert status == 400
    assert error == ("invalid_grant" if device_code else "invalid_request")
    assert oauth.refusals() == [(watch.client.name, error)]


def test_the_code_that_people_see_is_no_device_code(watch):
    started = start(watch)
    oauth.approve_device(watch, oauth.make_person(), started)

    for shown in (started["user_code"], started["user_code"].replace("-", "")):
        assert oauth.error_of(oauth.poll_device(watch, shown)) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)


def test_the_device_code_of_another_app_is_unknown_and_stays_good(watch):
    other = oauth.make_app(oauth.DEVICE_CODE, is_public=True)
    started = start(watch)
    oauth.approve_device(watch, oauth.make_person(), started)

    assert error_of_poll(other, started) == (400, "invalid_grant")
    assert oauth.poll_device(watch, started["device_code"]).status_code == 200


def test_a_device_code_stands_for_one_person(watch):
    dinesh, richard = oauth.make_person("dinesh"), oauth.make_person("richard")
    started = start(watch)
    # Approved by one who let the app do nothing, while another did.
    consents.give(richard, watch.client, scopes=["todo:read"])
    decide(started, "authorized", user=dinesh)

    assert error_of_poll(watch, started) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)


def test_a_device_code_approved_by_nobody_gives_nothing(watch):
    started = start(watch)
    decide(started, "authorized")

    assert error_of_poll(watch, started) == (400, "invalid_grant")


def test_a_device_gets_what_the_person_allowed_and_no_more(watch):
    person = oauth.make_person()
    started = start(watch, scope="todo:read todo:write")
    oauth.approve_device(watch, person, started, scopes=["todo:read"])

    token = oauth.poll_device(watch, started["device_code"], scope="todo:read todo:write").json()

    assert token["scope"] == "todo:read"


def test_codes_that_ended_are_taken_away_by_new_ones(watch, clock):
    start(watch)
    clock.shift(timedelta(days=2))

    start(watch)

    assert get_device_grant_model().objects.count() == 1


# Starting, which needs no more than the id of an app that keeps no secret


def test_one_network_starts_60_devices_of_one_app_in_a_minute(watch, clock, settings):
    # A server that counts has a clock of its own, which is not shifted.
    settings.APIKEYS = {**settings.APIKEYS, "LIMITS_STORAGE": "memory://"}
    for _device in range(60):
        start(watch)

    refused = oauth.start_device(watch)

    assert oauth.error_of(refused) == (429, "temporarily_unavailable")
    assert refused.headers["retry-after"] == "60"
    assert get_device_grant_model().objects.count() == 60
    assert oauth.refusals() == [(watch.client.name, "temporarily_unavailable")]
    clock.shift(timedelta(minutes=1))
    start(watch)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"data": {"client_secret": "made-up"}}, id="secret in the body"),
        pytest.param({"data": {"client_secret": ""}}, id="empty secret in the body"),
        pytest.param({"auth": "made-up"}, id="secret in Basic"),
    ],
)
def test_a_secret_that_nobody_checks_starts_no_more_devices(watch, clock, settings, sent):
    settings.APIKEYS = {**settings.APIKEYS, "LIMITS_STORAGE": "memory://"}
    for _device in range(60):
        start(watch)
    data = {"client_id": watch.client_id, "scope": "todo:read", **sent.get("data", {})}
    made_up = oauth.App(link=watch.link, secret=sent["auth"]) if "auth" in sent else None

    refused = oauth.post(oauth.DEVICE_AUTHORIZATION, data, app=made_up)

    assert oauth.error_of(refused) == (429, "temporarily_unavailable")


def test_an_app_with_a_secret_starts_as_many_devices_as_it_likes(clock):
    app = oauth.make_app(oauth.DEVICE_CODE)
    for _device in range(61):
        start(app)

    assert get_device_grant_model().objects.count() == 61
