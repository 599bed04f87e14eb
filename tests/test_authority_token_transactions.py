"""A token leaves only once the revocation list can know of it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from apikeys.authority.models import OutstandingTokens

from . import oauth
from .exchanges import TOKEN, client_credentials, exchange, make_holder, make_signing_key, server_of
from .oauth import SITE, Project
from .test_logging_reports import mailing

pytestmark = pytest.mark.django_db(transaction=True)

EXCHANGES = pytest.mark.parametrize("send", [exchange, client_credentials], ids=["exchange", "credentials"])


@pytest.fixture(autouse=True)
def _signing_key(transactional_db):
    make_signing_key()


@pytest.fixture
def atomic_requests(monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


class Watch:
    """What the database was asked for what is outstanding, and whether a transaction was open."""

    def __init__(self):
        self.asked = []

    def __call__(self, execute, sql, params, many, context):
        if OutstandingTokens._meta.db_table in sql:
            self.asked.append((sql.split()[0], context["connection"].in_atomic_block))
        return execute(sql, params, many, context)


@EXCHANGES
def test_what_is_outstanding_is_committed_before_the_token_leaves(atomic_requests, send):
    issued = make_holder()
    watch = Watch()

    with connection.execute_wrapper(watch):
        assert send(issued).status_code == 200
        with time_machine.travel(timezone.now() + timedelta(minutes=5)):
            assert send(issued).status_code == 200

    # The row is inserted in a transaction of its own, which ends there.
    assert watch.asked == [
        ("SELECT", False),
        ("UPDATE", False),
        ("INSERT", True),
        ("SELECT", False),
        ("UPDATE", False),
    ]


class Refusing:
    """A database that takes nothing."""

    def __call__(self, execute, sql, params, many, context):
        if sql.startswith("INSERT") and OutstandingTokens._meta.db_table in sql:
            raise DatabaseError("The disk is full.")
        return execute(sql, params, many, context)


def test_no_token_leaves_where_nothing_can_be_written():
    issued = make_holder()

    with connection.execute_wrapper(Refusing()), pytest.raises(DatabaseError, match="full"):
        exchange(issued)

    assert not OutstandingTokens.objects.exists()


@EXCHANGES
def test_no_error_report_holds_a_token_that_was_signed_in_vain(send):
    issued = make_holder()

    with mailing() as mails, connection.execute_wrapper(Refusing()), pytest.raises(DatabaseError):
        send(issued)

    [mail] = mails
    assert "outstanding" in mail
    assert re.search(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", mail) is None


def test_oauth_client_that_is_not_ours_gets_a_token():
    issued = make_holder()
    session = oauth.OAuth2Client(  # type: ignore[attr-defined]  # imported there with its warnings off
        client_id=issued.key.client.client_id, client_secret=issued.plaintext, base_url=SITE, transport=Project()
    )

    with session:
        token = session.fetch_token(
            TOKEN, grant_type="client_credentials", scope="todo:read", audience=server_of(issued)
        )

    assert (token["token_type"], token["scope"], token["expires_in"]) == ("Bearer", "todo:read", 600)
