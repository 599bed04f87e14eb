"""
What signs, and what is published to check it: ``SIGNING_KEYS``, or the keys in the database.

Which rows there are is read anew each time. A process that remembered them would sign on with a key that another one
has withdrawn, and nobody could check what it signed. Only what it costs to read a key is saved.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import router
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from ..conf import settings
from ..core.errors import APIKeysError
from ..logging import complaints
from ..signed.keys import KeySet, PrivateKey, SigningKeyError, read_private
from .models import SigningKey
from .sealing import SealError, opened
from .turns import turn_at, turns


class NoSigningKeyError(APIKeysError):
    """There is nothing to sign with. It was logged; the text is for the operator and tells no secret."""

    code = "no_signing_key"
    #: Somebody has to do something first.
    retry_after_seconds = 60


@dataclass(frozen=True)
class _Read:
    """What was read lately, and what it was read from."""

    source: Any = field(default=None, repr=False)
    keys: tuple[PrivateKey, ...] = ()


class _Remembered:
    """One of each is enough: a replaced key is never asked for again. Assignments are atomic, so nothing is locked."""

    given = _Read()
    opened = _Read()


def signing_key(*, now: datetime) -> PrivateKey:
    """
    Return the key that signs at *now*, which ``published_keys`` has for as long as such a token can live.

    One query, and two more after ``SIGNED_TOKEN_LIFETIME`` was raised, of which one writes; none with ``SIGNING_KEYS``.

    Raises:
        NoSigningKeyError: If there is none, or its private part can't be read. An older key is no way out: it would
            sign what outlives its publication.
    """
    given = given_keys()
    if given:
        return given[0]
    turn = turn_at(turns(stored_keys()), now=now)
    if turn is None:
        raise _nothing("There is no signing key. Run manage.py rotate_signing_key.")
    row = turn.row
    _require_kept_long_enough(row, lifetime=settings.SIGNED_TOKEN_LIFETIME)
    try:
        return _opened(row)
    except SealError as error:
        raise _nothing(str(error)) from error


def published_jwks(*, now: datetime) -> list[dict[str, str]]:
    """
    Return the public keys, as JWKs, that a token in use at *now* may be signed with, and those that will sign next.

    Raises:
        NoSigningKeyError: If ``SIGNING_KEYS`` can't be read: a part of them would be worse than none.
    """
    return [json.loads(text) for text in _published(now=now)]


def published_keys(*, now: datetime) -> KeySet:
    """
    Return what ``published_jwks`` does, to check tokens with. One query.

    Raises:
        NoSigningKeyError: As there.
    """
    return _key_set(_published(now=now))


def stored_keys() -> QuerySet[SigningKey]:
    """Return the rows, where they are written: what a replica has not seen yet would be missing."""
    return SigningKey.objects.using(router.db_for_write(SigningKey))


@sensitive_variables()
def given_keys() -> tuple[PrivateKey, ...]:
    """
    Return the keys of ``SIGNING_KEYS``; empty where they are in the database.

    Raises:
        NoSigningKeyError: If one can't be used, or two that differ have one name.
    """
    source = settings.SIGNING_KEYS
    read = _Remembered.given
    # The same object for as long as the settings are the same.
    if read.source is not source:
        keys, problems = read_each(source)
        if problems:
            raise _nothing(problems[0])
        _Remembered.given = read = _Read(source, keys)
    return read.keys


@sensitive_variables()
def read_each(source: tuple[Any, ...]) -> tuple[tuple[PrivateKey, ...], tuple[str, ...]]:
    """Return the keys in *source*, which is ``SIGNING_KEYS``, and a sentence about each that can't be used."""
    keys: dict[str, PrivateKey] = {}
    problems = []
    for position, given in enumerate(source, start=1):
        try:
            key = read_private(given)
        except SigningKeyError as error:
            problems.append(f"APIKEYS['SIGNING_KEYS'], number {position}: {error}")
            continue
        if keys.setdefault(key.kid, key).public_jwk() != key.public_jwk():
            problems.append(f"APIKEYS['SIGNING_KEYS'], number {position}: An earlier one has its kid.")
    return tuple(keys.values()), tuple(problems)


def _published(*, now: datetime) -> tuple[str, ...]:
    # Those of the database stay beside SIGNING_KEYS: what they signed before lives on.
    known = turns(stored_keys().defer("private"))
    published = {key.kid: json.dumps(key.public_jwk()) for key in given_keys()}
    for turn in known:
        if turn.is_published(now=now):
            published.setdefault(turn.row.kid, turn.row.public)
    return tuple(published.values())


@lru_cache(maxsize=4)
def _key_set(jwks: tuple[str, ...]) -> KeySet:
    return KeySet.of(json.loads(text) for text in jwks)


@sensitive_variables()
def _opened(row: SigningKey) -> PrivateKey:
    # With the secrets: whoever takes one out of the settings means it.
    source = (row.kid, row.private, settings.SIGNING_KEY_SECRETS)
    read = _Remembered.opened
    if read.source != source:
        _Remembered.opened = read = _Read(source, (opened(row.private, kid=row.kid),))
    return read.keys[0]


def _require_kept_long_enough(row: SigningKey, *, lifetime: timedelta) -> None:
    """
    Have *row* published for as long as a token of *lifetime* needs.

    Raises:
        NoSigningKeyError: If it was withdrawn just now.
    """
    if lifetime <= row.longest_lifetime:
        return
    # Only ever longer, and before anything is signed. Written once after the setting was raised.
    same = stored_keys().filter(pk=row.pk)
    same.filter(longest_lifetime__lt=lifetime).update(longest_lifetime=lifetime)
    if not same.filter(longest_lifetime__gte=lifetime).exists():
        raise _nothing("The signing key was withdrawn. The next request finds another.")


def _nothing(text: str) -> NoSigningKeyError:
    """Return the error that says *text*, which was logged unless that was done in the last minute."""
    complaints.tell("Nothing to sign with: %s", text, reason=NoSigningKeyError.code, level=logging.ERROR)
    return NoSigningKeyError(text)
