from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import override_settings

from apikeys import keys
from apikeys.conf import settings
from apikeys.models import APIKey
from apikeys.testing import ApiKeyClient, make_key
from tests.admin_pages import ADD, control_in, controls_in, errors_in, keys_in, page_of, rotate_fields
from tests.factories import ClientFactory, PersonFactory

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signed_in(client):
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))


@pytest.fixture
def _clock_stands_still():
    with time_machine.travel(NOW, tick=False):
        yield


def whoami(plaintext):
    return ApiKeyClient(plaintext).get("/apikeys/whoami/")


def test_overlap_of_24_hours_is_preselected(client):
    response = client.get(page_of(make_key().key, "rotate"))

    chosen = [control["value"] for control in controls_in(response, name="overlap") if "checked" in control]
    assert chosen == ["86400"]


@pytest.mark.usefixtures("_clock_stands_still")
def test_options_show_when_the_old_key_stops(client):
    page = client.get(page_of(make_key().key, "rotate")).content.decode()

    assert "Stop now" in page
    assert "1 hour (until 22 November 2026, 06:00 UTC)" in page
    assert "24 hours (until 23 November 2026, 05:00 UTC)" in page
    assert "7 days (until 29 November 2026, 05:00 UTC)" in page
    assert "Same length as before (90 days, until 20 February 2027)" in page


@pytest.mark.parametrize(
    ("length", "told"),
    [
        pytest.param(timedelta(minutes=15), "15 minutes, until 22 November 2026, 05:15 UTC", id="minutes"),
        pytest.param(timedelta(hours=23), "23 hours, until 23 November 2026, 04:00 UTC", id="hours"),
        pytest.param(timedelta(days=1), "1 day, until 23 November 2026", id="a-day"),
    ],
)
@pytest.mark.usefixtures("_clock_stands_still")
def test_same_length_under_a_day_is_told_to_the_minute(client, length, told):
    page = client.get(page_of(make_key(lifetime=length).key, "rotate")).content.decode()

    assert f"Same length as before ({told})" in page


def test_overlap_above_the_limit_is_not_offered(client):
    with override_settings(APIKEYS={**settings.given(), "MAX_OVERLAP": timedelta(hours=2)}):
        response = client.get(page_of(make_key().key, "rotate"))

    assert [control["value"] for control in controls_in(response, name="overlap")] == ["0", "3600", "7200"]


def test_both_keys_work_until_the_overlap_ends(client):
    old = make_key()
    with time_machine.travel(NOW, tick=False) as clock:
        APIKey.objects.update(expires_at=NOW + timedelta(days=90), created_at=NOW)
        (new,) = keys_in(client.post(page_of(old.key, "rotate"), rotate_fields(overlap="3600")))
        clock.move_to(NOW + timedelta(minutes=59))
        during = (whoami(old.plaintext).status_code, whoami(new).status_code)
        clock.move_to(NOW + timedelta(hours=1))
        after = whoami(old.plaintext)
        new_after = whoami(new).status_code

    assert during == (200, 200)
    assert (after.status_code, after.json()["code"], new_after) == (401, "key_rotated", 200)


def test_stop_now_stops_the_old_key(client):
    old = make_key()

    (new,) = keys_in(client.post(page_of(old.key, "rotate"), rotate_fields(overlap="0")))

    assert (whoami(old.plaintext).status_code, whoami(new).status_code) == (401, 200)


@pytest.mark.usefixtures("_clock_stands_still")
def test_overlap_never_exceeds_the_old_expiry(client):
    key = make_key(lifetime=timedelta(hours=5)).key

    page = client.get(page_of(key, "rotate")).content.decode()
    client.post(page_of(key, "rotate"), rotate_fields(overlap="604800"))

    key.refresh_from_db()
    assert "The old key expires in 5 hours anyway; an overlap never extends it." in page
    assert "24 hours (until 22 November 2026, 10:00 UTC)" in page
    assert key.overlap_ends_at == NOW + timedelta(hours=5)


@pytest.mark.usefixtures("_clock_stands_still")
def test_new_expiry_can_be_chosen(client):
    key = make_key().key

    client.post(page_of(key, "rotate"), rotate_fields(expires="7"))

    assert APIKey.objects.get(replaces=key).expires_at == NOW + timedelta(days=7)


@pytest.mark.usefixtures("_clock_stands_still")
def test_same_length_is_what_the_old_key_had(client):
    key = make_key(lifetime=timedelta(days=30)).key

    client.post(page_of(key, "rotate"), rotate_fields())

    assert APIKey.objects.get(replaces=key).expires_at == NOW + timedelta(days=30)


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        pytest.param({"overlap": ""}, "overlap", "Choose how long the old key keeps working.", id="no-overlap"),
        pytest.param(
            {"expires": "custom", "custom_date": "2026-11-21"}, "custom_date", "Choose a date in the future.", id="past"
        ),
        pytest.param({"expires": "none"}, "expires", "This site does not allow keys without expiry.", id="endless"),
    ],
)
@pytest.mark.usefixtures("_clock_stands_still")
def test_error_stands_beside_its_field_and_nothing_is_rotated(client, changed, field, message):
    key = make_key().key

    response = client.post(page_of(key, "rotate"), rotate_fields(**changed))

    assert errors_in(response, field) == [message]
    assert "<title>Error: " in response.content.decode()
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize("overlap", ["2592001", "-1", "x"], ids=["above-the-limit", "negative", "text"])
def test_forged_overlap_is_refused(client, overlap):
    key = make_key().key

    response = client.post(page_of(key, "rotate"), rotate_fields(overlap=overlap))

    assert errors_in(response, "overlap") != []
    assert APIKey.objects.count() == 1


def test_page_says_when_the_old_key_was_last_used(client):
    key = make_key().key
    APIKey.objects.update(last_used_at=key.created_at - timedelta(minutes=2))

    page = client.get(page_of(key, "rotate")).content.decode()

    assert "The old key was last used 2 minutes ago." in page
    assert "With “Stop now”, requests fail until the new key is in place." in page


def revoked(key):
    keys.revoke(key, reason="leaked")


def expired(key):
    APIKey.objects.filter(pk=key.pk).update(expires_at=key.created_at)


@pytest.mark.parametrize("ended", [revoked, expired])
@pytest.mark.parametrize(("method", "status"), [("get", 200), ("post", 409)])
def test_key_that_no_longer_works_is_not_rotated_but_issued_anew(client, ended, method, status):
    app = ClientFactory(name="Web app")
    key = make_key(client=app, name="Old", scopes=["todo:read"], owner=PersonFactory(username="richard")).key
    ended(key)

    response = getattr(client, method)(page_of(key, "rotate"), rotate_fields())

    page = response.content.decode()
    assert response.status_code == status
    assert "This key no longer works, so there is nothing to overlap." in page
    assert f'href="{ADD}?name=Old&amp;client=Web+app&amp;scope=todo%3Aread&amp;owner=richard"' in page
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize(("method", "status"), [("get", 200), ("post", 409)])
def test_second_of_two_people_gets_the_replacement_that_the_first_made(client, method, status):
    key = make_key().key
    client.post(page_of(key, "rotate"), rotate_fields())

    response = getattr(client, method)(page_of(key, "rotate"), rotate_fields())

    replacement = APIKey.objects.get(replaces=key)
    page = response.content.decode()
    assert response.status_code == status
    assert f"Its replacement is {replacement.masked}. Rotate that one." in page
    assert f'href="{page_of(replacement, "rotate")}"' in page
    assert keys_in(response) == []
    assert APIKey.objects.count() == 2


def test_chain_is_shown_on_both_pages(client):
    key = make_key().key
    client.post(page_of(key, "rotate"), rotate_fields())
    replacement = APIKey.objects.get(replaces=key)

    assert replacement.masked in client.get(page_of(key)).content.decode()
    assert key.masked in client.get(page_of(replacement)).content.decode()


def test_get_never_rotates(client):
    key = make_key().key

    client.get(page_of(key, "rotate"), rotate_fields())

    assert APIKey.objects.count() == 1


def test_button_says_what_stop_now_means(client):
    response = client.get(page_of(make_key().key, "rotate"))

    assert control_in(response, value="Rotate key")["data-when-text"] == "Rotate and stop the old key now"
