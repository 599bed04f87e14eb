"""The columns of keys that several commands show, the same words everywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from .. import status
from ..models import APIKey, user_name_of
from .output import Column, iso

Row = TypeVar("Row")


def identity(key_of: Callable[[Row], APIKey]) -> list[Column[Row]]:
    """Return the columns that say which key a row is about: its id, name, client and owner."""
    return [
        Column(member="key_id", heading=_("KEY ID"), value=lambda row: key_of(row).key_id),
        Column(member="name", heading=_("NAME"), value=lambda row: key_of(row).name, is_long=True),
        Column(member="client", heading=_("CLIENT"), value=lambda row: key_of(row).client.name, is_long=True, rank=50),
        Column(
            member="owner",
            heading=_("OWNER"),
            value=lambda row: user_name_of(key_of(row).owner) or None,
            text=lambda row: user_name_of(key_of(row).owner) or "–",
            is_long=True,
            rank=40,
        ),
    ]


def expires(key_of: Callable[[Row], APIKey], *, now: datetime, rank: int) -> Column[Row]:
    """Return the column that says when a key ends."""

    def text(row: Row) -> str:
        expires_at = key_of(row).expires_at
        return _("no expiry") if expires_at is None else status.relative(expires_at, now=now)

    return Column(
        member="expires_at", heading=_("EXPIRES"), value=lambda row: iso(key_of(row).expires_at), text=text, rank=rank
    )


def last_used(key_of: Callable[[Row], APIKey], *, now: datetime, rank: int) -> Column[Row]:
    """Return the column that says when a key was last used."""
    return Column(
        member="last_used_at",
        heading=_("LAST USED"),
        value=lambda row: iso(key_of(row).last_used_at),
        text=lambda row: status.last_used(key_of(row), now=now),
        rank=rank,
    )


def short_instant(instant: datetime) -> str:
    """Return *instant* as tables write it: ``2026-11-23 04:06 UTC``, in the active time zone."""
    return f"{timezone.localtime(instant):%Y-%m-%d %H:%M %Z}"


def itself(key: APIKey) -> APIKey:
    """Return *key*, where a row is a key."""
    return key
