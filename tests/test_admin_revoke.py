from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from apikeys import clients, keys
from apikeys.models import APIKey, KeyEvent, KeyRevocation
from apikeys.testing import ApiKeyClient, make_key
from tests.admin_pages import CLIENTS, REVOKE_MANY, control_in, controls_in, errors_in, page_of
from tests.factories import ClientFactory, PersonFactory

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signed_in(client):
    client.force_login(PersonFactory(username="gilfoyle", is_superuser=True))


def fields(**changed):
    return {"reason": "leaked", "note": "", "seen_replacement": "", **changed}


def key_used(*, ago, **about):
    key = make_key(**about).key
    APIKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now() - ago)
    return key


def test_key_is_refused_from_the_next_request_on(client):
    issued = make_key()
    before = ApiKeyClient(issued).get("/apikeys/whoami/").status_code
    name = issued.key.name

    client.post(page_of(issued.key, "revoke"), fields(confirmation=name))

    after = ApiKeyClient(issued).get("/apikeys/whoami/")
    assert (before, after.status_code, after.json()["code"]) == (200, 401, "key_revoked")


def test_who_when_and_why_are_on_the_page_of_the_key(client):
    key = make_key(name="Old").key

    with time_machine.travel(NOW, tick=False):
        client.post(page_of(key, "revoke"), fields(note="Found in a repository"))
        page = client.get(page_of(key)).content.decode()

    assert "Revoked by gilfoyle on 22 November 2026, 05:00 UTC." in page
    assert "It leaked or may have leaked: Found in a repository" in page
    event = KeyEvent.objects.get(kind="revoked")
    assert (event.actor_name, event.source) == ("gilfoyle", "admin")


def test_person_is_told_that_it_is_done(client):
    key = make_key(name="Nightly export").key

    response = client.post(page_of(key, "revoke"), fields(), follow=True)

    assert response.redirect_chain == [(page_of(key), 302)]
    assert "“Nightly export” is revoked. Requests with it now get 401." in response.content.decode()


NEXT = "Disable the client to stop all of its keys."


def test_leak_leads_on_to_the_client(client):
    key = make_key().key

    response = client.post(page_of(key, "revoke"), fields(), follow=True)

    page = " ".join(response.content.decode().split())
    assert f'Next: <a href="{CLIENTS}{key.client.pk}/change/">{NEXT}</a>' in page


def revoked_for_another_reason(key):
    keys.revoke(key, reason="unneeded")


def leaked_from_a_disabled_client(key):
    keys.revoke(key, reason="leaked")
    clients.disable(key.client)


@pytest.mark.parametrize("ended", [revoked_for_another_reason, leaked_from_a_disabled_client])
def test_nothing_leads_on_where_the_client_need_not_or_can_not_be_disabled(client, ended):
    key = make_key().key
    ended(key)

    assert NEXT not in client.get(page_of(key)).content.decode()


def test_leak_leads_on_only_for_those_who_may_change_clients(client):
    key = make_key().key
    keys.revoke(key, reason="leaked")
    client.force_login(PersonFactory(rights=["view_apikey", "view_client"]))

    page = client.get(page_of(key)).content.decode()

    assert "It leaked or may have leaked" in page
    assert NEXT not in page


def test_page_says_what_happens_before_it_happens(client):
    key = key_used(ago=timedelta(minutes=2), client=ClientFactory(name="Web app"))

    page = client.get(page_of(key, "revoke")).content.decode()

    assert "Requests with this key fail from now on, and this cannot be undone." in page
    assert "Last used 2 minutes ago by Web app." in page
    assert "Takes effect at once." in page


IN_A_REPLICA = "Keys are looked up in a replica of the database: takes effect"


@pytest.mark.parametrize(
    ("bound", "replica", "sentence"),
    [
        pytest.param(timedelta(0), False, "Takes effect at once.", id="at-once"),
        pytest.param(
            timedelta(seconds=1),
            False,
            "Takes effect within 1 second everywhere, and at once in this process.",
            id="1-s",
        ),
        pytest.param(
            timedelta(seconds=5),
            False,
            "Takes effect within 5 seconds everywhere, and at once in this process.",
            id="5-s",
        ),
        pytest.param(
            timedelta(milliseconds=1500),
            False,
            "Takes effect within 2 seconds everywhere, and at once in this process.",
            id="rounded-up",
        ),
        pytest.param(
            timedelta(seconds=90),
            False,
            "Takes effect within 90 seconds everywhere, and at once in this process.",
            id="90-s",
        ),
        pytest.param(
            timedelta(minutes=2),
            False,
            "Takes effect within 2 minutes everywhere, and at once in this process.",
            id="2-min",
        ),
        pytest.param(timedelta(0), True, f"{IN_A_REPLICA} as soon as that has caught up.", id="replica"),
        pytest.param(
            timedelta(seconds=5), True, f"{IN_A_REPLICA} within 5 seconds after that caught up.", id="5-s-and-replica"
        ),
    ],
)
def test_pages_that_stop_keys_promise_what_the_settings_let_them(client, settings, bound, replica, sentence):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": bound, "READ_REPLICA": replica}
    key = make_key().key

    pages = [
        page_of(key, "revoke"),
        f"{REVOKE_MANY}?client={key.client.pk}",
        f"{CLIENTS}{key.client.pk}/change/",
    ]

    assert [sentence in client.get(page).content.decode() for page in pages] == [True] * 3


def test_message_afterwards_says_how_soon_where_that_is_not_at_once(client, settings):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": timedelta(seconds=5)}
    key = make_key(name="Old").key

    response = client.post(page_of(key, "revoke"), fields(), follow=True)

    assert (
        "“Old” is revoked. Requests with it now get 401. Takes effect within 5 seconds everywhere"
        in response.content.decode()
    )


def test_reasons_are_those_that_people_have(client):
    response = client.get(page_of(make_key().key, "revoke"))

    offered = [control["value"] for control in controls_in(response, name="reason")]
    assert offered == ["leaked", "unneeded", "replaced", "left", "other"]


@pytest.mark.parametrize("reason", ["", "undelivered", "boredom"], ids=["none", "not-for-people", "unknown"])
def test_reason_is_required(client, reason):
    key = make_key().key

    response = client.post(page_of(key, "revoke"), fields(reason=reason))

    assert errors_in(response, "reason") != []
    assert "<title>Error: " in response.content.decode()
    assert not KeyRevocation.objects.exists()


def test_no_reason_says_so(client):
    response = client.post(page_of(make_key().key, "revoke"), fields(reason=""))

    assert errors_in(response, "reason") == ["Choose a reason."]


def test_other_reason_needs_a_note(client):
    key = make_key().key

    refused = client.post(page_of(key, "revoke"), fields(reason="other"))
    was_revoked = KeyRevocation.objects.exists()
    client.post(page_of(key, "revoke"), fields(reason="other", note="Moved to a vault"))

    assert errors_in(refused, "note") == ["Say in a few words why."]
    assert not was_revoked
    assert KeyRevocation.objects.get().note == "Moved to a vault"


def test_name_that_does_not_match_is_refused(client):
    key = key_used(ago=timedelta(minutes=2), name="Nightly export")

    response = client.post(page_of(key, "revoke"), fields(confirmation="nightly export"))

    assert errors_in(response, "confirmation") == ["This does not match. Type “Nightly export”."]
    assert not KeyRevocation.objects.exists()


def test_matching_name_revokes(client):
    key = key_used(ago=timedelta(minutes=2), name="Nightly export")

    client.post(page_of(key, "revoke"), fields(confirmation="Nightly export"))

    assert KeyRevocation.objects.get().key == key


@pytest.mark.parametrize(
    ("ago", "asked"),
    [
        pytest.param(timedelta(hours=24) - timedelta(seconds=1), 1, id="almost-24-hours"),
        pytest.param(timedelta(hours=24), 0, id="24-hours"),
    ],
)
def test_name_is_asked_for_only_where_the_key_was_used_in_24_hours(client, ago, asked):
    with time_machine.travel(NOW, tick=False):
        key = key_used(ago=ago)
        response = client.get(page_of(key, "revoke"))

    assert len(controls_in(response, name="confirmation")) == asked


def test_key_in_use_can_be_rotated_instead(client):
    in_use = client.get(page_of(key_used(ago=timedelta(hours=1)), "revoke"))
    unused = client.get(page_of(make_key().key, "revoke"))

    assert "Rotate instead" in in_use.content.decode()
    assert "Rotate instead" not in unused.content.decode()


@pytest.mark.parametrize(("method", "status"), [("get", 200), ("post", 409)])
def test_second_revocation_says_so_and_changes_nothing(client, method, status):
    key = make_key().key
    with time_machine.travel(NOW, tick=False):
        keys.revoke(key, reason="unneeded")

    response = getattr(client, method)(page_of(key, "revoke"), fields())

    assert response.status_code == status
    assert "Already revoked on 22 November 2026." in response.content.decode()
    assert KeyRevocation.objects.get().reason == "unneeded"
    assert KeyEvent.objects.filter(kind="revoked").count() == 1


def test_get_never_revokes(client):
    key = make_key().key

    response = client.get(page_of(key, "revoke"), fields())

    assert response.status_code == 200
    assert not KeyRevocation.objects.exists()


def test_rotation_after_the_page_was_opened_is_told_before_anything_is_revoked(client):
    key = make_key().key
    seen = control_in(client.get(page_of(key, "revoke")), name="seen_replacement").get("value", "")
    replacement = keys.rotate(key).key

    first = client.post(page_of(key, "revoke"), fields(seen_replacement=seen))
    nothing_revoked = not KeyRevocation.objects.exists()
    seen = control_in(first, name="seen_replacement")["value"]
    client.post(page_of(key, "revoke"), fields(seen_replacement=seen))

    assert f"Its replacement {replacement.masked} goes on working unless you revoke it too." in first.content.decode()
    assert nothing_revoked
    assert [revocation.key for revocation in KeyRevocation.objects.all()] == [key]


def test_replacement_that_was_shown_is_left_alone(client):
    key = make_key().key
    replacement = keys.rotate(key).key
    response = client.get(page_of(key, "revoke"))
    seen = control_in(response, name="seen_replacement")["value"]

    client.post(page_of(key, "revoke"), fields(seen_replacement=seen))

    assert f"Its replacement {replacement.masked} is not affected." in response.content.decode()
    assert [revocation.key for revocation in KeyRevocation.objects.all()] == [key]


def test_pasted_key_is_refused_as_a_note_and_not_shown_again(client):
    issued = make_key()

    response = client.post(page_of(issued.key, "revoke"), fields(note=issued.plaintext))

    assert errors_in(response, "note") == ["The note must not contain a key. Never paste it here."]
    assert issued.plaintext not in response.content.decode()
