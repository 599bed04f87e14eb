from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys import clients, keys
from apikeys.admin.key_admin import APIKeyAdmin
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.admin_pages import ADD, CLIENTS, LIST, control_in, page_of
from tests.factories import ClientFactory, PersonFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def listed(response):
    return {key.name for key in response.context["cl"].result_list}


def test_columns_are_in_their_order(client):
    make_key()

    page = client.get(LIST).content.decode()

    headings = [
        " ".join(re.sub("<[^>]*>", " ", cell).split())
        for cell in re.findall("<th scope.*?</th>", page.partition('id="result_list"')[2], re.DOTALL)
    ]
    assert headings == ["", "Key", "Status", "Client", "Permissions", "Used, 14 days", "Issued"]


def test_row_tells_two_lines_of_each(client, gilfoyle):
    owner = PersonFactory(username="richard")
    key = make_key(
        name="Nightly export", client=ClientFactory(name="Web app"), owner=owner, scopes=["todo:read"], by=gilfoyle
    ).key

    page = client.get(LIST).content.decode()

    row = " ".join(re.sub("<[^>]*>", " ", page.split("<tbody>")[1].split("</tbody>")[0]).split())
    today = f"{key.created_at:%-d %b %Y}"
    assert row == (
        f"Nightly export {key.masked} – Never used expires in 90 days Web app richard to-dos: read never used "
        f"{today} gilfoyle"
    )


def test_times_can_be_read_by_programs(client):
    make_key()

    page = client.get(LIST).content.decode()

    assert re.search('<time datetime="[0-9T:.+-]+" title="[^"]+ UTC">expires in 90 days</time>', page)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("Night", {"Nightly export"}, id="start-of-name"),
        pytest.param("night", {"Nightly export"}, id="in-small-letters"),
        pytest.param("export", set(), id="middle-of-name"),
        pytest.param("richard", {"Nightly export"}, id="user-name"),
        pytest.param("richar", set(), id="part-of-user-name"),
        pytest.param("4Qm9Zt", {"Other"}, id="start-of-key-id"),
        pytest.param("ak_live_4Qm9Zt…", {"Other"}, id="mask"),
        pytest.param("Qm9Zt", set(), id="middle-of-key-id"),
    ],
)
def test_search_finds_starts_of_names_and_ids_and_whole_user_names(client, text, found):
    make_key(name="Nightly export", owner=PersonFactory(username="richard"))
    other = make_key(name="Other").key
    APIKey.objects.filter(pk=other.pk).update(key_id="4Qm9ZtR1xVb7")

    assert listed(client.get(LIST, {"q": text})) == found


def test_whole_key_is_neither_searched_nor_shown_again(client):
    issued = make_key(name="Nightly export")

    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = client.get(LIST, {"q": issued.plaintext})

    page = response.content.decode()
    secret = issued.plaintext.rpartition("_")[2]
    assert secret not in page
    assert secret not in str(queries.captured_queries)
    assert "That looks like a whole key." in page
    assert "Identify a key</a>, so it does not end up in the address bar and logs." in page
    assert "This key is now in the server's access log." in page
    assert f'<a href="{page_of(issued.key, "rotate")}">Rotate it.</a>' in page


def test_key_that_the_projects_admin_hides_from_the_person_is_not_given_away_by_a_link(client, monkeypatch):
    issued = make_key()
    monkeypatch.setattr(APIKeyAdmin, "get_queryset", lambda *_which: APIKey.objects.none())

    page = client.get(LIST, {"q": issued.plaintext}).content.decode()

    assert "</strong> Rotate it. </p>" in " ".join(page.split())
    assert page_of(issued.key, "rotate") not in page


def test_part_of_a_key_inside_other_text_counts_as_a_key(client):
    issued = make_key()

    page = client.get(LIST, {"q": f"Bearer {issued.plaintext[:40]}"}).content.decode()

    assert issued.plaintext[:40] not in page
    assert "access log" in page


@pytest.mark.parametrize("address", [CLIENTS, "/admin/apikeys/keyevent/"], ids=["clients", "events"])
def test_other_lists_do_not_search_for_a_whole_key_either(client, address):
    issued = make_key()

    page = client.get(address, {"q": issued.plaintext}).content.decode()

    assert issued.plaintext.rpartition("_")[2] not in page
    assert "This key is now in the server's access log." in page


def test_warning_about_keys_is_hidden_otherwise(client):
    assert 'id="whole-key" role="alert"' in client.get(LIST, {"q": "x"}).content.decode()
    assert "access log" not in client.get(LIST, {"q": "x"}).content.decode()


@pytest.fixture
def several():
    now = timezone.now()
    off = ClientFactory(name="Analytics")
    make_key(name="fresh", client=ClientFactory(name="Web app"))
    make_key(name="suspended", client=off)
    clients.disable(off)
    keys.revoke(make_key(name="revoked").key, reason="leaked")
    states: dict[str, dict[str, Any]] = {
        "expired": {"expires_at": now - timedelta(days=1)},
        "expiring": {"expires_at": now + timedelta(days=4)},
        "this month": {"expires_at": now + timedelta(days=20)},
        "endless": {"expires_at": None},
        "idle": {"last_used_at": now - timedelta(days=100)},
        "active": {"last_used_at": now - timedelta(hours=1)},
        "test": {"mode": "test"},
    }
    for name, columns in states.items():
        APIKey.objects.filter(pk=make_key(name=name).key.pk).update(**columns)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("status=revoked", {"revoked"}, id="status"),
        pytest.param("status=suspended", {"suspended"}, id="suspended"),
        pytest.param("status=active", {"active"}, id="active"),
        pytest.param("expires=week", {"expiring"}, id="next-7-days"),
        pytest.param("expires=month", {"expiring", "this month"}, id="next-30-days"),
        pytest.param("expires=never", {"endless"}, id="no-expiry"),
        pytest.param("expires=past", {"expired"}, id="past"),
        pytest.param("last_used=idle", {"idle"}, id="idle"),
        pytest.param("last_used=week", {"active"}, id="used-this-week"),
        pytest.param("mode__exact=test", {"test"}, id="mode"),
        pytest.param("status=revoked&expires=never", set(), id="two-filters"),
    ],
)
@pytest.mark.usefixtures("several")
def test_filter_leaves_what_it_says(client, query, found):
    assert listed(client.get(f"{LIST}?{query}")) == found


@pytest.mark.usefixtures("several")
def test_clients_without_keys_are_no_filter(client):
    ClientFactory(name="Keyless")

    page = client.get(LIST).content.decode()

    assert "Analytics" in page
    assert "Keyless" not in page


def test_empty_list_says_what_a_key_is(client):
    page = client.get(LIST).content.decode()

    assert "No API keys yet. A key lets an app call this API without a password." in page
    assert f'<a href="{ADD}">Issue a key</a>' in page


def test_empty_list_offers_nothing_to_those_who_may_not_issue(client):
    client.force_login(PersonFactory(rights=["view_apikey"]))

    page = client.get(LIST).content.decode()

    assert "No API keys yet." in page
    assert ADD not in page


def test_filter_that_finds_none_can_be_cleared(client):
    make_key()

    page = client.get(f"{LIST}?status=revoked").content.decode()

    assert "No keys match these filters." in page
    assert '<a href="?">Clear filters</a>' in page


def test_newest_key_comes_first(client):
    for name in ("first", "second", "third"):
        make_key(name=name)

    assert [key.name for key in client.get(LIST).context["cl"].result_list] == ["third", "second", "first"]


def test_number_of_queries_does_not_grow_with_the_list(client, gilfoyle):
    app = ClientFactory()

    def queries_with(number):
        while APIKey.objects.count() < number:
            make_key(client=app, by=gilfoyle)
        with CaptureQueriesContext(connection) as queries:
            client.get(f"{LIST}?all=")
        return len(queries)

    client.get(LIST)
    with_ten = queries_with(10)

    assert queries_with(45) == with_ten
    assert with_ten <= 8


def test_title_and_heading_name_the_list(client):
    page = client.get(LIST).content.decode()

    assert "<title>API keys | " in page
    assert page.count("<h1>") == 1


def test_page_size_bounds_the_list(client):
    assert client.get(LIST).context["cl"].list_per_page == 50


def test_owner_and_client_are_links_only_for_those_who_may_follow(client):
    make_key(client=ClientFactory(name="Web app"), owner=PersonFactory(username="richard"))
    client.force_login(PersonFactory(rights=["view_apikey"]))

    page = client.get(LIST).content.decode()

    assert "/admin/auth/user/" not in page
    assert "/admin/apikeys/client/" not in page
    assert "Web app" in page


def test_names_are_shown_as_they_are(client):
    make_key(name="<b>{}</b> %s")

    page = client.get(LIST).content.decode()

    assert "&lt;b&gt;{}&lt;/b&gt; %s" in page


def test_search_box_is_labelled(client):
    make_key()

    assert control_in(client.get(LIST), id="searchbar")["name"] == "q"
