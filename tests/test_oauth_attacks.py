from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from oauth2_provider.models import get_grant_model

from apikeys import clients
from apikeys.models import EventKind, KeyEvent
from apikeys.oauth import applications, consents
from apikeys.oauth.models import SpentCode
from tests import oauth

pytestmark = pytest.mark.django_db

OTHER_VERIFIER = "w" * 64


def refused_once(app, response, *, error="invalid_grant", status=400):
    assert oauth.error_of(response) == (status, error)
    assert oauth.refusals() == [(app.client.name, error)]


# A code in the wrong hands


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": OTHER_VERIFIER},
        {"code_verifier": "ü" * 43},
        {"redirect_uri": "https://app.example/callback/"},
        {"redirect_uri": "https://evil.example/callback"},
        {"code": "0" * 30},
    ],
    ids=["another verifier", "no ASCII", "another path", "another host", "another code"],
)
def test_a_stolen_code_is_worth_nothing(changes):
    app = oauth.make_app(is_public=True)
    code = oauth.get_code(app, oauth.make_person())

    response = oauth.exchange(app, code, **changes)

    refused_once(app, response)
    assert oauth.issued() == (0, 0, 1)


@pytest.mark.parametrize(
    ("verifier", "error"), [(None, "invalid_request"), ("", "invalid_grant")], ids=["missing", "empty"]
)
def test_a_code_without_verifier_is_worth_nothing(verifier, error):
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())

    response = oauth.exchange(app, code, code_verifier=verifier)

    refused_once(app, response, error=error)
    assert oauth.issued() == (0, 0, 1)


def test_a_code_is_not_proven_by_its_own_challenge():
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())
    challenge = get_grant_model().objects.get().code_challenge

    refused_once(app, oauth.exchange(app, code, code_verifier=challenge))


def test_what_the_database_has_of_a_code_is_no_code():
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())
    stored = get_grant_model().objects.get().code

    assert stored != code.code
    refused_once(app, oauth.exchange(app, oauth.Code(stored, code.verifier)))


def test_a_stolen_code_of_a_confidential_app_needs_its_secret():
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())
    data = {"grant_type": "authorization_code", "code": code.code, "code_verifier": code.verifier}

    response = oauth.post(oauth.TOKEN, {**data, "client_id": app.client_id, "redirect_uri": oauth.CALLBACK})

    refused_once(app, response, error="invalid_client", status=401)
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert oauth.issued() == (0, 0, 1)


# Replay


def test_a_code_that_comes_twice_ends_what_it_gave():
    app, person = oauth.make_app(), oauth.make_person("richard")
    code = oauth.get_code(app, person)
    token = oauth.exchange(app, code).json()

    response = oauth.exchange(app, code)

    assert oauth.error_of(response) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)
    assert oauth.replays() == [(app.client.name, "richard", "code")]
    assert oauth.refusals() == []
    assert oauth.error_of(oauth.refresh(app, token["refresh_token"])) == (400, "invalid_grant")


def test_a_code_that_comes_twice_ends_what_came_of_it_by_refreshing():
    app, person = oauth.make_app(), oauth.make_person("richard")
    code = oauth.get_code(app, person)
    token = oauth.exchange(app, code).json()
    oauth.refresh(app, token["refresh_token"])

    oauth.exchange(app, code)

    assert oauth.issued() == (0, 0, 0)
    assert oauth.replays() == [(app.client.name, "richard", "code")]


@pytest.mark.parametrize(
    ("lifetime", "days", "is_remembered"),
    [
        pytest.param(timedelta(days=180), 180, True, id="long"),
        pytest.param(timedelta(days=180), 181, False, id="longer than long"),
        pytest.param(timedelta(days=1), 90, True, id="short"),
        pytest.param(timedelta(days=1), 91, False, id="longer than 90 days"),
        pytest.param(None, 1000, True, id="without an end"),
    ],
)
def test_a_spent_code_is_remembered_for_90_days_and_as_long_as_a_refresh_token_lives(
    lifetime, days, is_remembered, settings, time_machine
):
    settings.OAUTH2_PROVIDER = {**settings.OAUTH2_PROVIDER, "REFRESH_TOKEN_EXPIRE_SECONDS": lifetime}
    time_machine.move_to("2026-05-03T10:00:00Z", tick=False)
    app, person = oauth.make_app(), oauth.make_person()
    oauth.get_token(app, person)
    spent = SpentCode.objects.get()

    time_machine.shift(timedelta(days=days))
    oauth.get_token(app, person)

    assert SpentCode.objects.filter(pk=spent.pk).exists() is is_remembered


def test_a_spent_code_in_the_hands_of_another_app_ends_nothing():
    app, other = oauth.make_app(), oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())
    oauth.exchange(app, code)
    before = oauth.issued()

    refused_once(other, oauth.exchange(other, code))
    assert oauth.issued() == before
    assert oauth.replays() == []


def test_a_spent_code_without_the_apps_secret_ends_nothing():
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())
    oauth.exchange(app, code)
    before = oauth.issued()

    oauth.post(oauth.TOKEN, {"grant_type": "authorization_code", "code": code.code, "client_id": app.client_id})

    assert oauth.issued() == before
    assert oauth.replays() == []


def test_a_code_that_comes_twice_leaves_other_tokens_of_the_person_alone():
    app, person = oauth.make_app(), oauth.make_person()
    kept = oauth.get_token(app, person)
    code = oauth.get_code(app, person)
    oauth.exchange(app, code)

    oauth.exchange(app, code)

    assert oauth.refresh(app, kept["refresh_token"]).status_code == 200


def test_a_refresh_token_that_comes_twice_ends_its_family():
    app, person = oauth.make_app(), oauth.make_person("richard")
    first = oauth.get_token(app, person)
    second = oauth.refresh(app, first["refresh_token"]).json()

    response = oauth.refresh(app, first["refresh_token"])

    assert oauth.error_of(response) == (400, "invalid_grant")
    assert oauth.issued() == (0, 0, 0)
    assert oauth.replays() == [(app.client.name, "richard", "refresh_token")]
    assert oauth.refusals() == []
    assert oauth.error_of(oauth.refresh(app, second["refresh_token"])) == (400, "invalid_grant")


def test_a_secret_that_comes_a_third_time_is_refused_like_any_other():
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())
    oauth.exchange(app, code)
    oauth.exchange(app, code)

    refused_once(app, oauth.exchange(app, code))
    assert len(oauth.replays()) == 1


def test_a_refresh_token_that_was_given_up_is_no_replay():
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())
    oauth.revoke(app, token["refresh_token"])

    refused_once(app, oauth.refresh(app, token["refresh_token"]))
    assert oauth.replays() == []


def test_a_refresh_token_of_another_app_is_unknown_and_stays_good():
    app, thief = oauth.make_app(), oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())

    refused_once(thief, oauth.refresh(thief, token["refresh_token"]))
    assert oauth.refresh(app, token["refresh_token"]).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_token_is_no_code(kind):
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())[kind]

    refused_once(app, oauth.exchange(app, oauth.Code(token, OTHER_VERIFIER)))


def test_an_access_token_is_no_refresh_token():
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())

    refused_once(app, oauth.refresh(app, token["access_token"]))


def test_a_refresh_after_withdrawal_is_refused_also_after_a_new_consent():
    app, person = oauth.make_app(), oauth.make_person()
    token = oauth.get_token(app, person)
    consents.withdraw(person, app.client, by=person)
    consents.give(person, app.client, scopes=["todo:read", "todo:write"])

    refused_once(app, oauth.refresh(app, token["refresh_token"]))
    assert oauth.issued() == (0, 0, 0)


# Who the client is


def test_two_clients_in_one_request_are_none():
    app, other = oauth.make_app("client-credentials"), oauth.make_app("client-credentials")

    response = oauth.post(
        oauth.TOKEN,
        {"grant_type": "client_credentials", "scope": "todo:read", "client_id": other.client_id},
        app=app,
    )

    assert oauth.error_of(response) == (400, "invalid_request")
    assert oauth.refusals() == [(None, "invalid_request")]
    assert oauth.issued() == (0, 0, 0)


def test_two_ways_to_authenticate_in_one_request_are_none():
    app = oauth.make_app("client-credentials")
    data = {"grant_type": "client_credentials", "scope": "todo:read", "client_secret": app.secret}

    response = oauth.post(oauth.TOKEN, data, app=app)

    assert oauth.error_of(response) == (400, "invalid_request")
    assert oauth.refusals() == [(None, "invalid_request")]
    assert oauth.issued() == (0, 0, 0)


def test_a_secret_in_the_body_is_as_good_as_in_the_header():
    app = oauth.make_app("client-credentials")
    data = {"grant_type": "client_credentials", "scope": "todo:read", "client_id": app.client_id}

    assert oauth.post(oauth.TOKEN, {**data, "client_secret": app.secret}).status_code == 200


@pytest.mark.parametrize("stored", ["", "in-clear"], ids=["none", "in clear"])
def test_a_secret_that_is_not_hashed_proves_nothing(stored):
    app = oauth.make_app("client-credentials")
    type(app.link.application).objects.update(client_secret=stored)
    data = {"grant_type": "client_credentials", "scope": "todo:read", "client_id": app.client_id}

    assert oauth.error_of(oauth.post(oauth.TOKEN, {**data, "client_secret": stored}))[1] == "invalid_client"
    basic = base64.b64encode(f"{app.client_id}:{stored}".encode()).decode()
    response = oauth.post(oauth.TOKEN, data, headers={"authorization": f"Basic {basic}"})
    assert oauth.error_of(response) == (401, "invalid_client")


def test_a_secret_that_was_replaced_is_dead_at_once():
    app = oauth.make_app("client-credentials")
    assert oauth.client_credentials(app, scope="todo:read").status_code == 200

    applications.replace_secret(app.link)

    refused_once(app, oauth.client_credentials(app, scope="todo:read"), error="invalid_client", status=401)


# Giving up


def test_an_app_gives_up_its_own_tokens_only():
    app, thief = oauth.make_app(), oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())

    assert oauth.revoke(thief, token["refresh_token"]).status_code == 200
    assert oauth.revoke(thief, token["access_token"]).status_code == 200
    assert oauth.issued() == (1, 1, 0)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "nonsense"])
def test_what_an_app_gives_up_takes_its_pair_along(kind, hint):
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())

    response = oauth.revoke(app, token[kind], token_type_hint=hint)

    assert (response.status_code, response.content) == (200, b"")
    assert oauth.issued() == (0, 0, 0)


@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])
def test_a_spent_refresh_token_that_is_given_up_takes_along_what_came_of_it(hint):
    app, person = oauth.make_app(), oauth.make_person()
    spent = oauth.get_token(app, person)["refresh_token"]
    fresh = oauth.refresh(app, spent).json()["refresh_token"]
    elsewhere = oauth.get_token(app, person)

    response = oauth.revoke(app, spent, token_type_hint=hint)

    assert (response.status_code, response.content) == (200, b"")
    assert oauth.error_of(oauth.refresh(app, fresh)) == (400, "invalid_grant")
    # What the person signed in for elsewhere is another grant.
    assert oauth.issued() == (1, 1, 0)
    assert oauth.refresh(app, elsewhere["refresh_token"]).status_code == 200


def test_a_spent_refresh_token_that_another_app_gives_up_takes_nothing_along():
    app, thief = oauth.make_app(), oauth.make_app()
    spent = oauth.get_token(app, oauth.make_person())["refresh_token"]
    oauth.refresh(app, spent)

    assert oauth.revoke(thief, spent).status_code == 200
    assert oauth.issued() == (1, 1, 0)


def test_giving_up_what_nobody_has_is_no_error():
    app = oauth.make_app()

    assert oauth.revoke(app, "unknown").status_code == 200
    assert oauth.refusals() == []


@pytest.mark.parametrize("change", ["secret", "disabled"])
def test_giving_up_needs_the_client(change):
    app = oauth.make_app()
    token = oauth.get_token(app, oauth.make_person())
    if change == "disabled":
        clients.disable(app.client)
    else:
        app = oauth.App(link=app.link, secret="guessed")

    refused_once(app, oauth.revoke(app, token["access_token"]), error="invalid_client", status=401)
    assert oauth.issued() == (1, 1, 0)


# What is written down


def test_one_refusal_or_a_hundred_leave_one_event_an_hour(time_machine):
    app = oauth.make_app("client-credentials")
    time_machine.move_to("2026-05-03T10:00:00Z", tick=False)
    for _attempt in range(3):
        oauth.client_credentials(app, scope="unknown")

    time_machine.move_to("2026-05-03T11:00:00Z", tick=False)
    oauth.client_credentials(app, scope="unknown")

    assert oauth.refusals() == [(app.client.name, "invalid_scope")] * 2


def test_an_event_of_a_refusal_holds_nothing_that_was_presented():
    app = oauth.make_app()
    code = oauth.get_code(app, oauth.make_person())
    oauth.exchange(app, code, code_verifier=OTHER_VERIFIER)

    event = KeyEvent.objects.get(kind=EventKind.OAUTH_REFUSED)

    written = json.dumps([event.details, event.once, str(event.address), str(event)])
    assert event.source == "request"
    assert event.address == "127.0.0.1"
    assert not [secret for secret in (code.code, code.verifier, OTHER_VERIFIER, app.secret) if secret in written]
