"""What ``unused_scopes`` says about a key or client, and in which columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from .. import status
from ..models import APIKey, Client, user_name_of
from ..usage import CeilingNeeds, KeyNeeds
from .output import Column, iso

#: What to do about a finding: take permissions away, revoke the key, or wait for more evidence.
NARROW, REVOKE, WAIT, NOTHING = "narrow", "revoke", "wait", "nothing"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A key, or a client's ceiling, and what of it was needed."""

    needs: KeyNeeds | CeilingNeeds
    #: The code of what went wrong; None for nothing.
    error: str | None = None

    @property
    def key(self) -> APIKey | None:
        """The key; None for a client's ceiling."""
        return self.needs.key if isinstance(self.needs, KeyNeeds) else None

    @property
    def client(self) -> Client:
        """The client whose key or ceiling it is."""
        return self.needs.key.client if isinstance(self.needs, KeyNeeds) else self.needs.client

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.needs.verdict in {"too_young", "not_counted"}:
            return WAIT
        if self.needs.verdict == "not_used" or not self.needs.kept:
            # A ceiling hurts nobody where there is no key.
            return REVOKE if self.key is not None else NOTHING
        return NARROW if self.needs.unused else NOTHING


def columns(*, now: datetime) -> Sequence[Column[Finding]]:
    """Return the columns of ``unused_scopes``."""
    return [
        Column(
            member="key_id",
            heading=_("KEY ID"),
            value=lambda row: None if row.key is None else row.key.key_id,
            text=lambda row: _("(client)") if row.key is None else row.key.key_id,
        ),
        Column(
            member="name",
            heading=_("NAME"),
            value=lambda row: None if row.key is None else row.key.name,
            text=lambda row: "–" if row.key is None else row.key.name,
            is_long=True,
            rank=60,
        ),
        Column(member="client", heading=_("CLIENT"), value=lambda row: row.client.name, is_long=True, rank=50),
        Column(member="client_id", value=lambda row: row.client.client_id),
        Column(
            member="owner",
            value=lambda row: None if row.key is None else user_name_of(row.key.owner) or None,
        ),
        Column(
            member="requests",
            heading=_("REQUESTS"),
            value=lambda row: row.needs.requests,
            text=lambda row: f"{row.needs.requests:,}",
            rank=70,
        ),
        Column(
            member="counted_from",
            heading=_("COUNTED FROM"),
            value=lambda row: iso(row.needs.counted_from),
            text=lambda row: status.relative(row.needs.counted_from, now=now),
            rank=20,
        ),
        Column(member="advice", heading=_("ADVICE"), value=lambda row: row.advice, text=_advice),
        Column(
            member="unused",
            heading=_("NOT NEEDED"),
            value=lambda row: list(row.needs.unused),
            text=lambda row: " ".join(row.needs.unused) or "–",
            is_long=True,
        ),
        Column(
            member="kept",
            heading=_("NEEDED"),
            value=lambda row: list(row.needs.kept),
            text=lambda row: " ".join(row.needs.kept) or "–",
            is_long=True,
            rank=30,
        ),
        # As name=requests@last, so that the evidence of a line fits a cell.
        Column(member="evidence", value=_evidence),
        Column(member="error", value=lambda row: row.error),
    ]


def _advice(row: Finding) -> str:
    return {
        NARROW: _("narrow"),
        REVOKE: _("revoke it rather"),
        WAIT: _("used uncounted") if row.needs.verdict == "not_counted" else _("too young to tell"),
        NOTHING: "–",
    }[row.advice]


def _evidence(row: Finding) -> list[str]:
    return [
        f"{need.name}={need.requests}" + (f"@{iso(need.last_needed_at)}" if need.last_needed_at is not None else "")
        for need in row.needs.needs
    ]
