"""What a token costs: one query, no write, no slow hash."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from oauth2_provider.models import get_access_token_model
from rest_framework.response import Response

from apikeys import prepared
from apikeys.oauth.models import Consent
from apikeys.oauth.testing import make_token
from apikeys.testing import make_key

from .drf_views import ask
from .oauth_views import KEY_FIRST, TOKEN_FIRST, quiet_view, send, token_view
from .request_path import CountingHasher, statements
from .threads import at_once

pytestmark = pytest.mark.django_db

#: More than a connection has to see before a look-up is prepared.
MANY = 8
Quiet = quiet_view()


def touching(read):
    """Return a view that answers with what *read* finds on the person."""

    def get(self, request):
        return Response(read(request.user))

    return token_view(get=get)


@pytest.fixture
def known():
    """A token in a minute in which its use is on record."""
    made = make_token(scopes="todo:read")
    assert send(made).status_code == 200
    return made


def sql_of(made, *, to=Quiet, status=200):
    with statements() as sql:
        response = send(made, to=to)
    assert response.status_code == status
    return sql


VIEWS = {
    "tokens alone": Quiet,
    "keys and tokens": quiet_view(authentication_classes=KEY_FIRST),
    "tokens and keys": quiet_view(authentication_classes=TOKEN_FIRST),
    "pk and whether active": touching(lambda person: {"pk": person.pk, "is_active": person.is_active}),
}


@pytest.mark.parametrize("to", VIEWS.values(), ids=VIEWS)
def test_request_costs_one_query(known, to):
    [sql] = sql_of(known, to=to)

    assert sql.startswith(("SELECT", "EXECUTE"))


def test_request_of_a_client_itself_costs_one_query():
    assert len(sql_of(make_token(user=None))) == 1


def test_first_other_field_of_the_person_loads_all_of_it(known):
    found = touching(lambda person: [person.username, person.email])

    assert len(sql_of(known, to=found)) == 2


def test_token_runs_no_slow_hash(settings, known):
    settings.APIKEYS = {**settings.APIKEYS, "VERIFIERS": ["tests.request_path.CountingHasher"]}
    hasher = CountingHasher.start()

    send(known)
    send("unknown")

    assert (hasher.checks, hasher.hashes) == ([], [])


def test_use_of_a_consent_is_written_once_a_minute_and_after_the_response():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
        made = make_token()
        found = []
        for seconds in (0, 59, 1):
            clock.shift(seconds)
            sql_and_use = (len(sql_of(made)), Consent.objects.get().last_used_at)
            found.append(sql_and_use)

    assert [count for count, _ in found] == [2, 1, 2]
    assert [f"{used_at:%H:%M:%S}" for _, used_at in found] == ["12:00:00", "12:00:00", "12:01:00"]


def test_use_is_not_written_while_the_view_runs():
    def read(person):
        return str(Consent.objects.get().last_used_at)

    made = make_token()

    assert send(made, to=touching(read)).json() == "None"
    assert Consent.objects.get().last_used_at is not None


def test_refused_token_is_no_use_of_the_consent(settings):
    made = make_token()
    get_access_token_model().objects.update(expires="2020-01-01T00:00:00Z")

    assert len(sql_of(made, status=401)) == 1
    assert Consent.objects.get().last_used_at is None


def test_newer_reading_counts_whatever_staleness_keys_are_allowed(settings, known):
    settings.APIKEYS = {**settings.APIKEYS, "MAX_STALENESS": timedelta(minutes=1)}
    send(known)
    Consent.objects.all().delete()

    assert send(known).status_code == 401


@pytest.fixture
def in_zone(settings):
    settings.TIME_ZONE = "America/New_York"


@pytest.mark.usefixtures("in_zone")
def test_end_of_a_consent_is_told_rightly_in_another_time_zone():
    made = make_token(lifetime=timedelta(days=999))
    consent = Consent.objects.get()
    with time_machine.travel(consent.expires_at - timedelta(minutes=1), tick=False) as clock:
        before = send(made).status_code
        clock.shift(60)
        after = send(made).status_code

    assert (before, after) == (200, 401)


@pytest.fixture
def _as_in_a_new_process(monkeypatch):
    monkeypatch.setattr(prepared, "_given_up", set())


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_as_in_a_new_process")
def test_connection_that_lives_has_both_look_ups_prepared(known):
    issued = make_key()
    both = quiet_view(authentication_classes=KEY_FIRST)
    ask(both, key=issued)

    def requests():
        with statements() as sql:
            for _ in range(MANY):
                send(known, to=both)
                ask(both, key=issued)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'apikeys%'")
            return [text.split()[0] for text in sql], cursor.fetchone()[0]

    words, count = at_once(requests)[0]

    assert words == ["SELECT"] * 10 + ["EXECUTE"] * 6
    assert count == 2
