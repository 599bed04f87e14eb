"""Whose use the usage page shows, and of how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import ngettext

from ..core import buckets
from ..models import APIKey, Client
from ..usage.questions import By

#: The period that is shown unless another is asked for.
DEFAULT = "30d"


@dataclass(frozen=True, kw_only=True)
class Period:
    """A span of time that the page can show."""

    code: str
    days: int
    by: By = "day"

    @property
    def name(self) -> str:
        """How long it is, standing alone: in German, days have another ending there than in a sentence."""
        if self.by == "hour":
            return self.label
        return ngettext("%(count)s day", "%(count)s days", self.days) % {"count": self.days}

    @property
    def label(self) -> str:
        """How long it is, as sentences say it."""
        if self.by == "hour":
            return ngettext("%(count)d hour", "%(count)d hours", 24 * self.days) % {"count": 24 * self.days}
        return ngettext("%(count)d day", "%(count)d days", self.days) % {"count": self.days}

    def since(self, *, now: datetime) -> datetime:
        """Return when the first bar of it begins."""
        zone = timezone.get_default_timezone()
        if self.by == "day":
            return buckets.first_day(days=self.days, now=now, zone=zone)
        return buckets.hour_start(now - timedelta(hours=23), zone=zone)


PERIODS = {
    period.code: period
    for period in (
        Period(code="24h", days=1, by="hour"),
        Period(code="7d", days=7),
        Period(code=DEFAULT, days=30),
        Period(code="90d", days=90),
    )
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whose use the page is about: of all keys, where nothing is named."""

    title: str = ""
    key: APIKey | None = None
    client: Client | None = None

    @property
    def query(self) -> dict[str, str]:
        """What the page's own links carry to stay with it."""
        if self.key is not None:
            return {"key": self.key.key_id}
        return {} if self.client is None else {"client": self.client.client_id}

    @property
    def filters(self) -> dict[str, str]:
        """The arguments of the questions to ``usage``."""
        if self.key is not None:
            return {"family": self.key.family}
        return {} if self.client is None else {"client_id": self.client.client_id}
