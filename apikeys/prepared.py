"""
Look-ups as prepared statements of PostgreSQL, which would plan them anew each time, for longer than they run.

Only on a connection that lives long enough, and never inside a transaction, which an error would spoil: a pooler that
hands out another server connection for each transaction does not know the statement. Then the look-up goes on without.
"""

from __future__ import annotations

import logging
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger("apikeys.auth")

#: The only one of Django's databases that neither caches plans by itself nor needs none.
VENDOR = "postgresql"
#: A connection of one request never gets here.
_LOOKUPS_BEFORE = 5

#: By the driver's connection: how many times it has seen which statement.
_seen: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
_given_up: set[str] = set()


def name_of(sql: str) -> str:
    """Return what the statement *sql* is called: the same for the same text only."""
    return f"apikeys_{blake2b(sql.encode(), digest_size=8).hexdigest()}"


def is_ready(connection: BaseDatabaseWrapper, *, name: str, sql: str) -> bool:
    """Whether *connection* knows the statement *name*; prepares it after some look-ups."""
    # Without autocommit a transaction is open as well.
    if connection.in_atomic_block or not connection.autocommit or connection.alias in _given_up:
        return False
    driver = connection.connection
    # psycopg prepares by itself where parameters are bound on the server.
    if driver is None or connection.settings_dict["OPTIONS"].get("server_side_binding"):
        return False
    counts = _seen.get(driver)
    if counts is None:
        counts = _seen[driver] = {}
    seen = counts.get(name, 0)
    if seen <= _LOOKUPS_BEFORE:
        counts[name] = seen + 1
        return seen == _LOOKUPS_BEFORE and _prepare(connection, name=name, sql=sql)
    return True


def give_up(alias: str, *, error: DatabaseError) -> None:
    """Prepare nothing in *alias* any more."""
    if alias not in _given_up:
        _given_up.add(alias)
        logger.info("The look-up is not prepared in %r any more: %s", alias, type(error).__name__)


def _prepare(connection: BaseDatabaseWrapper, *, name: str, sql: str) -> bool:
    # Past Django's cursor: like a driver's own, it is no query of the request.
    try:
        with connection.wrap_database_errors, connection.connection.cursor() as cursor:
            cursor.execute(f"PREPARE {name} (text) AS {sql}")
    except OperationalError:
        raise
    except DatabaseError as error:
        give_up(connection.alias, error=error)
        return False
    return True
