"""Until when tokens of a key may be in use: what the revocation list looks at."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, router, transaction
from django.db.models import Case, DateTimeField, DurationField, Max, Q, QuerySet, Value, When
from django.db.models.functions import Greatest

from ..conf import settings
from .models import OutstandingTokens

#: So far ahead a row is written, so that most exchanges of a key write nothing.
AHEAD = timedelta(minutes=1)


def note(key_pk: int, *, lifetime: timedelta, now: datetime) -> None:
    """
    Note that a token of the key lives for *lifetime* from *now* on. Written, at most once a minute, when this returns.

    Never backwards, whoever else writes: a row that ends too early would hide the token from the revocation list.
    """
    ends_at = now + lifetime
    row = _rows().filter(pk=key_pk)
    covers = Q(end_at__gte=ends_at, longest_lifetime__gte=lifetime)
    if row.filter(covers).exists() or _widen(row, lifetime=lifetime, now=now):
        return
    try:
        with transaction.atomic(using=_database()):
            _rows().create(pk=key_pk, end_at=ends_at + AHEAD, longest_lifetime=lifetime)
    except IntegrityError:
        # Another request was here between the look and the leap; it may have noted less.
        _widen(row, lifetime=lifetime, now=now)
        if not row.filter(covers).exists():
            raise


def longest_lifetime(*, now: datetime) -> timedelta:
    """Return the longest lifetime of the tokens that are in use, by whatever key they were signed. One query."""
    longest: timedelta | None = in_use(now=now).aggregate(longest=Max("longest_lifetime"))["longest"]
    return longest or timedelta(0)


def in_use(*, now: datetime) -> QuerySet[OutstandingTokens]:
    """
    Return those whose tokens somebody may still take at *now*, as far as the lists that are told now reach.

    A server takes a token for ``CLOCK_LEEWAY`` longer than it says, on a clock that may be late itself, and each list
    replaces what the one before said of people. ``REVOCATIONS_OVERLAP`` on top is what the entries have as well.
    """
    return _rows().filter(end_at__gt=_over_before(now=now))


def _widen(row: QuerySet[OutstandingTokens], *, lifetime: timedelta, now: datetime) -> bool:
    ends_at = now + lifetime
    longest = Value(lifetime, output_field=DurationField())
    in_use = When(end_at__gt=_over_before(now=now), then=Greatest("longest_lifetime", longest))
    widened = row.filter(Q(end_at__lt=ends_at) | Q(longest_lifetime__lt=lifetime)).update(
        # First, since MariaDB reads what it has just set.
        longest_lifetime=Case(in_use, default=longest),
        end_at=Greatest("end_at", Value(ends_at + AHEAD, output_field=DateTimeField())),
    )
    return bool(widened)


def _over_before(*, now: datetime) -> datetime:
    return now - settings.CLOCK_LEEWAY - settings.REVOCATIONS_OVERLAP


def _rows() -> QuerySet[OutstandingTokens]:
    return OutstandingTokens.objects.using(_database())


def _database() -> str:
    return router.db_for_write(OutstandingTokens)
