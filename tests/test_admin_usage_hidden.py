from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin

from apikeys import keys
from apikeys.models import APIKey, Client
from apikeys.testing import make_key
from tests.factories import ClientFactory, PersonFactory
from tests.key_use import roll_up, used

USAGE = "/admin/apikeys/usagecount/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


@pytest.fixture(autouse=True)
def _now(time_machine):
    time_machine.move_to("2026-11-22T05:30:00Z", tick=False)


@pytest.fixture
def busy():
    """Return the key that asks for most, beside which there is one more."""
    busy = make_key(name="Busy", client=ClientFactory(name="Web app")).key
    used(busy, 30, ago=timedelta(hours=3))
    used(make_key(name="Other", client=ClientFactory(name="Watch")).key, 10, ago=timedelta(hours=3))
    roll_up()
    return busy


@pytest.fixture
def hide(monkeypatch):
    """Return a function: have the project's admin hide those rows of *model* from everybody that match."""

    def hide(model, **matching):
        model_admin = type(admin.site.get_model_admin(model))
        own = model_admin.get_queryset
        monkeypatch.setattr(model_admin, "get_queryset", lambda *which: own(*which).exclude(**matching))

    return hide


def ranked(response, name):
    """Return the rows of the table *name*, the most requests first."""
    (found,) = [each for each in response.context["rankings"] if each.id == name]
    return found.rows


@pytest.mark.parametrize("model", [APIKey, Client], ids=["key", "client"])
def test_a_subject_that_is_hidden_is_missing(client, busy, hide, model):
    hide(model, name__in=["Busy", "Web app"])
    query = {"key": busy.key_id} if model is APIKey else {"client": busy.client.client_id}

    response = client.get(USAGE, query)

    assert (response.status_code, response["Location"]) == (302, USAGE)


def test_keys_that_are_hidden_are_not_counted(client, busy, hide):
    hide(APIKey, name="Busy")

    response = client.get(USAGE)

    assert {tile.label: tile.number for tile in response.context["tiles"]}["Working keys"] == "1"


@pytest.mark.parametrize("model", [APIKey, Client], ids=["keys", "clients"])
def test_what_is_hidden_is_ranked_by_its_public_id_and_leads_nowhere(client, busy, hide, model):
    hide(model, name__in=["Busy", "Web app"])

    first, second = ranked(client.get(USAGE), "keys" if model is APIKey else "clients")

    public_id = busy.family if model is APIKey else busy.client.client_id
    assert (first.label, first.url, first.requests) == (public_id, "", "30")
    assert second.label in {"Other", "Watch"}
    assert client.get(f"{USAGE}{second.url}").status_code == 200


def test_keys_of_a_client_that_are_hidden_are_ranked_by_their_public_id(client, busy, hide):
    hide(APIKey, name="Busy")

    (only,) = ranked(client.get(USAGE, {"client": busy.client.client_id}), "keys")

    assert (only.label, only.url) == (busy.family, "")


def test_a_family_is_found_by_the_newest_key_of_it_that_is_not_hidden(client, busy, hide):
    second = keys.rotate(busy).key
    third = keys.rotate(second).key
    APIKey.objects.filter(pk=third.pk).update(name="Renamed")
    hide(APIKey, pk__in=[busy.pk, third.pk])

    first, _other = ranked(client.get(USAGE), "keys")

    assert first.label == "Busy"
    assert client.get(f"{USAGE}{first.url}").context["subject"].key == second
