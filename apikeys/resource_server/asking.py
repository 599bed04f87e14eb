"""
Asking the authority about a credential: once for all who ask at the same time, and not at all right after it failed.

What fails is no answer: neither yes nor no, and it is not kept.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..core.breaker import Breaker, ClosedForNowError
from ..core.errors import AuthorityUnavailableError
from ..core.forks import after_fork
from ..core.memory import BoundedMemory
from . import answers, complaints, connection
from .answers import Introspection, UnusableAnswerError
from .connection import NoAnswerError, StalledError, TooLongError
from .rounds import NoRoundError, Rounds

logger = logging.getLogger("apikeys.auth")

_PATH = "introspect"
#: Statuses that say nothing of the credential that was asked about, so that others would get the same. Whatever else is
#: no answer may be due to this one, such as 429 for a key that is new to the authority while it is busy, or 403 of a
#: firewall that reads an attack in it, and must not cost the other callers theirs.
_FOR_ALL = frozenset({401, 502, 504})
_KEY_REFUSED = frozenset({401, 403})
_LONGEST_RETRY_AFTER_SECONDS = 60
_MOST_KEPT = 10_000


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What came of one asking."""

    #: None where the credential is not active, and where there was no answer.
    found: Introspection | None
    #: On the clock of ``time.monotonic``, before the authority was asked.
    asked_at: float
    #: For the caller, where there was no answer.
    retry_after_seconds: int | None = None


class _ClosedError(Exception):
    """The authority answered, and will not tell of any credential now."""

    def __init__(self, answer: connection.Answer) -> None:
        super().__init__(answer.status)
        self.status = answer.status
        self.retry_after_seconds = answer.retry_after_seconds


class _OneStalledError(StalledError):
    """One credential was waited for in vain, which may be what takes the authority so long."""


class _Line(Breaker):
    """The way to the authority."""

    def __init__(self) -> None:
        super().__init__(pause_seconds=0)
        #: Which credential was waited for in vain last; None once there was an answer since.
        self._stalled: bytes | None = None

    def answered(self) -> None:
        """Note that it answers, whatever it says."""
        self._stalled = None

    def stalled(self, name: bytes) -> bool:
        """Note that *name* was waited for in vain, and return whether the last one was another."""
        before, self._stalled = self._stalled, name
        return before is not None and before != name

    def is_failure(self, error: Exception) -> bool:
        return not isinstance(error, _OneStalledError | TooLongError)

    def came_back(self) -> None:
        logger.info("The authority tells of keys and tokens again.")


_process_key = secrets.token_bytes(32)
_line = _Line()
_rounds: Rounds[_Told] = Rounds()
_kept: BoundedMemory[bytes, _Told] = BoundedMemory()
#: Until when credentials are not asked about that were waited for in vain, on the clock of ``time.monotonic``.
_stalled: BoundedMemory[bytes, float] = BoundedMemory()


@sensitive_variables()
def introspect(text: str, *, about: str, now: datetime) -> Introspection | None:
    """
    Return what the authority says of the credential *text*, or None where it is not active.

    Raises:
        AuthorityUnavailableError: If there is no answer that counts, within the time-outs. *about* is for its sentence.
        ImproperlyConfigured: If the settings name no authority that may be asked.
    """
    # Neither the text itself nor what it could be guessed by.
    name = hashlib.blake2b(text.encode(), digest_size=32, key=_process_key).digest()
    kept = _kept.get(name) if settings.INTROSPECTION_CACHE else None
    if kept is not None and _counts(kept, now=now):
        return kept.found
    try:
        # No partial: its repr would show the text.
        told = _rounds.answer(
            name, lambda: _stalled_lately(name) or _ask(text, name), most_seconds=connection.longest_wait_seconds()
        )
    except NoRoundError as error:
        raise AuthorityUnavailableError(retry_after_seconds=1, about=about) from error
    if told.retry_after_seconds is not None:
        raise AuthorityUnavailableError(retry_after_seconds=told.retry_after_seconds, about=about)
    return told.found


def forget() -> None:
    """Know nothing, and ask as if the authority had never failed: as a new process."""
    global _line, _rounds, _kept, _stalled  # of the process; after a fork another thread may hold their locks
    _line, _rounds, _kept, _stalled = _Line(), Rounds(), BoundedMemory(), BoundedMemory()


def _stalled_lately(name: bytes) -> _Told | None:
    """Return that nobody can tell, where nobody waits again yet: each repetition would hold a thread of this server."""
    now, again_at = time.monotonic(), _stalled.get(name)
    return None if again_at is None or now >= again_at else _failed(now, seconds=again_at - now)


@sensitive_variables()
def _ask(text: str, name: bytes) -> _Told:
    asked_at = time.monotonic()
    # In the settings of today.
    _line.pause_seconds = settings.AUTHORITY_PAUSE.total_seconds()
    try:
        answer = _line.ask(lambda: _asked(text, name))
        if answer.status != HTTPStatus.OK:
            _tell_status(answer.status)
            return _failed(asked_at, seconds=answer.retry_after_seconds or 1)
        told = _Told(found=answers.read(answer.body), asked_at=asked_at)
    except ClosedForNowError:
        return _failed(asked_at, seconds=_line.ask_again_at - time.monotonic())
    except NoAnswerError as error:
        complaints.tell("The authority does not answer: %s.", error)
        if isinstance(error, StalledError):
            _stalled.put(name, time.monotonic() + _line.pause_seconds, most=_MOST_KEPT)
        return _failed(asked_at, seconds=_line.pause_seconds)
    except _ClosedError as error:
        _tell_status(error.status)
        return _failed(asked_at, seconds=max(_line.pause_seconds, error.retry_after_seconds or 0))
    except ImproperlyConfigured:
        # Nothing that could come back: the next request is to fail as this one does.
        _line.reset()
        raise
    except UnusableAnswerError as error:
        complaints.tell("The authority's answer can't be used: %s.", error)
        return _failed(asked_at)
    if settings.INTROSPECTION_CACHE and told.found is not None:
        _kept.put(name, told, most=_MOST_KEPT)
    else:
        _kept.pop(name)
    return told


@sensitive_variables()
def _asked(text: str, name: bytes) -> connection.Answer:
    # This server checks where the caller is, so that it may be told of keys that are bound to networks.
    try:
        answer = connection.post(_PATH, form={"token": text, "networks_enforced": "true"})
    except StalledError as error:
        if _line.stalled(name):
            raise
        raise _OneStalledError(*error.args) from error
    _line.answered()
    if answer.status in _FOR_ALL:
        raise _ClosedError(answer)
    return answer


def _counts(kept: _Told, *, now: datetime) -> bool:
    is_young = time.monotonic() - kept.asked_at < settings.INTROSPECTION_CACHE.total_seconds()
    ends_at = None if kept.found is None else kept.found.expires_at
    return is_young and (ends_at is None or now < ends_at)


def _failed(asked_at: float, *, seconds: float = 1) -> _Told:
    wait = min(max(1, math.ceil(seconds)), _LONGEST_RETRY_AFTER_SECONDS)
    return _Told(found=None, asked_at=asked_at, retry_after_seconds=wait)


def _tell_status(status: int) -> None:
    if status in _KEY_REFUSED:
        complaints.tell(
            "The authority refuses this server's own key with status %d, so that nobody can be let in. Check "
            "APIKEYS['AUTHORITY_KEY']: it must be whole and working, hold the scope apikeys:introspect, and be of a "
            "client that has the address in APIKEYS['AUDIENCE'].",
            status,
            level=logging.ERROR,
        )
    else:
        complaints.tell("The authority answers introspection with status %d.", status)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"APIKEYS", "DEBUG"}:
        forget()


after_fork(forget)
setting_changed.connect(_forget, dispatch_uid="apikeys.resource_server.asking")
