"""
Takes counts out of memory and writes them, every few seconds, in a thread of its own and when the process ends.

What follows from counts, such as where a key was last used, comes after they are in: it may fail, and costs no count.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from django.db import DatabaseError, InterfaceError, connections

from .. import counting, keys
from ..conf import settings
from ..core.forks import after_fork
from ..counting import Counts, Database
from ..keys.overlapping import awaited
from . import networks, writing

logger = logging.getLogger("apikeys.usage")

_SECONDS_BETWEEN_WARNINGS = 60.0
#: How long no thread is tried where one could not be started: every request would.
_SECONDS_WITHOUT_THREAD = 1.0
#: How long the end of a process waits for a flush that is under way.
_SECONDS_TO_END = 10.0
#: How many first uses are kept that overlaps may wait for.
_MOST_UNTOLD = 100_000
_DATABASE_FAULTS = (DatabaseError, InterfaceError)


class _Process:
    """The flushing of one process; a child of a fork has one of its own, without the thread."""

    def __init__(self) -> None:
        #: One writes counts at a time, so that what a failed flush puts back is not missed by the next.
        self.lock = threading.RLock()
        #: One at a time does what follows from them, which may take long. Nobody waits for this one to write counts.
        self.follow_up_lock = threading.RLock()
        self.wake = threading.Event()
        self.thread: threading.Thread | None = None
        #: Of the thread, and when one may be tried again. Requests wait for it, so nothing slow is done with it.
        self.thread_lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Know nothing of earlier flushes."""
        self.warned_at = self.start_at = float("-inf")
        self.is_failing = False
        #: First uses that overlaps may wait for and that could not be told yet.
        self.untold_uses: dict[str, datetime] = {}


_process = _Process()
#: Above zero, nobody flushes but who calls ``flush``.
_by_hand = 0


def flush() -> int:
    """
    Write what this process has counted, and return how many rows that took.

    Where the database does not take it, it is kept for the next time, and the log says so once a minute.
    """
    try:
        with _process.lock:
            counts, rows = _write()
        if counts is not None:
            with _process.follow_up_lock:
                _follow_up(counts)
        return rows
    finally:
        counting.flushed()


def shut_down() -> None:
    """Write what this process has counted, for the last time, and give back what it holds."""
    if _by_hand:
        return
    process, give_up_at = _process, time.monotonic() + _SECONDS_TO_END
    counts = None
    if process.lock.acquire(timeout=_SECONDS_TO_END):
        try:
            counts = _write_at_the_end()
        finally:
            process.lock.release()
    else:
        logger.warning("a flush hangs: the last counts of this process are lost")
    # Also then: what hangs may be the table of counts alone.
    counting.shut_down()
    if counts is not None and process.follow_up_lock.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
        try:
            _follow_up(counts)
        finally:
            process.follow_up_lock.release()
    _close_connections()


@contextmanager
def by_hand() -> Iterator[None]:
    """Let nobody in this process flush but who calls ``flush``, and drop what is counted at the end."""
    global _by_hand  # noqa: PLW0603  # of the process, like its thread
    _by_hand += 1
    try:
        yield
    finally:
        _by_hand -= 1
        drop()


def drop() -> None:
    """Drop what was counted and is not written, and what is known of the rows."""
    counting.start_anew()
    networks.forget_all()
    _process.forget()


class BackgroundFlusher:
    """Who takes the counts of this process away."""

    def start(self) -> bool:
        """Start the thread that flushes, unless it runs; return whether it does."""
        process = _process
        with process.thread_lock:
            if _by_hand or (process.thread is not None and process.thread.is_alive()):
                return True
            if time.monotonic() < process.start_at:
                return False
            # A daemon: nothing waits for it when the process ends, which flushes by itself.
            thread = threading.Thread(target=_run, args=[process], name="apikeys-usage", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # No thread is to be had for a moment, or because the interpreter ends.
                process.start_at = time.monotonic() + _SECONDS_WITHOUT_THREAD
                _warn("no thread to write usage: it is tried again, and written when the process ends", error)
                return False
            process.thread = thread
            return True

    def wake(self) -> None:
        """Have that thread flush now."""
        _process.wake.set()

    def database(self) -> Database:
        """Return the database that counts are written to now."""
        alias = writing.database()
        return Database(alias=alias, name=_name_of(alias))


_flusher = BackgroundFlusher()


def install() -> None:
    """Have this process, and what it forks, write what it counts."""
    counting.use_flusher(_flusher)
    atexit.register(shut_down)


def _write() -> tuple[Counts | None, int]:
    """Return what was written and is to be followed up, None if nothing was; and how many rows that took."""
    counts = counting.take()
    if not counts and not counts.uses and not _process.untold_uses and not networks.is_behind():
        return None, 0
    if counts.database is not None and _name_of(counts.database.alias) not in {counts.database.name, ""}:
        # A test runner has put the project's own database back, which no test's counts belong into. A router that
        # chooses another alias by the request is no reason: the choice of this thread counts for all.
        logger.warning("dropped %d counts of another database, as after a test run", counts.total())
        return None, 0
    try:
        rows = writing.write_counts(counts)
    except _DATABASE_FAULTS as error:
        counting.put_back(counts)
        _process.is_failing = True
        _warn("could not write usage: it is kept for the next time", error)
        return None, 0
    except BaseException:
        counting.put_back(counts)
        _process.is_failing = True
        raise
    _process.is_failing = False
    return counts, rows


def _write_at_the_end() -> Counts | None:
    """Return what was written and is to be followed up."""
    counts = _write_in_peace()
    if _process.is_failing:
        # A server's thread may hold a connection that broke long ago.
        _close_connections()
        counts = _write_in_peace()
    left = counting.take()
    if left:
        logger.warning("counts of %d kinds could not be written before this process ended", len(left))
    return counts


def _write_in_peace() -> Counts | None:
    try:
        return _write()[0]
    except Exception:
        # Whatever it was: what the process holds is given back all the same.
        logger.exception("could not write usage")
        return None


def _follow_up(counts: Counts) -> None:
    def start_overlaps() -> None:
        untold = _process.untold_uses
        for key_id, use in counts.uses.items():
            if len(untold) < _MOST_UNTOLD:
                untold.setdefault(key_id, use.first_at)
        try:
            keys.start_overlaps(untold)
        except Exception:
            # The others have started, and are not waited for any more.
            _process.untold_uses = {key_id: untold[key_id] for key_id in awaited(untold)}
            raise
        untold.clear()

    _try(lambda: writing.write_uses(counts.uses), "could not write when keys were last used", counts=counts)
    _try(start_overlaps, "could not start the overlap of rotated keys: it is tried again")
    _try(lambda: networks.note_networks(counts), "could not write from where keys were used: it is written next time")
    _try(lambda: networks.note_guessing(counts), "could not look for networks that guess keys")


def _try(write: Callable[[], object], message: str, *, counts: Counts | None = None) -> None:
    try:
        write()
    except Exception as error:  # noqa: BLE001  # a receiver of the project's may raise anything, at every flush anew
        if counts is not None:
            # A copy: requests add to what was put back, while the rest of the flush reads these.
            counting.put_back(Counts(uses=dict(counts.uses), database=counts.database))
        _warn(message, error)


def _run(process: _Process) -> None:
    try:
        _flush_again_and_again(process)
    finally:
        # Whatever ended it, the next request starts another.
        process.thread = None
        counting.watch_again()


def _flush_again_and_again(process: _Process) -> None:
    # Not all at once, where a server has started many.
    seconds = settings.USAGE_FLUSH_INTERVAL.total_seconds() * random.uniform(0.5, 1)  # noqa: S311  # no secret
    while True:
        if process.is_failing:
            # Memory that fills up meanwhile must not have it try without end.
            time.sleep(seconds)
        else:
            process.wake.wait(timeout=seconds)
        process.wake.clear()
        if not _by_hand:
            _flush_in_peace()
            _close_connections()
        seconds = settings.USAGE_FLUSH_INTERVAL.total_seconds()


def _flush_in_peace() -> None:
    try:
        flush()
    except Exception:
        # Whatever it was, the next flush may go well, and without this thread there would be none.
        logger.exception("could not write usage: it is kept for the next time")


def _close_connections() -> None:
    # None is held between two flushes, and none that the caller's transaction needs.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            # One that broke may say so once more, and is forgotten all the same.
            with suppress(*_DATABASE_FAULTS):
                connection.close()


def _name_of(alias: str) -> str:
    # A project that makes connections as it goes along may have put this one away.
    return str(connections.settings.get(alias, {}).get("NAME", ""))


def _warn(message: str, error: Exception) -> None:
    now = time.monotonic()
    if now - _process.warned_at >= _SECONDS_BETWEEN_WARNINGS:
        _process.warned_at = now
        logger.warning(message, exc_info=error)


def _start_anew() -> None:
    global _process  # noqa: PLW0603  # that of the parent, whose lock its thread may hold
    _process = _Process()


after_fork(_start_anew)
