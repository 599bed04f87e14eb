"""Whose turn it is to sign: read off the times that the keys have, so that nothing is switched and nobody misses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest

from ..conf import settings
from .models import SigningKey


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A signing key, and until when."""

    row: SigningKey
    #: When the next one takes over; None while there is none.
    signs_until: datetime | None
    #: When its last token has ended on every clock, and no copy of the published keys is as old as that.
    published_until: datetime | None

    def is_published(self, *, now: datetime) -> bool:
        """Whether somebody may still hold a token that it signed, or will."""
        return self.published_until is None or now < self.published_until


def turns(rows: Iterable[SigningKey]) -> list[Turn]:
    """Return the turns of *rows*, the first one first. What was never followed signs on."""
    ordered = sorted(rows, key=lambda row: (row.signs_from, row.pk))
    found = []
    for row, following in zip_longest(ordered, ordered[1:]):
        signs_until = None if following is None else following.signs_from
        published_until = None if signs_until is None else signs_until + _kept(row)
        found.append(Turn(row=row, signs_until=signs_until, published_until=published_until))
    return found


def turn_at(known: Sequence[Turn], *, now: datetime) -> Turn | None:
    """
    Return the one whose turn it is at *now*; None where there is no key.

    It is the latest one that has begun. Where none has, which only a clock can see that is behind, it is the first:
    there is no other that could be meant.
    """
    begun = [turn for turn in known if turn.row.signs_from <= now]
    return begun[-1] if begun else next(iter(known), None)


def is_due(known: Sequence[Turn], *, now: datetime) -> bool:
    """Whether it is time for the next key, so that it is known everywhere when the newest has had its time."""
    if not known:
        return True
    its_end = known[-1].row.signs_from + settings.SIGNING_KEY_LIFETIME
    return its_end - settings.SIGNING_KEY_PUBLISHED_AHEAD <= now


def _kept(row: SigningKey) -> timedelta:
    # Its own longest lifetime, not the setting: that may have been lowered while its tokens live.
    return row.longest_lifetime + settings.CLOCK_LEEWAY + settings.JWKS_MAX_AGE
