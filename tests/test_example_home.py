"""The home page: a key for 15 minutes, steps, starting over, and who may see it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from apikeys import keys
from apikeys.models import APIKey, Client
from apikeys.oauth import consents
from apikeys.testing import ApiKeyClient, make_key
from example_project.todo.models import Todo
from example_project.todo.story import VISITOR_NOTE
from tests import example_data
from tests.example_data import A_KEY, as_the_example, ask_for_key, counts, form_id, key_on, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]


@pytest.fixture(autouse=True)
def example(settings: Any) -> None:
    as_the_example(settings)


@pytest.fixture
def seeded(db: None) -> None:
    example_data.fill()


@pytest.mark.parametrize(
    ("app", "path"),
    [
        ("Web app", "/api/todos/"),
        ("LLM Summariser", "/api/todos/"),
        ("Apple Watch app", "/api/todos/"),
        ("Analytics", "/api/usage/"),
    ],
)
@pytest.mark.parametrize("as_", ["richard", "dinesh"])
def test_a_key_works_on_the_address_that_its_page_names(seeded, client, app, path, as_):
    response = ask_for_key(client, app=app, as_=as_)

    assert f"http://testserver{path}" in response.content.decode()
    assert ApiKeyClient(key_on(response)).get(path).status_code == 200


@pytest.mark.parametrize("as_", ["richard", "dinesh"])
def test_a_key_reaches_the_todos_of_whom_the_visitor_acts_as(seeded, client, as_):
    plaintext = key_on(ask_for_key(client, as_=as_))

    assert ApiKeyClient(plaintext).get("/api/todos/").json()["count"] == {"richard": 12, "dinesh": 9}[as_]


@pytest.mark.parametrize(
    ("after", "status", "code"),
    [(timedelta(minutes=15) - timedelta(seconds=1), 200, None), (timedelta(minutes=15), 401, "key_expired")],
    ids=["a second before", "at the end"],
)
def test_a_key_stops_after_fifteen_minutes(seeded, client, after, status, code):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        plaintext = key_on(ask_for_key(client))
        clock.shift(after)
        response = ApiKeyClient(plaintext).get("/api/todos/")

    assert (response.status_code, response.json().get("code")) == (status, code)


def test_a_key_is_in_one_response_that_nobody_stores(seeded, client):
    response = ask_for_key(client)

    plaintext = key_on(response)
    kept = [str(dict(client.session)), str(client.cookies), client.get("/").content.decode()]
    assert "no-store" in response.headers["Cache-Control"]
    assert not any(plaintext.rpartition("_")[2] in text for text in kept)


def test_a_key_that_could_not_be_shown_is_withdrawn(seeded, client, settings):
    (engine,) = settings.TEMPLATES
    broken = ("django.template.loaders.locmem.Loader", {"todo/reveal.html": "{% include 'nowhere.html' %}"})
    loaders = [broken, "django.template.loaders.app_directories.Loader"]
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": {**engine["OPTIONS"], "loaders": loaders}}]
    client.raise_request_exception = False

    response = ask_for_key(client)

    assert response.status_code == 500
    assert not A_KEY.search(response.content.decode())
    # Withdrawn, or rolled back with the request.
    assert not APIKey.objects.working().filter(note=VISITOR_NOTE).exists()


def test_reloading_the_page_of_a_key_makes_no_second_one(seeded, client):
    same = form_id(client)
    ask_for_key(client, form_id=same)
    before = APIKey.objects.count()

    response = ask_for_key(client, form_id=same)

    assert response.status_code == 409
    assert not A_KEY.search(response.content.decode())
    assert APIKey.objects.count() == before


@pytest.mark.parametrize("fields", [{"form_id": ""}, {"form_id": "no-uuid"}])
def test_a_form_without_its_id_makes_no_key(seeded, client, fields):
    before = APIKey.objects.count()

    assert ask_for_key(client, **fields).status_code == 400
    assert APIKey.objects.count() == before


def test_the_page_says_why_there_is_no_key(seeded, client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_KEYS_PER_OWNER": 1}

    response = ask_for_key(client)

    assert response.status_code == 400
    assert "richard already has 1 working keys, the limit. Revoke one first." in response.content.decode()


@pytest.mark.parametrize("path", ["/key/", "/start-over/"])
def test_a_look_changes_nothing(seeded, client, path):
    key = make_key(scopes=["todo:read"], owner=person("richard"))

    assert client.get(path).status_code == 405
    assert ApiKeyClient(key).get("/api/todos/").status_code == 200


def ticks(browser: Browser) -> list[bool]:
    steps = browser.get("/").content.decode().partition('<ol class="steps">')[2].partition("</ol>")[0]
    return [tag == '<li class="done">' for tag in re.findall(r"<li.*?>", steps)]


def test_no_step_is_ticked_at_first(seeded, client):
    assert not any(ticks(client))


def test_steps_are_ticked_as_they_are_done(seeded, client):
    plaintext = key_on(ask_for_key(client))
    key = APIKey.objects.get(key_id=plaintext.split("_")[2])
    seen = []

    ApiKeyClient(plaintext).get("/api/todos/")
    seen.append(ticks(client))
    replacement = keys.rotate(key)
    ApiKeyClient(replacement).get("/api/todos/")
    ApiKeyClient(plaintext).get("/api/todos/")
    seen.append(ticks(client))
    keys.revoke(key, reason="unneeded")
    ApiKeyClient(plaintext).get("/api/todos/")
    seen.append(ticks(client))
    client.force_login(person("gilfoyle"))
    address = reverse("admin:apikeys_apikey_revoke", args=[replacement.key.pk])
    page = client.post(address, {"reason": "unneeded", "confirmation": replacement.key.name}, follow=True)
    seen.append(ticks(client))

    assert "gilfoyle" in page.content.decode()
    assert [sum(done) for done in seen] == [1, 2, 3, 4]


def test_a_key_that_was_not_called_around_its_rotation_ticks_no_rotation(seeded, client):
    plaintext = key_on(ask_for_key(client))
    key = APIKey.objects.get(key_id=plaintext.split("_")[2])

    ApiKeyClient(plaintext).get("/api/todos/")
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        ApiKeyClient(keys.rotate(key)).get("/api/todos/")

    assert ticks(client) == [True, False, False, False, False]


def test_consenting_to_the_summariser_ticks_its_step(seeded, client):
    summariser = Client.objects.get(name="LLM Summariser")

    consents.give(person("richard"), summariser, scopes=["todo:read"], source="page")

    assert ticks(client) == [False, False, False, True, False]


def test_signing_in_ticks_no_step(seeded, client):
    ask_for_key(client)

    client.login(username="gilfoyle", password="hail-anton")

    assert not any(ticks(client))


def test_starting_over_gives_the_seeded_data_back(seeded, client):
    before = counts()
    plaintext = key_on(ask_for_key(client))
    make_key(scopes=["todo:read"], owner=person("richard"))
    Todo.objects.owned_by(person("richard")).delete()

    response = client.post("/start-over/", follow=True)

    assert counts() == before
    assert "All demo data are fresh." in response.content.decode()
    assert ApiKeyClient(plaintext).get("/api/todos/").json()["code"] == "key_invalid"


def test_starting_over_keeps_people_signed_in(seeded, client):
    client.force_login(person("richard"))

    client.post("/start-over/")

    assert client.get("/todos/").status_code == 200


def test_without_data_the_page_offers_to_fill_them_in(client):
    response = client.get("/")

    assert response.status_code == 503
    assert 'action="/start-over/"' in response.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["/", "/key/", "/start-over/", "/role/", "/code/"])
def test_the_demonstration_is_not_there_without_debug(seeded, client, settings, path, method):
    settings.DEBUG = False
    before = counts()

    assert getattr(client, method)(path).status_code == 404
    assert counts() == before


@pytest.mark.parametrize("path", ["/?as=gilfoyle", "/?as=", "/?as=nobody"])
def test_visitors_act_as_richard_or_dinesh_alone(seeded, client, path):
    assert client.post(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/key/", "/start-over/", "/role/"])
def test_a_forged_post_changes_nothing(seeded, path):
    browser = Browser(enforce_csrf_checks=True)
    before = counts()

    assert browser.post(path).status_code == 403
    assert counts() == before


@pytest.mark.parametrize("debug", [True, False])
def test_the_login_page_shows_passwords_under_debug_alone(client, settings, debug):
    settings.DEBUG = debug

    assert ("middle-out" in client.get("/login/").content.decode()) is debug


@pytest.mark.parametrize("name", ["richard", "dinesh"])
def test_users_are_no_administrators(seeded, client, name):
    client.force_login(person(name))

    assert client.get("/admin/").status_code == 302


def test_a_person_who_left_can_not_sign_in(seeded, client):
    assert not person("erlich").is_active
    assert not person("erlich").has_usable_password()


def test_the_code_of_the_home_page_is_shown_and_short(client):
    page = client.get("/code/").content.decode()

    assert "def home(request" in page
    assert len(page.partition("<pre")[2].partition("</pre>")[0].splitlines()) < 100


@pytest.mark.parametrize("path", ["/", "/login/", "/todos/", "/code/", "/key/"])
def test_a_page_needs_no_other_host(seeded, client, path):
    client.force_login(person("richard"))

    page = (ask_for_key(client) if path == "/key/" else client.get(path)).content.decode()

    # But for the apps that run beside it, which it leads to and loads nothing from.
    page = re.sub(r'<a href="http://localhost:800[12]/.*?"', "", page)
    addresses = re.findall(r'(?:src|href|action|formaction|data-back)="(.*?)"', page)
    assert addresses
    assert not [address for address in addresses if not re.match(r"/(?!/)|\?", address)]
