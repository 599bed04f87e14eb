"""What PostgreSQL itself says of a table: each change of a row, written down by a trigger, and who waits for a lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, connections

from apikeys.models import APIKey

_TABLE = APIKey._meta.db_table
_BEGIN = f"""
CREATE TABLE row_changes (
    id serial, key_id text, before timestamptz, after timestamptz, changed_at timestamptz DEFAULT clock_timestamp()
);
CREATE FUNCTION note_row_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO row_changes (key_id, before, after) VALUES (NEW.key_id, OLD.last_used_at, NEW.last_used_at);
    RETURN NULL;
END $$;
CREATE TRIGGER note_row_change AFTER UPDATE ON {_TABLE} FOR EACH ROW EXECUTE FUNCTION note_row_change();
"""  # noqa: S608  # the model's own table
_END = f"""
DROP TRIGGER IF EXISTS note_row_change ON {_TABLE};
DROP FUNCTION IF EXISTS note_row_change;
DROP TABLE IF EXISTS row_changes;
"""
# Those that read or change keys. Usage and its events are inserted by threads that no request waits for.
_WAITING = f"""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
    AND query LIKE '%"{_TABLE}"%' AND query NOT LIKE 'INSERT%'
"""  # noqa: S608  # the model's own table


class RowChanges:
    """The updates of keys since ``row_changes`` was entered."""

    def of(self, key: APIKey) -> list[tuple[datetime | None, datetime]]:
        """Return ``last_used_at`` before and after each update of *key*, in their order."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT before, after FROM row_changes WHERE key_id = %s ORDER BY id", [key.key_id])
            return list(cursor.fetchall())

    def forget(self) -> None:
        """Forget what happened so far."""
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM row_changes")


@contextmanager
def row_changes() -> Iterator[RowChanges]:
    """Write down every update of a key while the block runs. Call it outside of a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_END + _BEGIN)
    try:
        yield RowChanges()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_END)


class LockWaits:
    """What was seen by asking the server again and again."""

    samples = 0
    waiting = 0


@contextmanager
def lock_waits() -> Iterator[LockWaits]:
    """Count the server processes that wait for a lock, on a connection of its own, while the block runs."""
    seen, over = LockWaits(), threading.Event()

    def sample() -> None:
        watching: Any = connections["default"]
        try:
            with watching.cursor() as cursor:
                while not over.wait(timeout=0.002):
                    cursor.execute(_WAITING)
                    seen.waiting += cursor.fetchone()[0]
                    seen.samples += 1
        finally:
            watching.close()

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(timeout=10)
