from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys import keys
from apikeys.models import APIKey, Grain, Level
from apikeys.testing import make_key

from .usage_counts import counted, get

NOON = datetime(2026, 11, 20, 12, 34, 56, tzinfo=UTC)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.counted_urls")]


@pytest.fixture
def noon(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


REFUSED = {
    "unknown": ("key_invalid", False),
    "malformed": ("key_malformed", False),
    "expired": ("key_expired", True),
    "revoked": ("key_revoked", True),
    "rotated": ("key_rotated", True),
    "in the address": ("key_in_query", True),
    "other address": ("ip_not_allowed", True),
}


def wrong_tag(issued):
    return issued.plaintext[:-1] + ("1" if issued.plaintext.endswith("0") else "0")


@pytest.mark.parametrize(("how", "code", "is_named"), [(how, *what) for how, what in REFUSED.items()], ids=REFUSED)
def test_refused_credentials_count_by_minute_network_and_key(noon, how, code, is_named):
    issued = make_key(scopes=["todo:read"], allowed_networks=["203.0.113.0/24"])
    presented: str | None = issued.plaintext
    url = "/orders/"
    if how == "unknown":
        presented = wrong_tag(issued)
    elif how == "malformed":
        presented = "ak_live_short"
    elif how == "expired":
        APIKey.objects.update(expires_at=NOON)
    elif how == "revoked":
        keys.revoke(issued.key, reason="leaked")
    elif how == "rotated":
        keys.rotate(issued.key, overlap=timedelta(0))
    elif how == "in the address":
        presented, url = None, f"/orders/?key={issued.plaintext}"

    get(presented, url, REMOTE_ADDR="2001:db8:1:2:3::4" if how != "other address" else "198.51.100.9")

    network = "2001:db8:1:2::/64" if how != "other address" else "198.51.100.0/24"
    named = (issued.key.family, issued.key.key_id, issued.key.client.client_id) if is_named else ("", "", "")
    assert counted("level", "grain", "bucket", "outcome", "network", "count", "family", "key_id", "client_id") == [
        (Level.REFUSAL, Grain.RAW, NOON.replace(second=0), code, network, 1, *named)
    ]
