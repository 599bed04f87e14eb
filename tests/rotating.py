"""What the tests of ``rotate_keys`` share: sinks for secrets, and a client with keys."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test import override_settings

from apikeys.conf import settings
from apikeys.models import APIKey
from apikeys.testing import make_key
from tests.commands import run
from tests.factories import ClientFactory, UserFactory

NOW = datetime(2026, 11, 22, 4, 6, tzinfo=UTC)
WIDE = 220
#: What the sinks took, in order.
SINK: list = []


def store(issued):
    SINK.append(issued)


def interrupt(issued):
    store(issued)
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_twice(issued):
    interrupt(issued)
    os.kill(os.getpid(), signal.SIGINT)


def fail_and_break_the_database(issued):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE apikeys_keyrevocation RENAME TO lost")
    raise RuntimeError


def fail_on_the_second(issued):
    if SINK:
        raise RuntimeError(f"no room for {issued.plaintext}")
    store(issued)


def with_sink(name="store"):
    return override_settings(APIKEYS={**settings.given(), "SECRET_SINK": f"tests.rotating.{name}"})


def rotate(*options, **where):
    return run("rotate_keys", *options, **where)


def rotate_unasked(*options):
    """Rotate as cron does, with a sink for the secrets."""
    with with_sink():
        return rotate(*options, "--no-input")


def replaced_names():
    return sorted(APIKey.objects.filter(replaces__isnull=False).values_list("name", flat=True))


def make_web_app():
    """A client with three keys: two expire within 14 days, one of them within the overlap."""
    client = ClientFactory(name="Web app")
    richard = UserFactory(username="richard")
    for name, lifetime in [("Nightly", 4), ("Staging", 0.96), ("Production", 60)]:
        make_key(client=client, owner=richard, name=name, lifetime=timedelta(days=lifetime))
    return client
