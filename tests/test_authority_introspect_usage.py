"""What an introspection leaves on record: of the credential that it is about, and not as if the API server had come."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from apikeys import clients, keys, usage
from apikeys.models import EventKind, KeyEvent, LastUse, Level, UsageCount
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key
from apikeys.testing.leaks import assert_not_stored

from .introspection import introspect, make_app, make_server, set_signing_key, signed, told
from .request_path import with_right_tag
from .usage_counts import counted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def signing_key(settings):
    set_signing_key(settings)


@pytest.fixture
def server():
    return make_server("sharing")


@pytest.fixture
def app(server):
    return make_app(server)


def uses_of(app):
    fields = ("level", "key_id", "route", "method", "outcome", "scopes", "network", "count")
    return counted(*fields, client_id=app.client_id)


def test_introspected_key_is_counted_once_as_used_at_that_server(server, app):
    issued = make_key(client=app, scopes=["todo:read", "todo:write"])

    told(server, issued)
    told(server, issued)

    place = f"introspection {server.resource}"
    # What it was used for is not told, so that all it may do counts as needed; nor where it was shown.
    assert uses_of(app) == [(Level.REQUEST, issued.key.key_id, place, "", "ok", "todo:read todo:write", "", 2)]


def test_request_of_the_server_is_counted_as_its_own(server, app):
    told(server, make_key(client=app))

    assert counted("route", "method", "outcome", "scopes", client_id=server.client.client_id) == [
        ("apikeys_authority:introspect", "POST", "ok", "apikeys:introspect")
    ]


def test_last_use_of_the_introspected_key_moves_and_names_no_address(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False):
        issued = make_key(client=app)
        told(server, issued)
        usage.flush()

    issued.key.refresh_from_db()
    use = LastUse.objects.get(key_id=issued.key.key_id)
    assert f"{issued.key.last_used_at:%H:%M:%S}" == "12:00:00"
    assert (use.route, use.address) == (f"introspection {server.resource}", None)


def test_last_use_is_written_once_a_minute(server, app):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        issued = make_key(client=app)
        found = []
        for seconds in (0, 59, 1):
            clock.shift(timedelta(seconds=seconds))
            told(server, issued)
            issued.key.refresh_from_db()
            found.append(f"{issued.key.last_used_at:%H:%M:%S}")

    assert found == ["12:00:00", "12:00:00", "12:01:00"]


def test_no_permission_that_a_server_may_have_asked_for_is_called_unused(server, app):
    with time_machine.travel("2026-06-01T12:00:00Z", tick=False) as clock:
        issued = make_key(client=app, scopes=["todo:read", "todo:write"], lifetime=timedelta(days=365))
        told(server, issued)
        usage.flush()
        clock.shift(timedelta(days=91))
        told(server, issued)
        usage.flush()
        [needs] = usage.unused_scopes([issued.key])

    assert (needs.verdict, needs.unused) == ("known", ())


def test_introspected_oauth_token_leaves_it_known_since_when_requests_are_counted(server, app):
    told(server, make_token(client=app).plaintext)
    usage.flush()
    began = UsageCount.objects.order_by("bucket").values_list("bucket", flat=True)[0]

    assert usage.evidence.counting_began() == began


def test_new_network_is_none_where_nobody_told_it(server, app):
    told(server, make_key(client=app))
    usage.flush()

    assert not KeyEvent.objects.filter(kind=EventKind.NEW_NETWORK, client=app).exists()


def test_first_introspection_of_a_replacement_starts_the_overlap_of_its_key(server, app):
    old = make_key(client=app)
    new = keys.rotate(old.key, overlap=keys.FROM_FIRST_USE)

    told(server, new)
    usage.flush()

    assert KeyEvent.objects.filter(kind=EventKind.OVERLAP_STARTED, key=old.key).exists()


def test_introspected_signed_token_counts_as_a_use_of_its_key(server, app):
    issued = make_key(client=app, scopes=["todo:read", "todo:write"])

    told(server, signed(issued, server, scopes=["todo:read"]))

    assert [(row[1], row[5]) for row in uses_of(app)] == [(issued.key.key_id, "todo:read")]
    issued.key.refresh_from_db()
    assert issued.key.last_used_at is not None


def test_introspected_oauth_token_counts_as_a_use_of_its_client(server, app):
    told(server, make_token(client=app, scopes=["todo:read"]).plaintext)

    assert [(row[1], row[5]) for row in uses_of(app)] == [("", "todo:read")]


def test_quota_of_the_introspected_key_is_not_spent(server, app):
    issued = make_key(client=app, quotas=["1/day"])

    answers = [told(server, issued) for _ in range(3)]

    assert [answer["active"] for answer in answers] == [True] * 3


def revoke(issued):
    keys.revoke(issued.key, reason="leaked")


def disable(issued):
    clients.disable(issued.key.client)


def name_no_server(issued):
    clients.edit(issued.key.client, audiences=[])


REFUSED = {
    "revoked": (revoke, "key_revoked"),
    "client disabled": (disable, "client_disabled"),
    "not for this server": (name_no_server, "not_for_server"),
}


@pytest.mark.parametrize(("end", "code"), REFUSED.values(), ids=REFUSED)
def test_refused_key_that_was_issued_here_counts_as_refused_from_nowhere(server, app, end, code):
    issued = make_key(client=app)
    end(issued)

    introspect(server, issued)

    assert uses_of(app) == [(Level.REFUSAL, issued.key.key_id, "", "", code, "", "", 1)]
    issued.key.refresh_from_db()
    assert issued.key.last_used_at is None


def test_key_whose_networks_nobody_enforces_counts_as_refused(server, app):
    issued = make_key(client=app, allowed_networks=["203.0.113.0/24"])

    introspect(server, issued, form={})

    assert [row[4] for row in uses_of(app)] == ["networks_not_enforced"]


def test_key_that_is_shown_after_its_revocation_raises_the_alarm_once_an_hour(server, app):
    issued = make_key(client=app)
    revoke(issued)

    introspect(server, issued)
    introspect(server, issued)

    [event] = KeyEvent.objects.filter(kind=EventKind.USED_AFTER_END)
    assert (event.key, event.address) == (issued.key, None)


def test_signed_token_of_a_revoked_key_raises_no_alarm_about_the_key(server, app):
    issued = make_key(client=app)
    token = signed(issued, server)
    revoke(issued)

    introspect(server, token)

    assert not KeyEvent.objects.filter(kind=EventKind.USED_AFTER_END).exists()
    assert [row[4] for row in uses_of(app)] == ["token_invalid"]


def test_guesses_that_a_server_passes_on_are_not_held_against_its_network(settings, server):
    settings.APIKEYS = {**settings.APIKEYS, "GUESSES_PER_NETWORK_PER_MINUTE": 1}
    forged = signed(make_key(client=make_app(server)), server)[:-4] + "AAAA"
    for number in range(3):
        introspect(server, forged)
        introspect(server, f"ak_live_000000000000_{number:051}")
        introspect(server, with_right_tag("0" * 12, secret=f"{number:043}"))
    usage.flush()

    assert not KeyEvent.objects.filter(kind=EventKind.GUESSING).exists()
    assert not UsageCount.objects.filter(level=Level.REFUSAL).exists()


def test_introspected_credentials_are_stored_nowhere(server, app, caplog):
    caplog.set_level("DEBUG")
    issued, dead = make_key(client=app), make_key(client=app)
    keys.revoke(dead.key, reason="leaked")
    token, oauth_token = signed(issued, server), make_token(client=app).plaintext
    texts = [issued.plaintext, dead.plaintext, token, oauth_token]

    answers = [introspect(server, text) for text in texts]
    usage.flush()

    for text in texts:
        assert_not_stored(text, also={"log": caplog.text, "answers": [answer.content for answer in answers]})
