from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from apikeys import clients, keys
from apikeys.conf import settings
from apikeys.models import APIKey
from apikeys.status import (
    CODES,
    permission_sentence,
    permission_summary,
    relative,
    rows_with,
    status_of,
)
from apikeys.testing import make_key
from tests.factories import PersonFactory

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)


def read_again(key):
    return APIKey.objects.select_related("client", "owner", "revocation").get(pk=key.pk)


def in_state(**columns):
    key = make_key(lifetime=timedelta(days=90)).key
    APIKey.objects.filter(pk=key.pk).update(**columns)
    return read_again(key)


def revoked(now):
    key = make_key().key
    keys.revoke(key, reason="leaked")
    return read_again(key)


def of_disabled_client(now):
    key = make_key().key
    clients.disable(key.client)
    return read_again(key)


def of_disabled_owner(now):
    owner: Any = PersonFactory()
    key = make_key(owner=owner).key
    owner.is_active = False
    owner.save()
    return read_again(key)


def of_owner_who_is_gone(now):
    owner: Any = PersonFactory()
    key = make_key(owner=owner).key
    owner.delete()
    return read_again(key)


CASES = [
    pytest.param(revoked, "revoked", "✕", "Revoked", "revoked just now", id="revoked"),
    pytest.param(
        lambda now: in_state(expires_at=now - timedelta(days=3)),
        *("expired", "○", "Expired", "expired 3 days ago"),
        id="expired",
    ),
    pytest.param(
        lambda now: in_state(overlap_ends_at=now - timedelta(hours=5)),
        *("expired", "○", "Expired", "replaced, stopped 5 hours ago"),
        id="rotated-out",
    ),
    pytest.param(of_disabled_client, "suspended", "‖", "Suspended", "client is disabled", id="client-disabled"),
    pytest.param(of_disabled_owner, "suspended", "‖", "Suspended", "owner is disabled", id="owner-disabled"),
    pytest.param(of_owner_who_is_gone, "suspended", "‖", "Suspended", "owner is gone", id="owner-gone"),
    pytest.param(
        lambda now: in_state(overlap_ends_at=now + timedelta(hours=23)),
        *("rotating", "↻", "Rotating out", "stops in 23 hours"),
        id="rotating",
    ),
    pytest.param(
        lambda now: in_state(expires_at=now + timedelta(days=4)),
        *("expiring", "◔", "Expires soon", "expires in 4 days"),
        id="expires-soon",
    ),
    pytest.param(
        lambda now: in_state(expires_at=now + timedelta(days=89)),
        *("unused", "–", "Never used", "expires in 89 days"),
        id="never-used",
    ),
    pytest.param(
        lambda now: in_state(last_used_at=now - timedelta(days=120)),
        *("idle", "–", "Idle", "last used 120 days ago"),
        id="idle",
    ),
    pytest.param(
        lambda now: in_state(last_used_at=now, expires_at=now + timedelta(days=51)),
        *("active", "●", "Active", "expires in 51 days"),
        id="active",
    ),
    pytest.param(
        lambda now: in_state(last_used_at=now, expires_at=None), "active", "●", "Active", "no expiry", id="no-expiry"
    ),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("key_of", "code", "symbol", "label", "detail"), CASES)
def test_key_has_one_status(key_of, code, symbol, label, detail):
    key = key_of(timezone.now())

    status = status_of(key, now=timezone.now())

    assert (status.code, status.symbol, status.label, status.detail) == (code, symbol, label, detail)


@pytest.mark.django_db
@pytest.mark.parametrize(("key_of", "code", "symbol", "label", "detail"), CASES)
def test_rows_are_found_by_the_status_that_the_key_has(key_of, code, symbol, label, detail):
    key_of(timezone.now())

    found = [name for name in CODES if APIKey.objects.filter(rows_with(name, now=timezone.now())).exists()]

    assert found == [code]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "code"),
    [
        pytest.param(lambda now: {"expires_at": now}, "expired", id="at-its-expiry"),
        pytest.param(lambda now: {"expires_at": now + timedelta(seconds=1)}, "expiring", id="just-before-its-expiry"),
        pytest.param(lambda now: {"expires_at": now + timedelta(days=7)}, "unused", id="seven-days-left"),
        pytest.param(
            lambda now: {"expires_at": now + timedelta(days=7) - timedelta(seconds=1)}, "expiring", id="a-second-less"
        ),
        pytest.param(lambda now: {"overlap_ends_at": now}, "expired", id="at-the-end-of-its-overlap"),
        pytest.param(lambda now: {"last_used_at": now - timedelta(days=90)}, "idle", id="unused-for-90-days"),
        pytest.param(
            lambda now: {"last_used_at": now - timedelta(days=90) + timedelta(seconds=1)}, "active", id="almost-90-days"
        ),
    ],
)
def test_status_changes_exactly_at_its_boundary(columns, code):
    now = timezone.now()
    key = in_state(**columns(now))

    assert status_of(key, now=now).code == code
    assert APIKey.objects.filter(rows_with(code, now=now)).exists()


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        pytest.param(timedelta(0), "just now", id="now"),
        pytest.param(-timedelta(seconds=59), "just now", id="seconds-ago"),
        pytest.param(timedelta(seconds=59), "in less than a minute", id="in-seconds"),
        pytest.param(-timedelta(minutes=1), "1 minute ago", id="a-minute-ago"),
        pytest.param(-timedelta(minutes=12), "12 minutes ago", id="minutes-ago"),
        pytest.param(timedelta(minutes=59, seconds=40), "in 1 hour", id="rounds-up-to-an-hour"),
        pytest.param(timedelta(hours=23), "in 23 hours", id="in-hours"),
        pytest.param(timedelta(hours=47), "in 47 hours", id="almost-two-days"),
        pytest.param(timedelta(days=4), "in 4 days", id="in-days"),
        pytest.param(timedelta(days=90) - timedelta(milliseconds=5), "in 90 days", id="to-the-nearest-day"),
        pytest.param(-timedelta(days=120), "120 days ago", id="days-ago"),
    ],
)
def test_distance_is_told_in_one_unit(distance, words):
    assert relative(NOW + distance, now=NOW) == words


@pytest.mark.parametrize(
    ("scopes", "summary"),
    [
        pytest.param(["todo:read"], "to-dos: read", id="one"),
        pytest.param(["todo:write"], "to-dos: write", id="only-write"),
        pytest.param(["todo:read", "todo:write"], "to-dos: read and write", id="a-pair"),
        pytest.param(["todo:read", "usage:read"], "to-dos: read, usage: read", id="two-resources"),
        pytest.param(["todo:read", "todo:write", "usage:read"], "3 permissions", id="more-are-counted"),
        pytest.param(["gone:read"], "gone:read", id="declared-no-more"),
        pytest.param([], "no permissions", id="none"),
    ],
)
def test_permissions_are_summed_up_in_few_words(scopes, summary):
    assert permission_summary(scopes) == summary


def test_sentence_says_what_the_key_can_and_cannot_do():
    sentence = permission_sentence(["todo:read"], could_be=["todo:read", "todo:write"])

    assert sentence == "This key will be able to: view to-dos. It will not be able to: change to-dos."


def test_short_labels_are_told_with_their_resource():
    scopes = {
        "todo:read": {"resource": "To-dos", "label": "Read"},
        "todo:write": {"resource": "To-dos", "label": "Read and write"},
    }
    with override_settings(APIKEYS={**settings.given(), "SCOPES": scopes}):
        sentence = permission_sentence(["todo:read"], could_be=["todo:read", "todo:write"])

    assert "be able to: read to-dos." in sentence
    assert "not be able to: read and write to-dos." in sentence
