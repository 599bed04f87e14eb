from __future__ import annotations

import re
from datetime import timedelta

import pytest

from apikeys.testing import make_key
from tests.admin_pages import CLIENTS, page_of
from tests.factories import PersonFactory
from tests.key_use import roll_up, used

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def gilfoyle(client):
    gilfoyle = PersonFactory(username="gilfoyle", is_superuser=True)
    client.force_login(gilfoyle)
    return gilfoyle


def facts_in(client, address):
    """Return what the page at *address* says of each term."""
    page = " ".join(client.get(address).content.decode().split())
    return dict(re.findall(r"<dt>(.*?)</dt> ?<dd>(.*?)</dd>", page))


@pytest.mark.parametrize(
    ("outcome", "denied", "errors"),
    [
        pytest.param("limits_unavailable", "0 (0%)", "0 (0%)", id="let in uncounted"),
        pytest.param("404", "0 (0%)", "30 (75%)", id="not found"),
        pytest.param("5xx", "0 (0%)", "30 (75%)", id="failed"),
        pytest.param("limited", "30 (75%)", "0 (0%)", id="denied"),
    ],
)
@pytest.mark.parametrize("page", ["key", "client"])
def test_only_what_was_neither_answered_nor_denied_is_another_error(client, page, outcome, denied, errors):
    key = make_key().key
    used(key, 10, ago=timedelta(hours=3))
    used(key, 30, ago=timedelta(hours=3), outcome=outcome)
    roll_up()

    facts = facts_in(client, page_of(key) if page == "key" else f"{CLIENTS}{key.client.pk}/change/")

    assert (facts["Requests"], facts["Denied"], facts["Other errors"]) == ("40", denied, errors)
