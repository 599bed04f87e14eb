"""The only writer of signing keys. Two runs at once make one: each key follows another, and none is followed twice."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import IntegrityError, router, transaction

from .. import events
from ..conf import settings
from ..models import EventKind
from ..signed.keys import PrivateKey, generate
from .models import SigningKey
from .sealing import SealError, opened, resealed, sealed
from .signing import stored_keys
from .turns import Turn, turn_at, turns

#: Each time another run came first. More than that is no coincidence.
_MOST_TRIES = 5


def new_key(algorithm: str) -> PrivateKey:
    """Return a key for *algorithm* that can be named on a command line: no option begins as its id does."""
    key = generate(algorithm)
    while key.kid.startswith("-"):
        key = generate(algorithm)
    return key


def make(known: Sequence[Turn], *, now: datetime, source: str) -> SigningKey | None:
    """
    Return a new key, published from now on, or None where one was made since *known* was read.

    It signs once it was published for ``SIGNING_KEY_PUBLISHED_AHEAD``; at once where nothing else can.

    Raises:
        SealError: If there is nothing to seal it with.
    """
    turn = turn_at(known, now=now)
    is_needed_now = turn is None or not is_readable(turn.row)
    key = new_key(settings.SIGNING_ALGORITHM)
    try:
        return _add(key, after=known, at_once=is_needed_now, now=now, source=source)
    except IntegrityError:
        if not stored_keys().filter(follows=_last_of_chain(known)).exists():
            raise
        return None


def withdraw(kids: Collection[str], *, now: datetime, source: str) -> SigningKey | None:
    """
    Return the key that replaces those named *kids*, which are gone: what they signed is good nowhere any more.

    It signs at once where one of them did. None where there is none of them: another run withdrew them just now.

    Raises:
        SealError: If there is nothing to seal the new key with. Nothing is withdrawn then.
    """
    key = new_key(settings.SIGNING_ALGORITHM)
    tries = 0
    while True:
        known = turns(stored_keys())
        withdrawn = sorted({turn.row.kid for turn in known}.intersection(kids))
        if not withdrawn:
            return None
        turn = turn_at(known, now=now)
        at_once = turn is None or turn.row.kid in withdrawn or not is_readable(turn.row)
        try:
            with transaction.atomic(using=_database()):
                # First what only one of two runs can do, so that the other waits here and holds nothing.
                row = _add(key, after=known, at_once=at_once, now=now, source=source, withdrawn=withdrawn)
                stored_keys().filter(kid__in=withdrawn).delete()
        except IntegrityError:
            # Another run made a key: this one follows that.
            tries += 1
            if tries == _MOST_TRIES:
                raise
        else:
            return row


def withdraw_alone(kids: Collection[str], *, source: str) -> list[str]:
    """
    Delete the keys named *kids*, and return those that no other run deleted before. Nothing takes their place.

    For where ``SIGNING_KEYS`` sign: another stored key would be published for as long as nothing follows it.
    """
    with transaction.atomic(using=_database()):
        withdrawn = [kid for kid in sorted(set(kids)) if stored_keys().filter(kid=kid).delete()[0]]
        if withdrawn:
            details = {"withdrawn": " ".join(withdrawn)}
            events.record(EventKind.SIGNING_KEY_MADE, client=None, source=source, details=details)
    return withdrawn


def delete_retired(*, now: datetime) -> int:
    """Delete the keys that nobody needs any more, and return how many there were."""
    retired = [turn.row.pk for turn in turns(stored_keys().defer("private")) if not turn.is_published(now=now)]
    return stored_keys().filter(pk__in=retired).delete()[0] if retired else 0


def reseal(*, now: datetime) -> tuple[int, list[str]]:
    """
    Encrypt by the first secret what another one encrypts, and return how many keys that were.

    Of those that still sign, now or later, the kids that no secret opens come second.
    """
    count, unreadable = 0, []
    for turn in turns(stored_keys()):
        row = turn.row
        if turn.signs_until is not None and turn.signs_until <= now:
            continue
        try:
            text = resealed(row.private)
        except SealError:
            unreadable.append(row.kid)
            continue
        if text is not None:
            # Guarded: of two runs at once one does it.
            count += stored_keys().filter(pk=row.pk, private=row.private).update(private=text)
    return count, unreadable


def is_readable(row: SigningKey) -> bool:
    """Whether the private part of *row* can be used here."""
    try:
        opened(row.private, kid=row.kid)
    except SealError:
        return False
    return True


def _add(
    key: PrivateKey,
    *,
    after: Sequence[Turn],
    at_once: bool,
    now: datetime,
    source: str,
    withdrawn: Collection[str] = (),
) -> SigningKey:
    """
    Return the row of *key*, with its event.

    Raises:
        IntegrityError: If another one follows the newest of *after*.
    """
    signs_from = now if at_once else now + settings.SIGNING_KEY_PUBLISHED_AHEAD
    if after and not at_once:
        # Never before one that was made earlier, when the setting was longer.
        signs_from = max(signs_from, after[-1].row.signs_from)
    details = {"kid": key.kid, "algorithm": key.algorithm, "signs_from": signs_from.isoformat()}
    if withdrawn:
        details["withdrawn"] = " ".join(withdrawn)
    with transaction.atomic(using=_database()):
        row = stored_keys().create(
            kid=key.kid,
            algorithm=key.algorithm,
            public=json.dumps(key.public_jwk()),
            private=sealed(key),
            follows=_last_of_chain(after),
            created_at=now,
            signs_from=signs_from,
            longest_lifetime=settings.SIGNED_TOKEN_LIFETIME,
        )
        events.record(EventKind.SIGNING_KEY_MADE, client=None, source=source, details=details)
    return row


def _last_of_chain(known: Sequence[Turn]) -> str:
    """Return the kid that a new key follows; empty for the first key."""
    # Not the last that will sign: a key that signs at once is made after one that waits.
    rows = [turn.row for turn in known]
    followed = {row.follows for row in rows}
    # Several where a key between them was withdrawn.
    ends = [row for row in rows if row.kid not in followed]
    return max(ends, key=lambda row: (row.created_at, row.pk)).kid if ends else ""


def _database() -> str:
    return router.db_for_write(SigningKey)
