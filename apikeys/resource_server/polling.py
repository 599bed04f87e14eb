"""
The authority's revocation list, as this process knows it.

A thread of the process asks for what is new, every ``REVOCATIONS_POLL_INTERVAL``. While that succeeds, what is revoked
is refused that much later at most; while it fails, what is known stays, and the bound is the end of each token.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils import timezone

from ..conf import settings
from ..core.errors import AuthorityUnavailableError, InvalidTokenError
from ..core.forks import after_fork
from ..signed.revocations import MOST_CHARACTERS, RevocationList, Revocations, read_list
from ..signed.tokens import SignedToken, UnknownSigningKeyError, kid_of
from . import complaints, connection, key_sets

logger = logging.getLogger("apikeys.auth")

#: Of the endpoint, below ``AUTHORITY_URL``.
PATH = "revocations"
_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class _Poller:
    """The list of this process. A child of a fork starts without one."""

    def __init__(self) -> None:
        self.revocations = Revocations()
        #: Held by whoever asks the authority.
        self._turn = threading.Lock()
        #: When the last asking was over, whatever came of it.
        self._asked_at: datetime | None = None
        #: The instant, by this server's clock, of which the latest list is true.
        self._told_at: datetime | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def known(self, *, now: datetime) -> Revocations:
        """Return what is known; see ``scopes_now``."""
        if self._is_forgotten(now=now):
            with self._turn:
                if self._is_forgotten(now=now):
                    self._ask(now=now)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        most = settings.REVOCATIONS_MAX_AGE
        if most is not None and (self._told_at is None or not key_sets.is_recent(now - self._told_at, most)):
            raise key_sets.unavailable()
        # Without that setting nothing is refused before there was a list, as nothing new is while there is none any
        # more: the bound that is stated for an outage is the token's own end, whether the process is new or not.
        return self.revocations

    def end(self) -> None:
        """Have the thread end before it asks again."""
        self._ended.set()

    def _start(self) -> None:
        with self._turn:
            if self._ended.is_set() or (self._thread is not None and self._thread.is_alive()):
                return
            # A daemon: the end of the process waits for nobody who only asks.
            thread = threading.Thread(target=self._run, name="apikeys-revocations", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No thread is to be had. Requests that find the list forgotten ask by themselves.
                complaints.tell("There is no thread to fetch the revocation list.")
                return
            self._thread = thread

    def _run(self) -> None:
        while True:
            interval = settings.REVOCATIONS_POLL_INTERVAL
            if interval is None or self._ended.wait(timeout=interval.total_seconds()):
                return
            try:
                with self._turn:
                    self._ask(now=timezone.now())
                key_sets.keep_fresh(now=timezone.now())
            except Exception:
                # Whatever it was, the next poll may go well, and without this thread there would be none.
                logger.exception("the revocation list could not be fetched")

    def _ask(self, *, now: datetime) -> None:
        """Merge what is new. Where that fails, what is known stays."""
        is_over = True
        try:
            listed = _listed(self.revocations.next, now=now)
            if listed is None:
                return
            latest = int((now + settings.CLOCK_LEEWAY).timestamp())
            if listed.issued_at > latest:
                complaints.tell("The revocation list is of the future: compare the clocks of this server and of that.")
                # What it says is true, whichever clock is wrong. By its date it would outlive all lists until then.
                listed = replace(listed, issued_at=latest)
            before = self.revocations.issued_at
            self.revocations.merge(listed)
            if before is not None and listed.issued_at < before:
                complaints.tell("The revocation list is older than the one before: compare the authority's clocks.")
            # Whichever is earlier: a cache between may answer with what was told long ago.
            self._told_at = min(now, datetime.fromtimestamp(listed.issued_at, tz=UTC) + settings.CLOCK_LEEWAY)
        except ImproperlyConfigured:
            # Each request is to fail as this one does, until that is put right.
            is_over = False
            raise
        except InvalidTokenError:
            complaints.tell("The revocation list is not what the authority has signed for this server.")
        finally:
            # Not before: a request that comes meanwhile must not take what is known for what was told just now.
            self._asked_at = timezone.now() if is_over else None

    def _is_forgotten(self, *, now: datetime) -> bool:
        # The first token of the process; and where the thread gets no time: some servers stop a process in between.
        if self._asked_at is None:
            return True
        interval = settings.REVOCATIONS_POLL_INTERVAL or timedelta(0)
        age = now - self._asked_at
        if key_sets.is_recent(age, interval):
            return False  # as nearly always, so that nothing else is computed
        # A turn of the thread at its longest, so that no request waits where the authority hangs: the interval, then
        # the time-outs of the list, of the key that signed it and of the keys anew, and one more on a busy machine.
        return not key_sets.is_recent(age, interval + 4 * timedelta(seconds=connection.longest_wait_seconds()))


_poller = _Poller()


def is_on() -> bool:
    """Whether the settings let this server fetch the list."""
    return settings.REVOCATIONS_POLL_INTERVAL is not None and bool(settings.AUTHORITY_KEY)


def scopes_now(token: SignedToken, *, now: datetime) -> frozenset[str]:
    """
    Return those of the scopes of *token* that still count, as far as this process knows.

    Before the first answer the list is asked for, which takes no longer than the time-outs; then a thread does that.

    Raises:
        InvalidTokenError: If the token, its key, its client or its person is withdrawn.
        AuthorityUnavailableError: If the list is older than ``REVOCATIONS_MAX_AGE``, or there is none.
    """
    if not is_on():
        if settings.REVOCATIONS_MAX_AGE is not None:
            raise key_sets.unavailable()
        if settings.REVOCATIONS_POLL_INTERVAL is not None:
            # A check says so as well, where the app is installed for its checks.
            complaints.tell(
                "Signed tokens count to their end, whatever is revoked: APIKEYS has no AUTHORITY_KEY to fetch the "
                "revocation list with. If that is meant, set REVOCATIONS_POLL_INTERVAL to None."
            )
        return frozenset(token.scopes)
    known = _poller.known(now=now)
    if known.refuses(token, now=now):
        raise InvalidTokenError(key_id=token.key_id, family=token.family, client_id=token.client_id)
    return known.scopes_of(token)


def networks_now(token: SignedToken) -> Sequence[Sequence[str]]:
    """Return lists of networks, each of which must hold the caller's address; as ``scopes_now``, which goes before."""
    return _poller.revocations.networks_of(token) if is_on() else token.networks


def forget() -> None:
    """Know nothing, as a new process, and end the thread."""
    _poller.end()
    _start_anew()


def _listed(since: int, *, now: datetime) -> RevocationList | None:
    """
    Return what the authority tells since the sequence *since*; None if it does not.

    Raises:
        InvalidTokenError: If it answers with something that it has not signed as such a list.
    """
    try:
        answer = connection.get(f"{PATH}?since={since}", with_key=True, most_bytes=MOST_CHARACTERS)
    except connection.NoAnswerError as error:
        complaints.tell("The revocation list can't be fetched: %s", error)
        return None
    if answer.status in _REFUSALS:
        complaints.tell(
            "The authority refuses APIKEYS['AUTHORITY_KEY'] of this server: it is not to have the revocation list. Is "
            "the key good, does it hold apikeys:introspect, and has its client this server's address?",
            level=logging.ERROR,
        )
        return None
    if answer.status != HTTPStatus.OK:
        complaints.tell("The revocation list can't be fetched: the authority answers %d", answer.status)
        return None
    text = answer.body.decode("ascii", errors="replace")
    try:
        return _read(text, now=now)
    except AuthorityUnavailableError:
        # Without its keys. That was told.
        return None


def _read(text: str, *, now: datetime) -> RevocationList:
    issuer, audience = settings.ISSUER, settings.AUDIENCE
    try:
        return read_list(text, keys=key_sets.published(now=now), issuer=issuer, audience=audience)
    except UnknownSigningKeyError:
        keys = key_sets.published_since(kid_of(text) or "", now=now)
        return read_list(text, keys=keys, issuer=issuer, audience=audience)


def _start_anew() -> None:
    global _poller  # noqa: PLW0603  # one of the process; a fork has no thread, and locks that another one may have held
    _poller = _Poller()


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "APIKEYS":
        forget()


after_fork(_start_anew)
setting_changed.connect(_forget, dispatch_uid="apikeys.resource_server.polling")
