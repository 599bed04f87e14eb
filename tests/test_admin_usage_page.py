from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from apikeys import keys
from apikeys.models import APIKey, Client
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, LIST, page_of
from tests.factories import ClientFactory, PersonFactory
from tests.key_use import refused, roll_up, used
from tests.request_path import statements

NOW = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
USAGE = "/admin/apikeys/usagecount/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


@pytest.fixture(autouse=True)
def _now():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def busy():
    """Return the key that asks for most."""
    busy = make_key(name="Busy", client=ClientFactory(name="Web app")).key
    other = make_key(name="Other", client=ClientFactory(name="Watch")).key
    used(busy, 900, ago=2 * DAY)
    used(busy, 60, ago=2 * DAY, outcome="scope_missing", scopes="todo:write", method="POST")
    used(busy, 30, ago=3 * HOUR)
    used(other, 10, ago=3 * HOUR, network="192.0.2.0/24", route="todo-detail")
    used(other, 5, ago=40 * DAY)
    refused("key_invalid", 25, ago=2 * DAY)
    refused("key_expired", 15, ago=2 * DAY, key=other)
    roll_up()
    return busy


def shown(client, address=USAGE):
    return " ".join(client.get(address).content.decode().split())


def tiles_of(response):
    return {tile.label: tile.number for tile in response.context["tiles"]}


def ranking(response, name):
    (found,) = [each for each in response.context["rankings"] if each.id == name]
    return [(row.label, row.requests, row.denied) for row in found.rows]


def test_page_adds_up_all_requests(client, busy):
    response = client.get(USAGE)

    tiles = tiles_of(response)
    assert (tiles["Requests"], tiles["Denied"]) == ("1,040", "10%")
    days = {bar.label: (bar.requests, bar.denied) for bar in response.context["chart"].bars if bar.requests}
    assert days == {"20 November 2026": (1000, 100), "22 November 2026": (40, 0)}


@pytest.mark.parametrize(
    ("period", "requests", "bars"),
    [
        pytest.param("24h", "40", 24, id="24-hours"),
        pytest.param("7d", "1,040", 7, id="7-days"),
        pytest.param("30d", "1,040", 30, id="30-days"),
        pytest.param("90d", "1,045", 90, id="90-days"),
        pytest.param("nonsense", "1,040", 30, id="unknown"),
    ],
)
def test_period_is_chosen_by_a_link(client, busy, period, requests, bars):
    response = client.get(USAGE, {"period": period})

    assert tiles_of(response)["Requests"] == requests
    assert len(response.context["chart"].bars) == bars


def test_clients_and_keys_with_most_requests_come_first(client, busy):
    response = client.get(USAGE)

    assert ranking(response, "clients") == [("Web app", "990", "60"), ("Watch", "25", "15")]
    assert ranking(response, "keys") == [("Busy", "990", "60"), ("Other", "25", "15")]


def test_reasons_of_denials_are_told_in_words(client, busy):
    response = client.get(USAGE)

    assert ranking(response, "reasons") == [
        ("Permission missing", "", "60"),
        ("Unknown key", "", "25"),
        ("Expired", "", "15"),
    ]


def test_page_says_until_when_it_counted(client, busy):
    assert "Counted until 22 November 2026, 03:00 UTC." in shown(client)


def test_permission_that_some_client_may_hold_and_nobody_needed_is_told(client, busy):
    Client.objects.update(allowed_scopes=["todo:read", "todo:write"])
    Client.objects.filter(name="Watch").update(allowed_scopes=["usage:read"])

    assert client.get(USAGE).context["unneeded"] == ["Read usage numbers"]


def test_permission_is_called_unneeded_only_as_far_back_as_counting_reaches(client, busy):
    Client.objects.update(allowed_scopes=["todo:read", "usage:read"])

    assert client.get(USAGE, {"period": "7d"}).context["unneeded"] == ["Read usage numbers"]
    assert client.get(USAGE, {"period": "90d"}).context["unneeded"] is None
    assert "Permissions never needed" not in shown(client, f"{USAGE}?period=90d")


def test_no_permission_is_called_unneeded_where_memory_did_not_tell_requests_apart(client, busy):
    used(busy, ago=DAY, scopes="*")
    roll_up()

    assert client.get(USAGE).context["unneeded"] is None


@pytest.mark.parametrize(
    ("scopes", "unneeded"),
    [("usage:read", []), ("todo:read", ["Read usage numbers"]), ("*", None)],
    ids=["needed", "another", "any"],
)
def test_no_permission_is_called_unneeded_that_a_request_needed_which_is_not_summed_yet(client, busy, scopes, unneeded):
    ClientFactory(name="Reader", allowed_scopes=["todo:read", "todo:write", "usage:read"])
    used(busy, ago=8 * DAY)
    roll_up()
    used(busy, ago=HOUR, scopes=scopes)

    assert client.get(USAGE).context["unneeded"] == unneeded


@pytest.mark.parametrize(
    "label",
    ["Working keys", "Expire in 7 days", "Never used", "Without expiry"],
    ids=["working", "expiring", "unused", "endless"],
)
def test_tile_leads_to_as_many_keys_as_it_counts(client, busy, label):
    for number in range(3):
        make_key(name=f"Soon {number}", lifetime=3 * DAY)
    for name in ("endless", "endless too"):
        APIKey.objects.filter(pk=make_key(name=name).key.pk).update(expires_at=None, last_used_at=NOW)
    over = [make_key(name=f"Over {number}").key.pk for number in range(3)]
    APIKey.objects.filter(pk__in=over[:2]).update(expires_at=NOW - DAY)
    keys.revoke(APIKey.objects.get(pk=over[2]), reason="leaked")

    (tile,) = [tile for tile in client.get(USAGE).context["tiles"] if tile.label == label]

    assert client.get(tile.url).context["cl"].result_count == int(tile.number) > 0


def test_to_do_list_counts_what_needs_somebody(client, busy):
    make_key(name="Soon", lifetime=3 * DAY)
    for name in ("endless", "endless too"):
        APIKey.objects.filter(pk=make_key(name=name).key.pk).update(expires_at=None)

    page = shown(client)

    assert f'<a href="{LIST}?status=working&amp;expires=week">1 key expires this week</a>' in page
    assert f'<a href="{LIST}?status=working&amp;expires=never">2 keys have no expiry</a>' in page


def test_page_about_one_key_says_what_it_called_and_from_where(client, busy):
    used(busy, 7, network="192.0.2.0/24", route="usage")

    response = client.get(USAGE, {"key": busy.key_id})

    assert tiles_of(response) == {"Requests": "997", "Denied": "6%"}
    assert ranking(response, "routes") == [("todo-list", "990", "60"), ("usage", "7", "0")]
    assert ranking(response, "networks") == [("203.0.113.0/24", "990", "60"), ("192.0.2.0/24", "7", "0")]
    assert f'<a href="{page_of(busy)}">' in response.content.decode()


def test_page_about_one_client_says_which_keys_and_what_they_called(client, busy):
    response = client.get(USAGE, {"client": busy.client.client_id})

    assert tiles_of(response) == {"Requests": "990", "Denied": "6%"}
    assert ranking(response, "keys") == [("Busy", "990", "60")]
    assert ranking(response, "routes") == [("todo-list", "990", "60")]
    assert f'<a href="{CLIENTS}{busy.client.pk}/change/">' in response.content.decode()


@pytest.mark.parametrize("subject", ["", "key", "client"])
def test_links_to_other_periods_stay_with_the_subject(client, busy, subject):
    query = {"": {}, "key": {"key": busy.key_id}, "client": {"client": busy.client.client_id}}[subject]

    response = client.get(USAGE, query)

    addresses = [link.url for link in response.context["periods"]]
    assert len(addresses) == 4
    for address in addresses:
        other = client.get(f"{USAGE}{address}")
        assert other.context["title"] == response.context["title"]


@pytest.mark.parametrize("parameter", ["key", "client"])
@pytest.mark.parametrize(
    "value", ["nobody", "a\0b", "x" * 4000, "ak_live_4Qm9ZtR1xVb7", "\U0001f4a9"], ids=lambda value: ascii(value)[:12]
)
def test_unknown_subject_leads_back_to_all_keys(client, busy, parameter, value):
    response = client.get(USAGE, {parameter: value}, follow=True)

    assert response.redirect_chain == [(USAGE, 302)]
    assert "There is no such key or client. This is the use of all keys." in response.content.decode()


def test_without_requests_the_page_says_so(client):
    page = shown(client)

    assert "No requests yet in this period." in page
    assert f'<a href="{LIST}add/">Make the first one</a>' in page
    assert "<figure" not in page


def test_who_may_issue_no_key_is_not_sent_to_make_the_first_request(client):
    client.force_login(PersonFactory(rights=["view_usagecount", "view_apikey"]))

    page = shown(client)

    assert "No requests yet in this period." in page
    assert "Make the first one" not in page


def test_without_the_middleware_the_page_says_that_nothing_is_recorded(client, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("apikeys.")]

    assert "Usage not recorded." in shown(client)


def test_counts_that_nobody_sums_up_are_told(client):
    used(make_key().key, ago=7 * HOUR)

    assert "Usage is recorded but not summed. Run <code>manage.py rollup_usage</code> every hour." in shown(client)


def test_counts_of_the_running_hour_need_no_roll_up(client):
    used(make_key().key)

    assert "not summed" not in shown(client)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_page_takes_nothing(client, method):
    assert getattr(client, method)(USAGE).status_code == 405


@pytest.mark.parametrize("address", ["add/", "1/change/", "1/delete/", "1/history/"])
def test_counts_can_be_neither_opened_nor_changed(client, busy, address):
    assert client.get(f"{USAGE}{address}", follow=False).status_code in {302, 403}
    assert client.post(f"{USAGE}{address}").status_code in {302, 403}


@pytest.mark.parametrize("right", ["view_apikey", "view_client", "view_keyevent"])
def test_other_rights_do_not_open_the_page(client, busy, right):
    client.force_login(PersonFactory(rights=[right]))

    assert client.get(USAGE).status_code == 403


def test_page_tells_those_who_may_see_no_keys_about_requests_alone(client, busy):
    client.force_login(PersonFactory(rights=["view_usagecount"]))

    response = client.get(USAGE)
    page = response.content.decode()

    assert list(tiles_of(response)) == ["Requests", "Denied"]
    assert LIST not in page
    assert "To do" not in page


def test_pages_link_to_the_usage_of_their_subject_only_for_those_who_may_see_it(client, busy):
    client.force_login(PersonFactory(rights=["view_apikey", "view_client"]))

    assert USAGE not in shown(client, page_of(busy))
    assert USAGE not in shown(client, f"{CLIENTS}{busy.client.pk}/change/")


def test_page_is_kept_nowhere(client):
    assert "no-store" in client.get(USAGE)["Cache-Control"]


def test_number_of_queries_does_not_grow_with_the_keys(client, busy):
    def queries():
        with statements() as sql:
            client.get(USAGE)
        return len(sql)

    client.get(USAGE)
    before = queries()
    for number in range(12):
        used(make_key(client=ClientFactory(name=f"Client {number}")).key, number + 1, ago=3 * HOUR)
    roll_up()

    assert queries() == before <= 12


def test_where_there_are_too_many_counts_the_last_day_is_ranked(client, busy, monkeypatch):
    monkeypatch.setattr("apikeys.admin.rankings._MOST_COUNTS", 2)

    response = client.get(USAGE)

    assert ranking(response, "keys") == [("Busy", "30", "0"), ("Other", "10", "0")]
    assert tiles_of(response)["Requests"] == "1,040"
    assert "Of the last 24 hours: of longer there are too many counts to rank." in response.content.decode()


def test_where_there_are_too_many_keys_only_those_to_look_after_are_counted(client, busy, monkeypatch):
    monkeypatch.setattr("apikeys.admin.usage_page._MANY_KEYS", 1)
    monkeypatch.setattr("apikeys.admin.usage_page._MOST_COUNTED", 3)
    for number in range(4):
        make_key(name=f"Soon {number}", lifetime=3 * DAY)
    APIKey.objects.filter(pk=make_key(name="endless").key.pk).update(expires_at=None)

    response = client.get(USAGE)

    tiles = tiles_of(response)
    assert (tiles["Expire in 7 days"], tiles["Without expiry"]) == ("3+", "1")
    assert not {"Working keys", "Never used"} & set(tiles)
    assert "3+ keys expire this week" in response.content.decode()


def test_days_begin_at_midnight_of_the_project(client, settings: Any):
    settings.TIME_ZONE = "Asia/Tokyo"
    key = make_key().key
    # 23:30 and 00:30 in Tokyo.
    used(key, 3, ago=NOW - datetime(2026, 11, 20, 14, 30, tzinfo=UTC))
    used(key, 5, ago=NOW - datetime(2026, 11, 20, 15, 30, tzinfo=UTC))
    roll_up()

    bars = client.get(USAGE).context["chart"].bars

    assert {bar.label: bar.requests for bar in bars if bar.requests} == {
        "20 November 2026": 3,
        "21 November 2026": 5,
    }
    assert bars[-1].label == "22 November 2026"


def test_names_are_shown_as_they_are(client):
    used(make_key(name="<b>{}</b> %s", client=ClientFactory(name="<i>{}</i> %d")).key, ago=3 * HOUR)
    roll_up()

    page = shown(client)

    assert "&lt;b&gt;{}&lt;/b&gt; %s" in page
    assert "&lt;i&gt;{}&lt;/i&gt; %d" in page


def test_page_holds_no_inline_style_and_no_script(client, busy):
    page = shown(client).partition("<main")[2].partition("</main>")[0]

    assert not re.search(r"<script|<style| style=| on\w+=", page)
