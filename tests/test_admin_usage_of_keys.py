from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from apikeys import clients, keys
from apikeys.admin import use_section
from apikeys.conf import settings
from apikeys.models import APIKey, Client, QuotaLedger
from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, LIST, REVOKE_MANY, page_of
from tests.factories import ClientFactory, PersonFactory
from tests.key_use import last_used_from, refused, roll_up, used

NOW = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

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


def shown(client, address):
    return " ".join(client.get(address).content.decode().split())


def facts_in(page):
    """Return the page's terms and what it says of each, without tags."""
    pairs = re.findall(r"<dt>(.*?)</dt> ?<dd>(.*?)</dd>", page)
    return {term: " ".join(re.sub("<[^>]*>", " ", text).split()) for term, text in pairs}


def numbers_in(page):
    """Return the table under the chart: requests and denied by day."""
    table = page.partition('class="apikeys-chart"')[2].partition("</table>")[0]
    rows = re.findall(r"<time[^>]*>(.*?)</time>.*?apikeys-number\">([\d,]+)</td>.*?([\d,]+)</td>", table)
    return {day: (requests, denied) for day, requests, denied in rows}


@pytest.mark.parametrize(
    ("section", "queries"),
    [
        pytest.param(lambda key: use_section.of_key(key, now=NOW), 8, id="key"),
        pytest.param(lambda key: use_section.of_client(key.client, now=NOW), 9, id="client"),
    ],
)
def test_section_about_use_costs_few_queries(section, queries, django_assert_num_queries):
    key = make_key().key
    used(key, 3, ago=3 * HOUR)
    roll_up()

    with django_assert_num_queries(queries):
        section(key)


def test_key_page_tells_when_from_where_and_for_what_it_was_last_used(client):
    key = make_key().key
    last_used_from(key, "203.0.113.9", ago=timedelta(minutes=12))

    page = shown(client, page_of(key))

    assert "22 November 2026, 05:18 UTC</time> (12 minutes ago)" in page
    assert "<code>203.0.113.9</code>" in page
    assert "<code>GET todo-list</code>" in page
    assert "curl/8.5" in page


def test_key_page_tells_the_time_alone_where_nothing_else_is_known(client):
    key = make_key().key
    APIKey.objects.update(last_used_at=NOW - timedelta(minutes=12))

    page = shown(client, page_of(key))

    assert "(12 minutes ago)" in page
    assert "User agent" not in page


@pytest.mark.parametrize("is_summed", [False, True], ids=["as-written", "summed"])
def test_key_page_counts_thirty_days(client, is_summed):
    key = make_key().key
    used(key, 1200, ago=2 * HOUR)
    used(key, 4, ago=3 * DAY, outcome="scope_missing")
    used(key, 90, ago=29 * DAY)
    used(key, 6, ago=29 * DAY, outcome="5xx")
    used(key, 1000, ago=30 * DAY)
    refused("key_expired", 20, ago=2 * HOUR, key=key)
    if is_summed:
        roll_up()

    page = shown(client, page_of(key))

    facts, numbers = facts_in(page), numbers_in(page)
    assert (facts["Requests"], facts["Denied"], facts["Other errors"]) == ("1,320", "24 (2%)", "6 (under 1%)")
    assert len(numbers) == 30
    assert numbers["22 November 2026"] == ("1,220", "20")
    assert numbers["19 November 2026"] == ("4", "4")
    assert numbers["24 October 2026"] == ("96", "0")
    assert 'role="img" aria-label="1,320 requests in 30 days, 24 of them denied; most on 22 November 2026: 1,220."' in (
        page
    )


def test_use_of_a_key_and_its_replacement_is_one(client):
    old = make_key().key
    used(old, 3, ago=DAY)
    new = keys.rotate(old).key
    used(new, 4)

    page = shown(client, page_of(new))

    assert facts_in(page)["Requests"] == "7"
    assert "Of this key, those before it and its replacements together." in page


def test_unused_permission_can_be_removed(client):
    with time_machine.travel(NOW - 100 * DAY, tick=False):
        key = make_key(scopes=["todo:read", "todo:write"], lifetime=365 * DAY).key
        used(key, scopes="todo:read")
    used(key, 5, ago=DAY, scopes="todo:read")

    page = shown(client, page_of(key))

    assert "This key has not used <em>Change to-dos</em> in 90 days." in page
    assert f'<a href="{page_of(key, "narrow")}">Remove that permission</a>' in page


def test_young_key_is_called_too_wide_by_nobody(client):
    key = make_key(scopes=["todo:read", "todo:write"]).key
    used(key, 5, scopes="todo:read")

    assert "Remove that permission" not in shown(client, page_of(key))


def test_key_page_says_that_usage_is_not_recorded(client, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("apikeys.")]

    assert "Usage not recorded." in shown(client, page_of(make_key().key))


@pytest.mark.parametrize("middleware", ["apikeys.middleware.UsageMiddleware", None], ids=["by-settings", "by-rows"])
def test_key_without_requests_says_so(client, settings, middleware):
    others = [name for name in settings.MIDDLEWARE if not name.startswith("apikeys.")]
    settings.MIDDLEWARE = [middleware, *others] if middleware else others
    if middleware is None:
        used(make_key().key)

    page = shown(client, page_of(make_key().key))

    assert "No requests in the last 30 days." in page
    assert "Usage not recorded." not in page


def test_limits_say_who_set_them_and_what_is_left(client):
    app: Any = ClientFactory()
    clients.edit(app, rates=["300/min"], quotas=["5000/day"])
    key = make_key(client=app).key
    APIKey.objects.update(rates=["20/s", "900/min"], quotas=["100000/month"])
    QuotaLedger.objects.create(
        family=key.family, period="month", starts_at=datetime(2026, 11, 1, tzinfo=UTC), taken=18_796
    )

    with override_settings(APIKEYS={**settings.given(), "RATES": ["600/min"], "QUOTAS": ["9000/day"]}):
        response = client.get(page_of(key))

    assert [(limit.text, limit.source, limit.left, limit.resets) for limit in response.context["limits"]] == [
        ("20/s", "this key", "", ""),
        ("300/min", "the client", "", ""),
        ("5000/day", "the client", "5,000", "23 November 2026, 00:00 UTC"),
        ("100000/month", "this key", "81,204", "1 December 2026, 00:00 UTC"),
    ]


def test_key_without_limits_has_no_table_of_them(client):
    assert 'id="limits"' not in shown(client, page_of(make_key().key))


def test_limit_that_cannot_be_read_does_not_break_the_page(client):
    key = make_key().key
    APIKey.objects.update(rates=["600/fortnight"])

    assert "600/fortnight" in shown(client, page_of(key))


def test_old_key_in_its_overlap_says_from_where_it_is_still_used(client):
    key = make_key().key
    last_used_from(key, "203.0.113.9", ago=5 * HOUR)
    used(key, 1204, ago=5 * HOUR)
    used(keys.rotate(key).key, 7)

    page = shown(client, page_of(key))

    assert "The old key was last used 5 hours ago from 203.0.113.9. 1,204 requests in the last 24 hours." in page
    assert f'<a href="{page_of(key, "revoke")}">Stop it now</a>' in page


def test_old_key_that_is_quiet_may_stop(client):
    key = make_key().key
    last_used_from(key, "203.0.113.9", ago=6 * HOUR)
    keys.rotate(key)

    page = shown(client, page_of(key))

    assert (
        "No request with the old key since 21 November 2026, 23:30 UTC (6 hours ago). "
        "It is probably safe to stop it." in page
    )


def test_overlap_that_waits_for_the_first_use_says_so(client):
    key = make_key().key
    keys.rotate(key, overlap=keys.FROM_FIRST_USE)

    page = shown(client, page_of(key))

    assert "it stops 24 hours after the new key is first used, in 30 days at the latest" in page


def test_rotate_page_says_how_much_the_old_key_is_used(client):
    key = make_key().key
    last_used_from(key, "203.0.113.9", ago=timedelta(minutes=2))
    used(key, 1204)

    page = shown(client, page_of(key, "rotate"))

    assert "The old key was used 1,204 times in the last 24 hours, last 2 minutes ago." in page
    assert "1,204 requests a day will fail until the new key is in place." in page


def test_revoke_page_says_how_much_the_key_is_used(client):
    key = make_key(client=ClientFactory(name="Web app")).key
    last_used_from(key, "203.0.113.9", ago=timedelta(minutes=2))
    used(key, 1204)
    used(key, 50, ago=25 * HOUR)

    page = shown(client, page_of(key, "revoke"))

    assert "Last used 2 minutes ago by Web app. 1,204 requests in the last 24 hours." in page


def test_revoke_page_counts_the_key_alone_and_not_its_replacement(client):
    key = make_key().key
    used(key, 3)
    used(keys.rotate(key).key, 50)

    assert "3 requests in the last 24 hours." in shown(client, page_of(key, "revoke"))


def test_many_keys_are_listed_with_the_busiest_first(client):
    app: Any = ClientFactory()
    for name, count in (("quiet", 0), ("busy", 900), ("some", 20)):
        key = make_key(name=name, client=app).key
        if count:
            used(key, count)

    response = client.get(f"{REVOKE_MANY}?client={app.pk}")

    assert [(row.key.name, row.requests) for row in response.context["rows"]] == [
        ("busy", "900"),
        ("some", "20"),
        ("quiet", "0"),
    ]


def test_leaked_key_leads_to_everything_it_did(client):
    key = make_key().key
    keys.revoke(key, reason="leaked")

    page = shown(client, page_of(key))

    address = f"/admin/apikeys/usagecount/?key={key.key_id}"
    assert f'<a href="{address}">See everything this key did</a>' in page
    assert client.get(address).status_code == 200


def test_list_draws_fourteen_days_of_each_key(client):
    key = make_key(name="busy").key
    used(key, 40)
    used(key, 10, ago=13 * DAY)
    used(key, 99, ago=14 * DAY)
    last_used_from(key, "203.0.113.9", ago=timedelta(minutes=12))
    make_key(name="unused")

    page = shown(client, LIST)

    (chart,) = re.findall(r"<svg class=\"apikeys-small-bars\".*?</svg>", page)
    assert 'role="img" aria-label="50 requests in 14 days" width="84" height="20"' in chart
    assert chart.count("<rect") == 2
    assert ">12 minutes ago</time>" in page
    assert "never used" in page


def test_list_says_that_usage_is_not_recorded(client, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("apikeys.")]
    make_key()
    APIKey.objects.update(last_used_at=NOW)

    page = shown(client, LIST)

    assert "usage not recorded" in page
    assert "<svg class=" not in page.partition('id="result_list"')[2].partition("</table>")[0]


def test_list_asks_for_the_use_of_all_keys_at_once(client, gilfoyle):
    app: Any = ClientFactory()

    def queries_with(number):
        while APIKey.objects.count() < number:
            used(make_key(client=app, by=gilfoyle).key, 5)
        with CaptureQueriesContext(connection) as queries:
            client.get(f"{LIST}?all=")
        return len(queries)

    client.get(LIST)
    with_ten = queries_with(10)

    assert queries_with(45) == with_ten
    assert with_ten <= 8


def test_bar_of_one_day_is_no_wider_than_its_place(client):
    key = make_key().key
    used(key, 1)

    rectangles = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', shown(client, LIST))

    x, y, width, height = map(float, rectangles[0])
    assert (x + width <= 84, y, height) == (True, 0, 20)


@pytest.mark.parametrize("language", ["en", "de"])
def test_lengths_in_a_chart_are_written_for_machines(client, language):
    key = make_key().key
    used(key, 3)
    used(key, 4, outcome="limited")

    page = client.get(page_of(key), headers={"Accept-Language": language}).content.decode()

    lengths = re.findall(r'<rect class="apikeys-bar-\w+" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', page)
    assert len(lengths) == 2
    assert all(re.fullmatch(r"\d+\.\d\d", length) for found in lengths for length in found)


def test_client_page_tells_the_use_of_all_its_keys(client):
    app: Any = ClientFactory()
    first, second = make_key(client=app, name="First").key, make_key(client=app, name="Second").key
    used(first, 3, ago=DAY)
    used(second, 4)
    used(make_key().key, 100)
    last_used_from(first, "203.0.113.9", ago=DAY)
    last_used_from(second, "203.0.113.77", ago=timedelta(minutes=3))

    page = shown(client, f"{CLIENTS}{app.pk}/change/")

    assert facts_in(page)["Requests"] == "7"
    assert f"Last used 3 minutes ago with {second} from 203.0.113.77." in page
    assert f'<a href="/admin/apikeys/usagecount/?client={app.client_id}">Usage</a>' in page


def test_client_page_shows_the_limits_of_its_keys(client):
    app: Any = ClientFactory()
    Client.objects.update(rates=["300/min"], quotas=["5000/day"])

    with override_settings(APIKEYS={**settings.given(), "RATES": ["600/min", "5/s"]}):
        response = client.get(f"{CLIENTS}{app.pk}/change/")

    assert [(limit.text, limit.source) for limit in response.context["limits"]] == [
        ("5/s", "the project"),
        ("300/min", "the client"),
        ("5000/day", "the client"),
    ]


def test_client_without_any_use_says_so(client):
    page = shown(client, f"{CLIENTS}{ClientFactory().pk}/change/")

    assert "No key of this client was used yet." in page


def test_new_client_has_no_usage(client):
    assert 'id="usage"' not in shown(client, f"{CLIENTS}add/")
