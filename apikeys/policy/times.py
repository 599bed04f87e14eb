"""How long keys live, and how long a rotated one works on."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Literal

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..conf import settings
from ..core import errors
from ..models import APIKey, Client


class Choice(Enum):
    """A length that is not given as such."""

    #: Left to today's setting, or to the key that is replaced.
    DEFAULT = "default"
    #: An overlap that starts when the replacement is first used.
    FROM_FIRST_USE = "from_first_use"


DEFAULT: Literal[Choice.DEFAULT] = Choice.DEFAULT
FROM_FIRST_USE: Literal[Choice.FROM_FIRST_USE] = Choice.FROM_FIRST_USE
Lifetime = timedelta | None | Literal[Choice.DEFAULT]
#: ``FROM_FIRST_USE`` never lasts longer than ``MAX_OVERLAP``, whether the replacement is used or not.
Overlap = timedelta | Literal[Choice.FROM_FIRST_USE]

#: How long the old key works on after the first use of its replacement, where the overlap starts with that.
FIRST_USE_OVERLAP = timedelta(hours=24)


def longest_lifetime(client: Client) -> timedelta:
    """Return how long a key of *client* may live."""
    longest = settings.MAX_LIFETIME
    return longest if client.max_key_lifetime is None else min(longest, client.max_key_lifetime)


def expiry(lifetime: Lifetime, *, client: Client, now: datetime) -> datetime | None:
    """
    Return when a key that is issued *now* ends; None for never.

    Raises:
        LifetimeRefusedError: If it is not positive, too long, or endless where that is not allowed.
    """
    longest = longest_lifetime(client)
    if lifetime is DEFAULT:
        lifetime = min(settings.DEFAULT_LIFETIME, longest)
    if lifetime is None:
        if not settings.ALLOW_NO_EXPIRY or client.max_key_lifetime is not None:
            raise errors.LifetimeRefusedError(_("This site does not allow keys without expiry."), reason="endless")
        return None
    if lifetime <= timedelta(0):
        raise errors.LifetimeRefusedError(_("Choose a date in the future."), reason="past")
    if lifetime > longest:
        message = ngettext(
            "Keys of this client may live at most %(days)d day (until %(date)s).",
            "Keys of this client may live at most %(days)d days (until %(date)s).",
            longest.days,
        )
        raise errors.LifetimeRefusedError(
            message % {"days": longest.days, "date": long_date(now + longest)}, reason="too_long"
        )
    return now + lifetime


def same_expiry(key: APIKey, *, client: Client, now: datetime) -> datetime | None:
    """Return when a replacement of *key* ends that lives as long as it did, or as long as today's rules let it."""
    if key.expires_at is None:
        if settings.ALLOW_NO_EXPIRY and client.max_key_lifetime is None:
            return None
        return now + longest_lifetime(client)
    return now + min(key.expires_at - key.created_at, longest_lifetime(client))


def require_overlap(overlap: Overlap | Literal[Choice.DEFAULT]) -> Overlap:
    """
    Return *overlap*, or what today's setting says.

    Raises:
        OverlapRefusedError: If it is negative or above ``MAX_OVERLAP``.
    """
    if overlap is DEFAULT:
        return min(settings.DEFAULT_OVERLAP, settings.MAX_OVERLAP)
    if overlap is FROM_FIRST_USE:
        return overlap
    if overlap < timedelta(0):
        raise errors.OverlapRefusedError(_("An overlap can't be negative."))
    if overlap > settings.MAX_OVERLAP:
        message = ngettext(
            "An overlap may last at most %(days)d day.",
            "An overlap may last at most %(days)d days.",
            settings.MAX_OVERLAP.days,
        )
        raise errors.OverlapRefusedError(message % {"days": settings.MAX_OVERLAP.days})
    return overlap


def overlap_end(key: APIKey, *, overlap: Overlap, now: datetime) -> datetime:
    """
    Return when *key* stops that is rotated *now*: after *overlap*, but never later than it would have.

    From the first use of its replacement, nobody knows yet: that is when it stops at the latest.
    """
    ends_at = now + (settings.MAX_OVERLAP if overlap is FROM_FIRST_USE else overlap)
    return ends_at if key.expires_at is None else min(key.expires_at, ends_at)


def long_date(instant: datetime) -> str:
    """Return *instant* as people write a date, in the active time zone and language."""
    return formats.date_format(timezone.localtime(instant), "j F Y")
