from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apikeys import usage
from apikeys.models import LastUse
from apikeys.testing import make_key

from .request_path import ANY_SECRET
from .usage_counts import get

NOON = datetime(2026, 11, 20, 12, 34, 56, tzinfo=UTC)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.counted_urls")]


@pytest.fixture
def noon(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def reader():
    return make_key(scopes=["todo:read"])


def test_the_last_use_is_noted(noon, reader):
    get(reader, "/any/")
    noon.move_to(NOON + timedelta(seconds=9), tick=False)
    get(reader, REMOTE_ADDR="2001:db8::7", headers={"user-agent": "curl/8.5.0"})
    usage.flush()

    last = LastUse.objects.get()
    assert (last.key_id, last.at, last.address) == (reader.key.key_id, NOON + timedelta(seconds=9), "2001:db8::7")
    assert (last.route, last.method, last.user_agent) == ("shop:orders", "GET", "curl/8.5.0")


@pytest.mark.parametrize("seconds", [-1, 0, 1], ids=["earlier", "at once", "later"])
def test_the_last_use_never_moves_backwards(noon, reader, seconds):
    get(reader)
    usage.flush()
    noon.move_to(NOON + timedelta(seconds=seconds), tick=False)
    get(reader, "/any/")
    usage.flush()

    last = LastUse.objects.get()
    assert (last.at, last.route) == ((NOON + timedelta(seconds=1), "any") if seconds > 0 else (NOON, "shop:orders"))


@pytest.mark.parametrize(
    ("sent", "noted"),
    [
        pytest.param("a\x00b\x1b[31mc", "ab[31mc", id="control characters"),
        pytest.param("x" * 300, "x" * 200, id="long"),
        pytest.param(f"ak_live_4Qm9ZtR1xVb7_{ANY_SECRET}12345678", "ak_live_4Qm9Zt…", id="key"),
        pytest.param(f"a ak%5Flive%5F4Qm9ZtR1xVb7%5F{ANY_SECRET}", "a ak_live_4Qm9Zt…", id="encoded key"),
        pytest.param(f"ak_live\x00_4Qm9ZtR1xVb7_{ANY_SECRET}", "ak_live_4Qm9Zt…", id="key with a control character"),
    ],
)
def test_what_callers_say_of_themselves_is_kept_short_and_clean(reader, sent, noted):
    get(reader, headers={"user-agent": sent})
    usage.flush()

    assert LastUse.objects.get().user_agent == noted
