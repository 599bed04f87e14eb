from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys import keys, tag_secrets
from apikeys.admin.key_admin import APIKeyAdmin
from apikeys.models import APIKey, Grain, KeyEvent, LastUse, Level, UsageCount
from apikeys.testing import make_key
from apikeys.testing.leaks import assert_not_stored
from tests.admin_pages import LIST, controls_in, errors_in, page_of
from tests.factories import ClientFactory, UserFactory
from tests.identifying import IDENTIFY, identify, somebody
from tests.usage_rows import requests_with

WRONG_TAG = "The tag is wrong: a letter is missing or changed, or it was not issued here."
UNKNOWN = "No key of this site."
NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    person = somebody(username="gilfoyle", rights=["view_apikey", "revoke_apikey"])
    client.force_login(person)
    return person


def told(response):
    page = response.content.decode()
    return page[page.index('id="found"') :]


def changed(plaintext, place):
    """Return *plaintext* with another letter at *place*."""
    letter = "a" if plaintext[place] != "a" else "b"
    return plaintext[:place] + letter + plaintext[place:][1:]


def identified():
    return list(KeyEvent.objects.filter(kind="identified").order_by("pk"))


def test_a_whole_key_is_found(client):
    richard = UserFactory(username="richard")
    issued = make_key(name="Nightly export", client=ClientFactory(name="Build server"), owner=richard)

    page = told(identify(client, issued.plaintext))

    for fact in ("Nightly export", issued.key.masked, "Never used", "Build server", "richard", "todo:read"):
        assert fact in page
    assert f'href="{page_of(issued.key)}"' in page


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('10.0.0.7 "GET /api/?key={} HTTP/1.1" 200', id="address"),
        pytest.param("Authorization: Bearer {}", id="header"),
        pytest.param("{{'HTTP_X_API_KEY': '{}'}}", id="dict"),
        pytest.param("key={}2026-11-22 05:00:00 next line", id="no-line-break"),
        pytest.param("prod{}", id="letters-before"),
    ],
)
def test_a_key_inside_a_line_of_a_log_is_found(client, line):
    issued = make_key(name="Nightly export")

    assert "Nightly export" in told(identify(client, line.format(issued.plaintext)))


def test_several_keys_are_found_also_with_nothing_between_them(client):
    first, second = make_key(name="Nightly export"), make_key(name="Backup")
    cut_off = first.plaintext[:40]

    page = told(identify(client, cut_off + first.plaintext + second.plaintext + first.plaintext))

    assert page.count("Nightly export") == 1
    assert page.count("Backup") == 1
    assert page.count(WRONG_TAG) == 1


def test_a_revoked_key_is_found_without_a_way_to_revoke_it_again(client):
    issued = make_key()
    keys.revoke(issued.key, reason="left")

    page = told(identify(client, issued.plaintext))

    assert "Revoked" in page
    assert "Revoke as leaked" not in page


@pytest.mark.parametrize("place", [-1, -9, -20], ids=["tag", "secret", "middle"])
def test_a_changed_letter_is_told_as_a_wrong_tag_and_names_no_key(client, place):
    issued = make_key(name="Nightly export")

    page = told(identify(client, changed(issued.plaintext, place)))

    assert WRONG_TAG in page
    assert "Nightly export" not in page
    assert "Revoke" not in page


def test_a_cut_off_key_is_told_as_a_wrong_tag_and_names_no_key(client):
    issued = make_key(name="Nightly export")

    page = told(identify(client, f"Bearer {issued.plaintext[:-1]}"))

    assert WRONG_TAG in page
    assert "Nightly export" not in page


def test_a_key_id_alone_identifies_nothing(client):
    issued = make_key(name="Nightly export")

    page = told(identify(client, f"{issued.key.masked} {issued.key.key_id}"))

    assert UNKNOWN in page
    assert "Nightly export" not in page


def test_a_genuine_key_whose_row_is_gone_is_none_of_this_site(client):
    issued = make_key()
    KeyEvent.objects.all().delete()
    APIKey.objects.all().delete()

    assert UNKNOWN in told(identify(client, issued.plaintext))


def test_a_key_that_the_projects_admin_hides_from_the_person_is_none_of_this_site(client, monkeypatch):
    hidden, shown = make_key(name="Nightly export"), make_key(name="Backup")
    own = APIKeyAdmin.get_queryset
    monkeypatch.setattr(APIKeyAdmin, "get_queryset", lambda *which: own(*which).filter(name="Backup"))

    page = told(identify(client, f"{hidden.plaintext} {shown.plaintext}"))

    assert "Nightly export" not in page
    assert page_of(hidden.key) not in page
    assert page.count(UNKNOWN) == 1
    assert "Backup" in page


def test_a_key_that_an_older_secret_tagged_is_found(client):
    issued = make_key(name="Nightly export")
    tag_secrets.make()

    assert "Nightly export" in told(identify(client, issued.plaintext))


@pytest.mark.parametrize("text", ["hello", "sk_live_4Qm9ZtR1xVb7_HYiNs9S555GCGeAmWMTj2", "é\ud7ff…"])
def test_text_without_a_key_is_told_how_keys_start(client, text):
    page = told(identify(client, text))

    assert UNKNOWN in page
    assert "They start with ak_live_ or ak_test_." in page
    assert text not in page


def test_twenty_keys_are_looked_up_and_the_rest_is_counted(client):
    text = " ".join(changed(make_key().plaintext, -place) for place in range(1, 24))

    page = told(identify(client, text))

    assert page.count(WRONG_TAG) == 20
    assert "Only the first 20 keys were looked up; the text holds 3 more." in page


def test_first_and_last_use_are_told(client):
    issued = make_key()
    with time_machine.travel(NOW, tick=False):
        LastUse.objects.create(key_id=issued.key.key_id, at=NOW - timedelta(minutes=12), address="203.0.113.9")
        for bucket in (NOW - timedelta(days=3), NOW - timedelta(days=9)):
            UsageCount.objects.create(
                level=Level.REQUEST,
                grain=Grain.HOUR,
                bucket=bucket,
                family=issued.key.family,
                key_id=issued.key.key_id,
                outcome="ok",
                count=1,
                last_at=bucket,
            )

        client.force_login(somebody(rights=["view_apikey"]))
        page = told(identify(client, issued.plaintext))

    assert "13 November 2026" in page
    assert "12 minutes ago</time> from 203.0.113.9" in page


@pytest.mark.parametrize("grain", [Grain.HOUR, Grain.DAY])
def test_the_day_of_the_first_use_is_the_projects_wherever_the_reader_is(client, grain):
    key = make_key()
    # Of a day, only when it began is known.
    used_at = datetime(2026, 11, 13, tzinfo=UTC)
    requests_with(key.key, at=used_at)
    UsageCount.objects.update(grain=grain)

    with timezone.override("America/New_York"):
        page = told(identify(client, key.plaintext))

    assert "13 November 2026" in page
    assert "12 November 2026" not in page


def test_the_way_on_revokes_it_as_leaked(client):
    issued = make_key()

    page = told(identify(client, issued.plaintext))
    way_on = f"{page_of(issued.key, 'revoke')}?reason=leaked"
    form = client.get(way_on)

    assert f'href="{way_on}"' in page
    assert [control["value"] for control in controls_in(form, name="reason") if "checked" in control] == ["leaked"]


def test_those_who_may_not_revoke_have_no_way_on(client):
    client.force_login(somebody(rights=["view_apikey"]))

    page = told(identify(client, make_key().plaintext))

    assert "Revoke as leaked" not in page


def test_an_unknown_reason_in_the_address_chooses_none(client):
    form = client.get(f"{page_of(make_key().key, 'revoke')}?reason=undelivered")

    assert [control for control in controls_in(form, name="reason") if "checked" in control] == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_page_is_for_those_who_may_see_keys(client, method):
    client.force_login(somebody(rights=["revoke_apikey", "issue_apikey", "view_client"]))

    response = getattr(client, method)(IDENTIFY, {"text": make_key().plaintext})

    assert response.status_code == 403
    assert identified() == []


def test_a_key_in_the_address_is_not_looked_up(client):
    issued = make_key(name="Nightly export")

    page = client.get(IDENTIFY, {"text": issued.plaintext}).content.decode()

    assert 'id="found"' not in page
    assert identified() == []


def test_each_found_key_has_an_event_with_who_asked(client, gilfoyle):
    first, second = make_key(), make_key()

    identify(client, f"{first.plaintext} {second.plaintext}")

    assert [(event.key_id, event.client_id, event.actor, event.source) for event in identified()] == [
        (issued.key.pk, issued.key.client_id, gilfoyle, "admin") for issued in (first, second)
    ]
    assert {str(event.details) for event in identified()} == {"{}"}


def test_a_look_up_that_finds_nothing_has_an_event_of_no_key(client, gilfoyle):
    identify(client, changed(make_key().plaintext, -1))

    (event,) = identified()
    assert (event.key, event.client, event.actor, event.details) == (None, None, gilfoyle, {"unknown": 1})


def test_the_event_is_told_in_the_history_of_the_key_and_in_the_list(client):
    issued = make_key()
    identify(client, issued.plaintext)
    identify(client, "nothing")
    client.force_login(somebody(is_superuser=True))

    history = client.get(page_of(issued.key)).content.decode()
    events = client.get("/admin/apikeys/keyevent/").content.decode()

    assert "Identified" in history
    assert "No key of this site was found." in events


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(str, id="found"),
        pytest.param(lambda plaintext: changed(plaintext, -1), id="wrong-tag"),
        pytest.param(lambda plaintext: plaintext[:-4], id="cut-off"),
        pytest.param(lambda plaintext: f"{plaintext} {'x' * 20_000}", id="refused"),
    ],
)
def test_what_was_pasted_is_in_no_answer_and_nowhere_else(client, caplog, damaged):
    issued = make_key()
    text = damaged(issued.plaintext)
    with caplog.at_level(logging.DEBUG):
        response = identify(client, text)

    secret = issued.plaintext.rpartition("_")[2]
    assert secret[:12] not in response.content.decode()
    assert secret[12:24] not in response.content.decode()
    assert_not_stored(
        issued.plaintext,
        also={"logs": caplog.text, "headers": str(response.headers), "cookies": client.cookies},
    )


def test_the_answer_is_kept_by_no_cache_and_told_to_no_other_site(client):
    response = identify(client, make_key().plaintext)

    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "same-origin"
    assert response.status_code == 200


def test_the_field_hides_what_is_typed_and_is_offered_for_storing_by_no_browser(client):
    (field,) = controls_in(client.get(IDENTIFY), name="text")

    assert (field["type"], field["autocomplete"]) == ("password", "one-time-code")
    assert "value" not in field


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "Paste a key, or a piece of a log with keys in it.", id="empty"),
        pytest.param("x" * 20_001, "Paste at most 20000 characters.", id="long"),
        pytest.param("a\0b", "Null characters are not allowed.", id="nul"),
    ],
)
def test_what_can_not_be_looked_up_is_refused(client, text, message):
    response = identify(client, text)

    assert errors_in(response, "text") == [message]
    assert identified() == []


def test_the_list_leads_to_the_page(client):
    assert f'<a href="{IDENTIFY}">Identify a key</a>' in client.get(LIST).content.decode()


def test_the_search_leads_to_the_page_where_a_whole_key_was_typed(client):
    issued = make_key()

    page = client.get(LIST, {"q": issued.plaintext}).content.decode()

    assert f'Use <a href="{IDENTIFY}">Identify a key</a>, so it does not end up in the address bar and logs.' in page


def test_those_who_may_not_see_keys_are_led_nowhere(client):
    client.force_login(somebody(rights=["view_client"]))

    page = client.get("/admin/apikeys/client/", {"q": make_key().plaintext}).content.decode()

    assert "Search for its name or key id instead" in page
    assert IDENTIFY not in page


def test_queries_do_not_grow_with_the_number_of_keys(client, django_assert_max_num_queries):
    texts = [" ".join(make_key().plaintext for _ in range(number)) for number in (1, 20)]
    identify(client, texts[0])
    with CaptureQueriesContext(connection) as of_one:
        identify(client, texts[0])

    # MySQL does not tell the keys of rows that are inserted together, so each event is a query there.
    more = 0 if connection.features.can_return_rows_from_bulk_insert else 19
    with django_assert_max_num_queries(len(of_one) + more):
        identify(client, texts[1])
