"""
The authority's published keys, as this process has them.

A copy is fetched anew in the background before it is as old as ``JWKS_MAX_AGE``, and counts for ``JWKS_KEPT`` while
the authority does not answer. A key that the newest copy lacks counts no more.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from django.core.signals import setting_changed
from django.utils import timezone

from ..conf import settings
from ..core.errors import AuthorityUnavailableError
from ..core.forks import after_fork
from ..signed.keys import KeySet, SigningKeyError
from . import complaints, connection

#: Of the endpoint, below ``AUTHORITY_URL``.
PATH = "jwks.json"
#: How soon after it was asked for one key that is not published the authority is asked for the next: tokens name any
#: key they like, and each new name would cost it a request.
SECONDS_BETWEEN_SEARCHES = 10
#: The part of ``JWKS_MAX_AGE`` after which a copy is fetched anew. What is left of it is for trying again.
_DUE_AFTER = 0.8
#: No request waits that long for another one's answer.
_LONGEST_WAIT = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """What the authority published, and when that was asked for."""

    document: object
    keys: KeySet
    asked_at: datetime
    #: The age at which it is fetched anew. Kept, for each request compares it, and computing it costs as all the rest.
    due_after: timedelta


class _PublishedKeys:
    """The copy of this process. A child of a fork starts without one."""

    def __init__(self) -> None:
        #: Held by whoever asks the authority.
        self._turn = threading.Lock()
        self._copy: _Copy | None = None
        #: When the last asking was over, whatever came of it; and when one last began for a key that was not there.
        self._asked_at: datetime | None = None
        self._searched_at: datetime | None = None

    def current(self, *, now: datetime) -> KeySet:
        """Return the keys of the copy; see ``published``."""
        copy = self._copy
        if copy is None:
            return self._first(now=now)
        if not is_recent(now - copy.asked_at, copy.due_after):
            copy = self._renewed(copy, now=now)
        return copy.keys

    def searched(self, kid: str, *, now: datetime) -> KeySet:
        """Return the keys, asked for anew for the sake of *kid*; see ``published_since``."""
        # Whoever comes meanwhile waits for the same answer.
        with self._turn:
            copy = self._copy
            # One that was asked for since this request came says all there is to say.
            if copy is not None and (kid in copy.keys or copy.asked_at >= now):
                return copy.keys
            pause = timedelta(seconds=SECONDS_BETWEEN_SEARCHES)
            if self._searched_at is None or not is_recent(now - self._searched_at, pause):
                self._searched_at = now
                return self._fetch(now=now).keys
            if copy is None or copy.asked_at < self._searched_at:
                # The last search failed: nobody knows whether there is such a key.
                raise unavailable()
            return copy.keys

    def keep_fresh(self, *, now: datetime) -> None:
        """Fetch the copy anew where that is due, in the thread of the caller, whom a failure does not concern."""
        copy = self._copy
        if copy is not None and self._is_due(copy, now=now) and self._turn.acquire(blocking=False):
            self._fetch_in_peace()

    def _first(self, *, now: datetime) -> KeySet:
        with self._turn:
            if self._copy is not None:
                return self._copy.keys
            if self._asked_at is not None and is_recent(now - self._asked_at, _pause()):
                # Nobody waits for what failed a moment ago.
                raise unavailable()
            return self._fetch(now=now).keys

    def _renewed(self, copy: _Copy, *, now: datetime) -> _Copy:
        """Return *copy* and have it fetched anew in the background; where nobody did that in time, wait for it."""
        if self._is_forgotten(now=now):
            with self._turn:
                if self._is_forgotten(now=now):
                    try:
                        return self._fetch(now=now)
                    except AuthorityUnavailableError:
                        pass  # it was told; the copy still counts
                copy = self._copy or copy
        elif self._is_due(copy, now=now) and self._turn.acquire(blocking=False):
            _in_background(self._fetch_in_peace)
        if not is_recent(now - copy.asked_at, settings.JWKS_KEPT):
            raise unavailable()
        return copy

    def _is_due(self, copy: _Copy, *, now: datetime) -> bool:
        if is_recent(now - copy.asked_at, copy.due_after):
            return False
        return self._asked_at is None or not is_recent(now - self._asked_at, _pause())

    def _is_forgotten(self, *, now: datetime) -> bool:
        # After a quiet night, say. The first request of the morning must not be let in by a key withdrawn at midnight.
        most = max(settings.JWKS_MAX_AGE, _pause())
        return self._asked_at is None or not is_recent(now - self._asked_at, most)

    def _fetch_in_peace(self) -> None:
        """Fetch the copy anew, then give the turn back, which the caller has taken."""
        try:
            self._fetch(now=timezone.now())
        except AuthorityUnavailableError:
            pass  # it was told; the copy still counts
        finally:
            self._turn.release()

    def _fetch(self, *, now: datetime) -> _Copy:
        try:
            document = _document()
        finally:
            # Not before: a request that comes meanwhile must not take the old copy for one that was asked for just now.
            # And not as of the request's beginning: where the authority hangs, the time-outs would use the pause up.
            self._asked_at = timezone.now()
        before = self._copy
        if before is not None and before.document == document:
            # The same object: what was verified by these keys is verified by them still.
            keys = before.keys
        else:
            try:
                keys = KeySet.from_jwks(document)
            except SigningKeyError as error:
                complaints.tell("The authority's keys can't be read: %s", error)
                raise unavailable() from error
        if not keys.kids:
            complaints.tell("The authority publishes no key that signatures can be checked with.")
        self._copy = copy = _Copy(
            document=document, keys=keys, asked_at=now, due_after=settings.JWKS_MAX_AGE * _DUE_AFTER
        )
        return copy


_keys = _PublishedKeys()


def published(*, now: datetime) -> KeySet:
    """
    Return the keys that the authority publishes: the same object as before where they are the same.

    It is asked before the first answer, and by a request that comes after a long time without any; else nobody waits.

    Raises:
        AuthorityUnavailableError: If it does not answer, and the last copy is none or too old.
    """
    return _keys.current(now=now)


def published_since(kid: str, *, now: datetime) -> KeySet:
    """
    Return the keys that the authority publishes, asked for anew because *kid* is not in the copy, if it may be.

    That happens at most once in ten seconds, and all that ask at the time wait for one answer.

    Raises:
        AuthorityUnavailableError: If it does not answer, or did not when it was asked a moment ago.
    """
    return _keys.searched(kid, now=now)


def keep_fresh(*, now: datetime) -> None:
    """Fetch the copy anew where that is due, for who has the time: a thread that no request waits for."""
    _keys.keep_fresh(now=now)


def is_recent(age: timedelta, most: timedelta) -> bool:
    """
    Whether something of *age* is younger than *most*, as the clock of a request has it that may have waited meanwhile.

    What is of the future, because the clock was set back, is not.
    """
    return -_LONGEST_WAIT < age < most


def forget() -> None:
    """Have no copy, as a new process."""
    global _keys  # noqa: PLW0603  # one of the process; after a fork another thread may have held its lock
    _keys = _PublishedKeys()


def unavailable() -> AuthorityUnavailableError:
    """Return the refusal of a token that nobody can judge before the authority is asked again."""
    return AuthorityUnavailableError(retry_after_seconds=math.ceil(_pause().total_seconds()), about="token")


def _document() -> object:
    """
    Return what the authority publishes, as JSON has it.

    Raises:
        AuthorityUnavailableError: If it does not answer, or with something else.
    """
    try:
        answer = connection.get(PATH)
    except connection.NoAnswerError as error:
        complaints.tell("The authority's keys can't be fetched: %s", error)
        raise unavailable() from error
    if answer.status != HTTPStatus.OK:
        complaints.tell("The authority's keys can't be fetched: it answers %d", answer.status)
        raise unavailable()
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        complaints.tell("The authority's keys can't be read: what it answers is no JSON.")
        raise unavailable() from error


def _pause() -> timedelta:
    return settings.AUTHORITY_PAUSE


def _in_background(call: Callable[[], None]) -> None:
    try:
        threading.Thread(target=call, name="apikeys-keys", daemon=True).start()
    except RuntimeError:
        # No thread is to be had, as when the interpreter ends.
        call()


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "APIKEYS":
        forget()


after_fork(forget)
setting_changed.connect(_forget, dispatch_uid="apikeys.resource_server.key_sets")
