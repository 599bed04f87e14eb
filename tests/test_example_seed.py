"""The data of the demonstration."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import F
from django.utils import timezone

from apikeys import keys
from apikeys.models import APIKey, Client, KeyEvent
from apikeys.oauth import applications
from apikeys.oauth.models import ClientApplication, Consent
from apikeys.status import CODES, status_of
from apikeys.testing import ApiKeyClient
from example_project.todo import seed
from example_project.todo.models import Todo
from example_project.todo.story import BESIDE_TOKENS, OF_SERVER
from tests import example_data, oauth
from tests.example_data import as_the_example, ask_for_key, counts, key_on, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]


@pytest.fixture(autouse=True)
def example(settings: Any) -> None:
    as_the_example(settings)


@pytest.fixture
def seeded(db: None) -> None:
    example_data.fill()


def test_the_seed_is_as_large_as_the_story_says(seeded):
    todos = Counter(Todo.objects.values_list("owner__username", flat=True))

    assert todos == {"richard": 12, "dinesh": 9}
    assert (Client.objects.filter(resource=None).count(), APIKey.objects.count()) == (4, 14)
    assert 55 <= KeyEvent.objects.count() <= 65


@pytest.mark.parametrize("days_later", [0, 40])
def test_seeding_twice_gives_the_same_counts(seeded, days_later):
    before = counts()

    with time_machine.travel(timezone.now() + timedelta(days=days_later), tick=False):
        call_command("seed_demo")

    assert counts() == before


@pytest.mark.parametrize("days_later", [0, 40])
def test_every_status_is_seeded_also_when_seeded_again_later(seeded, days_later):
    now = timezone.now() + timedelta(days=days_later)

    with time_machine.travel(now, tick=False):
        seed.seed()
        statuses = {status_of(key, now=now).code for key in APIKey.objects.all()}

    assert statuses == set(CODES)


def test_todos_are_due_in_the_past_today_and_next_week(seeded):
    today = timezone.localdate()

    for name in ("richard", "dinesh"):
        todos = Todo.objects.owned_by(person(name))
        assert todos.filter(due_on__lt=today).exists()
        assert todos.filter(due_on=today).exists()
        assert todos.filter(due_on=today + timedelta(days=7)).exists()


def test_one_rotated_key_is_still_in_use_beside_its_replacement(seeded):
    now = timezone.now()

    old = APIKey.objects.get(overlap_ends_at__gt=now)

    assert old.last_used_at is not None
    assert old.last_used_at > old.replacement.created_at
    assert old.is_working(now=now)
    assert old.replacement.is_working(now=now)


def test_no_event_is_older_than_its_key_or_in_the_future(seeded):
    now = timezone.now()

    events = KeyEvent.objects.exclude(key=None)
    assert not events.filter(at__lt=F("key__created_at") - timedelta(seconds=1)).exists()
    assert not events.filter(at__gt=now).exists()


def test_the_seed_can_start_over(seeded):
    before = counts()
    Todo.objects.create(owner=person("richard"), title="Mine")

    call_command("seed_demo", "--start-over")

    assert counts() == before


def test_starting_over_keeps_what_a_running_program_signs_in_with(seeded):
    known = ClientApplication.objects.select_related("client", "application").get(client__name="Analytics")
    secret = applications.replace_secret(known)

    seed.start_over()
    response = oauth.client_credentials(oauth.App(link=known, secret=secret), scope="usage:read")

    assert response.status_code == 200


def test_starting_over_keeps_the_key_that_a_running_program_shows_beside_tokens(seeded):
    issued = keys.issue(Client.objects.get(name="Web app"), name=BESIDE_TOKENS, scopes=["profile:read"], owner=None)

    seed.start_over()
    response = ApiKeyClient(issued).get("/apikeys/whoami/")

    assert response.json()["client"] == "Web app"


def test_starting_over_keeps_the_key_by_which_a_running_server_asks(seeded):
    sharing = Client.objects.get(name="Sharing")
    issued = keys.issue(sharing, name=OF_SERVER, scopes=["apikeys:introspect"], owner=None)

    seed.start_over()
    response = ApiKeyClient(issued).get("/apikeys/whoami/")

    assert (response.json()["client"], response.json()["scopes"]) == ("Sharing", ["apikeys:introspect"])


@pytest.mark.parametrize("app", ["Web app", "LLM Summariser", "Apple Watch app", "Analytics"])
def test_each_app_may_go_to_both_api_servers(seeded, app):
    resources = set(Client.objects.exclude(resource=None).values_list("resource", flat=True))

    assert set(Client.objects.get(name=app).audiences) == resources
    assert len(resources) == 2


def test_the_api_servers_may_ask_about_credentials_and_nothing_else(seeded):
    ceilings = Client.objects.exclude(resource=None).values_list("allowed_scopes", flat=True)

    assert [list(ceiling) for ceiling in ceilings] == [["apikeys:introspect"]] * 2


def test_the_servers_are_told_what_an_app_pays_for(seeded):
    claims = dict(Client.objects.filter(resource=None).values_list("name", "claims"))

    assert claims["LLM Summariser"] == {"subscription": "free"}
    assert claims["Web app"] == {"subscription": "premium"}


def test_starting_over_ends_every_token(seeded):
    known = ClientApplication.objects.select_related("client", "application").get(client__name="Analytics")
    app = oauth.App(link=known, secret=applications.replace_secret(known))
    token = oauth.client_credentials(app, scope="usage:read").json()["access_token"]

    seed.start_over()

    assert ApiKeyClient(token).get("/api/usage/").json()["code"] == "token_invalid"


def test_one_consent_is_seeded_and_lasts_also_when_seeded_again_later(seeded):
    with time_machine.travel(timezone.now() + timedelta(days=80), tick=False):
        seed.seed()
        (consent,) = Consent.objects.filter(expires_at__gt=timezone.now())

    assert (str(consent.user), consent.client.name) == ("dinesh", "LLM Summariser")


def test_the_seed_is_refused_without_debug(settings):
    settings.DEBUG = False

    with pytest.raises(CommandError, match="DEBUG"):
        call_command("seed_demo")

    assert not get_user_model().objects.exists()


def test_the_seed_prints_what_there_is(capsys):
    call_command("seed_demo")

    line = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(
        r"Seeded: 2 users, 1 administrator, 1 disabled person, 21 to-dos, 4 apps, 2 API servers, 14 keys, \d+ events\.",
        line,
    )


def test_the_seed_prints_who_can_sign_in(capsys, client):
    call_command("seed_demo")

    for name, password in re.findall(r"(\w+) / (\S+)", capsys.readouterr().out):
        assert client.login(username=name, password=password)


def test_seeding_again_keeps_what_visitors_made(seeded, client):
    plaintext = key_on(ask_for_key(client))

    seed.seed()

    assert ApiKeyClient(plaintext).get("/api/todos/").status_code == 200
