"""What the list of clients says of their keys."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys import keys
from apikeys.admin import client_list
from apikeys.admin.key_admin import APIKeyAdmin
from apikeys.models import APIKey, Client
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, LIST
from tests.factories import ClientFactory, PersonFactory

pytestmark = pytest.mark.django_db

IN_LIST = re.compile(r"client_id\W IN \(([^)]*)\)")


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def cell_of(app, column, *, client, **query):
    """Return the cell as HTML."""
    table = client.get(CLIENTS, query).text.partition('id="result_list"')[2]
    row = next(row for row in table.split("<tr>") if f"/{app.pk}/change/" in row)
    cell = re.search(rf'<td class="field-{column}[^>]*>(.*?)</td>', row, re.DOTALL)
    assert cell is not None
    return cell[1]


def text_of(cell):
    return re.sub("<[^>]*>", "", cell)


def link_in(cell):
    found = re.search('<a href="([^"]*)">', cell)
    return found and unescape(found[1])


def change(key, **columns):
    APIKey.objects.filter(pk=key.pk).update(**columns)


def test_columns_are_in_their_order(client):
    ClientFactory()

    table = client.get(CLIENTS).text.partition('id="result_list"')[2]

    columns = re.findall(r'<th scope="col" class="[^"]*column-(\w+)', table)
    assert [name for name in columns if name in {"name", "kind", "working_keys", "last_used", "shown_owner"}] == [
        "name",
        "kind",
        "working_keys",
        "last_used",
        "shown_owner",
    ]


def test_keys_that_work_are_counted(client):
    app, other = ClientFactory(), ClientFactory()
    now = timezone.now()
    owner = PersonFactory()
    keys.rotate(make_key(client=app, owner=owner).key, overlap=timedelta(hours=1))
    keys.revoke(make_key(client=app).key, reason="leaked")
    change(make_key(client=app).key, expires_at=now - timedelta(seconds=1))
    change(make_key(client=app).key, overlap_ends_at=now - timedelta(seconds=1))
    change(make_key(client=app).key, owner=None)
    make_key(client=other)

    assert text_of(cell_of(app, "working_keys", client=client)) == "2"
    assert text_of(cell_of(other, "working_keys", client=client)) == "1"


def test_number_leads_to_the_keys_that_it_counts(client):
    app = ClientFactory()
    kept, revoked = make_key(client=app).key, make_key(client=app).key
    keys.revoke(revoked, reason="leaked")
    make_key(client=ClientFactory())

    response = client.get(link_in(cell_of(app, "working_keys", client=client)))

    assert list(response.context["cl"].result_list) == [kept]


def test_client_without_a_working_key_leads_to_none(client):
    app = ClientFactory()
    make_key(client=ClientFactory())

    assert cell_of(app, "working_keys", client=client) == "0"


def test_last_use_is_that_of_any_key_of_a_dead_one_too(client):
    app, other = ClientFactory(), ClientFactory()
    now = timezone.now()
    dead = make_key(client=app).key
    keys.revoke(dead, reason="leaked")
    change(make_key(client=app).key, last_used_at=now - timedelta(days=5))
    change(dead, last_used_at=now - timedelta(hours=3))
    change(make_key(client=other).key, last_used_at=now)

    cell = cell_of(app, "last_used", client=client)

    assert re.fullmatch('<time datetime="[0-9T:.+-]+" title="[^"]+ UTC">3 hours ago</time>', cell)


@pytest.mark.parametrize("has_key", [True, False], ids=["unused-key", "no-key"])
def test_client_that_was_never_used_says_so(client, has_key):
    app = ClientFactory()
    if has_key:
        make_key(client=app)

    assert cell_of(app, "last_used", client=client) == "never used"


def test_who_may_not_see_keys_reads_the_numbers_and_follows_no_link(client):
    client.force_login(PersonFactory(rights=["view_client"]))
    app = ClientFactory()
    change(make_key(client=app).key, last_used_at=timezone.now())

    assert cell_of(app, "working_keys", client=client) == "1"
    assert text_of(cell_of(app, "last_used", client=client)) == "just now"
    assert LIST not in client.get(CLIENTS).text


def test_keys_that_the_projects_admin_hides_from_the_person_are_not_counted(client, monkeypatch):
    app = ClientFactory()
    make_key(client=app)
    monkeypatch.setattr(APIKeyAdmin, "get_queryset", lambda *_which: APIKey.objects.none())

    assert cell_of(app, "working_keys", client=client) == "0"


def test_only_the_keys_of_the_pages_clients_are_asked_for(client):
    apps = [ClientFactory(name=f"App {number:02}") for number in range(51)]
    make_key(client=apps[-1])

    with CaptureQueriesContext(connection) as captured:
        client.get(CLIENTS)
        of_keys = [query["sql"] for query in captured if "apikeys_apikey" in query["sql"]]

    # In any order: what the page collects is a set.
    asked_for = [set(listed.split(", ")) for sql in of_keys for listed in IN_LIST.findall(sql)]
    assert asked_for == [{str(app.pk) for app in apps[:50]}] * 3
    assert text_of(cell_of(apps[50], "working_keys", client=client, p=2)) == "1"


def test_number_of_queries_does_not_grow_with_the_list(client):
    def queries_with(number):
        while Client.objects.count() < number:
            app = ClientFactory(owner=PersonFactory())
            change(make_key(client=app).key, last_used_at=timezone.now())
            make_key(client=app)
        with CaptureQueriesContext(connection) as queries:
            client.get(CLIENTS)
            # Without the savepoints of a suite that wraps requests in transactions.
            return len([query for query in queries if query["sql"].startswith("SELECT")])

    queries_with(2)
    with_ten = queries_with(10)

    assert queries_with(30) == with_ten
    assert with_ten <= 8


@pytest.fixture
def few_may_be_counted(monkeypatch):
    # Instead of a hundred thousand rows.
    monkeypatch.setattr(client_list, "_MANY_KEYS", 4)
    monkeypatch.setattr(client_list, "_MOST_COUNTED", 2)


@pytest.fixture
def crowded():
    crowded = ClientFactory(name="Crowded")
    for _ in range(3):
        change(make_key(client=crowded).key, last_used_at=timezone.now())
    return crowded


@pytest.mark.usefixtures("few_may_be_counted")
def test_keys_are_counted_up_to_the_most_of_a_page(client, crowded):
    make_key(client=ClientFactory())

    assert text_of(cell_of(crowded, "working_keys", client=client)) == "3"


@pytest.mark.usefixtures("few_may_be_counted")
def test_client_with_too_many_keys_is_not_counted_but_linked_and_the_others_are(client, crowded):
    app = ClientFactory()
    for _ in range(2):
        make_key(client=app)

    cell = cell_of(crowded, "working_keys", client=client)

    assert text_of(cell) == "not counted"
    assert len(client.get(link_in(cell)).context["cl"].result_list) == 3
    assert cell_of(crowded, "last_used", client=client) == "–"
    assert text_of(cell_of(app, "working_keys", client=client)) == "2"
    assert cell_of(app, "last_used", client=client) == "never used"
