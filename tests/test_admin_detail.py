from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import override_settings
from django.utils import timezone

from apikeys import keys
from apikeys.conf import settings
from apikeys.models import APIKey, KeyEvent
from apikeys.testing import make_key
from tests.admin_pages import ADD, LIST, controls_in, errors_in, page_of
from tests.factories import ClientFactory, PersonFactory
from tests.request_path import statements

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def shown(client, key):
    return " ".join(client.get(page_of(key)).content.decode().split())


def test_all_facts_are_told(client, gilfoyle):
    with time_machine.travel(NOW, tick=False):
        app = ClientFactory(name="Web app")
        owner: Any = PersonFactory(username="richard")
        key = make_key(
            name="Nightly export",
            client=app,
            owner=owner,
            scopes=["todo:read"],
            note="In the vault",
            allowed_networks=["10.0.0.0/8"],
            by=gilfoyle,
        ).key
        APIKey.objects.update(last_used_at=NOW - timedelta(minutes=12))
        page = shown(client, key)

    assert f'<a href="/admin/apikeys/client/{app.pk}/change/">Web app</a>' in page
    assert f'<a href="/admin/auth/user/{owner.pk}/change/">richard</a>' in page
    assert "View your to-dos: titles, notes, due dates and status. <code>todo:read</code>" in page
    assert "20 February 2027, 05:00 UTC</time> (in 90 days)" in page
    assert "22 November 2026, 05:00 UTC</time> by gilfoyle" in page
    assert "22 November 2026, 04:48 UTC</time> (12 minutes ago)" in page
    assert "Updated at most once a minute." in page
    assert "<code>10.0.0.0/8</code>" in page
    assert "In the vault" in page
    assert key.key_id in page


def test_times_are_told_in_ones_own_time_zone(client):
    with time_machine.travel(NOW, tick=False), override_settings(TIME_ZONE="Europe/Berlin"):
        page = shown(client, make_key().key)

    assert "20 February 2027, 06:00 CET" in page


def test_title_is_the_name_and_mask(client):
    key = make_key(name="Nightly export").key

    page = shown(client, key)

    assert f"<title>Nightly export ({key.masked}) | " in page
    assert "<h1>Nightly export</h1>" in page


def test_unused_key_says_so(client):
    assert "Not used yet." in shown(client, make_key().key)


def test_replaced_key_says_by_which_and_until_when(client):
    with time_machine.travel(NOW, tick=False):
        key = make_key().key
        replacement = keys.rotate(key, overlap=timedelta(hours=18)).key
        page = shown(client, key)

    assert (
        f'Replaced by <a href="{page_of(replacement)}">{replacement.masked}</a>; it stops in 18 hours '
        "(22 November 2026, 23:00 UTC)." in page
    )
    assert "Rotate…" not in page


def test_expired_key_can_only_be_issued_anew(client):
    key = make_key().key
    APIKey.objects.update(expires_at=timezone.now())

    page = shown(client, key)

    assert "Expired keys cannot be revived." in page
    assert f'<a href="{ADD}?name=' in page
    assert "Rotate…" not in page


@pytest.mark.parametrize(
    "malformed",
    ["0", "999999", "x", "-1", "99999999999999999999999", "1%00", "ak_live_x", "%F0%9F%92%A9"],
)
def test_malformed_id_gets_the_usual_message(client, malformed):
    response = client.get(f"{LIST}{malformed}/change/", follow=True)

    assert response.redirect_chain == [("/admin/", 302)]
    assert "doesn’t exist. Perhaps it was deleted?" in response.content.decode()


@pytest.mark.parametrize("page", ["rotate", "revoke", "edit", "narrow"])
def test_unknown_id_gets_the_usual_message_on_every_page(client, page):
    response = client.get(f"{LIST}999999/{page}/", follow=True)

    assert response.redirect_chain == [("/admin/", 302)]
    assert "doesn’t exist. Perhaps it was deleted?" in response.content.decode()


def test_history_has_one_row_for_each_change(client, gilfoyle):
    key = make_key(name="Old", scopes=["todo:read", "todo:write"]).key
    client.post(page_of(key, "edit"), {"name": "New", "note": "Moved"})
    client.post(page_of(key, "narrow"), {"scopes": ["todo:read"]})
    client.post(page_of(key, "revoke"), {"reason": "unneeded"})

    response = client.get(page_of(key))

    assert [(line.who, line.what, line.details) for line in response.context["events"]] == [
        ("gilfoyle", "Revoked", "No longer needed"),
        ("gilfoyle", "Permissions narrowed", "Removed: todo:write."),
        ("gilfoyle", "Edited", "Renamed from “Old” to “New”. Changed the note."),
        ("the system", "Issued", "todo:read, todo:write"),
    ]


def test_history_of_a_replacement_begins_with_what_it_replaced(client, gilfoyle):
    key = make_key().key
    with time_machine.travel(NOW, tick=False):
        replacement = keys.rotate(key, by=gilfoyle).key
    keys.edit(replacement, name="New", note="")

    response = client.get(page_of(replacement))

    newest, oldest = response.context["events"]
    assert newest.what == "Edited"
    assert (oldest.at, oldest.who, oldest.what, oldest.details) == (
        NOW,
        "gilfoyle",
        "Issued",
        f"As the replacement of {key.masked}",
    )


def test_history_of_a_replacement_that_was_never_shown_tells_both(client):
    replacement = keys.rotate(make_key().key).key
    keys.withdraw_undelivered(replacement)

    response = client.get(page_of(replacement))

    assert [line.what for line in response.context["events"]] == ["Revoked", "Issued"]


def test_second_replacement_names_the_key_that_it_replaces_itself(client):
    first = keys.rotate(make_key().key).key
    second = keys.rotate(first).key

    response = client.get(page_of(second))

    assert [line.details for line in response.context["events"]] == [f"As the replacement of {first.masked}"]


def test_key_without_a_record_has_no_empty_table(client):
    key = make_key().key
    KeyEvent.objects.all().delete()

    page = shown(client, key)

    assert "Nothing is on record." in page
    assert '<th scope="col">When</th>' not in page


def test_long_history_leads_to_all_events(client):
    key = make_key().key
    for number in range(20):
        keys.edit(key, name=f"Name {number}", note="")

    response = client.get(page_of(key))
    events = client.get(response.context["events_url"])

    assert len(response.context["events"]) == 20
    assert events.context["cl"].result_count == 21


def test_name_and_note_can_be_edited(client):
    key = make_key(name="Old").key

    response = client.post(page_of(key, "edit"), {"name": "New", "note": "Moved to the vault"})

    key.refresh_from_db()
    assert response["Location"] == page_of(key)
    assert (key.name, key.note) == ("New", "Moved to the vault")


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        pytest.param({"name": ""}, "name", "Give the key a name.", id="no-name"),
        pytest.param({"name": "Taken"}, "name", "“Taken” already has a working key for this client.", id="taken-name"),
        pytest.param({"note": "ak_live_4Qm9ZtR1xVb7_HYiNs9S5"}, "note", "The note must not contain a key.", id="key"),
    ],
)
def test_edit_is_refused_beside_its_field(client, changed, field, message):
    app = ClientFactory()
    key = make_key(name="Old", client=app).key
    make_key(name="Taken", client=app)

    response = client.post(page_of(key, "edit"), {"name": "Old", "note": "", **changed})

    assert errors_in(response, field)[0].startswith(message)
    assert "<title>Error: " in response.content.decode()
    assert not KeyEvent.objects.filter(kind="edited").exists()


def test_permissions_can_be_narrowed(client):
    key = make_key(scopes=["todo:read", "todo:write"]).key

    client.post(page_of(key, "narrow"), {"scopes": ["todo:read"]})

    key.refresh_from_db()
    assert key.scopes == ["todo:read"]


def test_only_permissions_that_the_key_holds_are_offered(client):
    key = make_key(scopes=["todo:read", "todo:write"]).key

    response = client.get(page_of(key, "narrow"))

    assert [control["value"] for control in controls_in(response, name="scopes")] == ["todo:read", "todo:write"]
    assert "To add permissions, issue a new key." in response.content.decode()


@pytest.mark.parametrize("scopes", [["todo:read", "todo:write"], ["todo:write"], []], ids=["wider", "other", "none"])
def test_permissions_are_never_widened_by_a_forged_post(client, scopes):
    key = make_key(scopes=["todo:read"]).key

    response = client.post(page_of(key, "narrow"), {"scopes": scopes})

    key.refresh_from_db()
    assert errors_in(response, "scopes") != []
    assert key.scopes == ["todo:read"]


def test_permission_that_is_declared_no_more_is_told(client):
    key = make_key(scopes=["todo:read", "usage:read"]).key

    with override_settings(APIKEYS={**settings.given(), "SCOPES": {"todo:read": "View to-dos"}}):
        page = shown(client, key)

    assert "This permission is declared no more, so it opens nothing. <code>usage:read</code>" in page


def test_key_of_a_person_who_is_gone_says_so(client):
    owner: Any = PersonFactory()
    key = make_key(owner=owner).key
    owner.delete()

    assert "owner is gone" in shown(client, key)


def test_page_stays_cheap_with_a_long_chain(client):
    key = make_key().key
    for _number in range(5):
        key = keys.rotate(key).key
    client.get(page_of(key))

    with statements() as sql:
        client.get(page_of(key))

    assert len(sql) <= 16
