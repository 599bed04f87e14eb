"""The part of a page that says how a key or a client was used in the last 30 days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import usage
from ..core import buckets
from ..models import APIKey, Client
from ..registry import scope_registry
from ..status import grouped
from . import facts
from .bars import Chart, chart

DAYS = 30
#: How long nothing may have needed a permission before it is called unused.
UNUSED_DAYS = 90


@dataclass(frozen=True, kw_only=True)
class Share:
    """A number, and which part of all requests it is."""

    count: int
    of: int

    @property
    def shown(self) -> str:
        """The number, with its share where there is one."""
        return grouped(self.count) if not self.of else f"{grouped(self.count)} ({self.percent})"

    @property
    def percent(self) -> str:
        """The share, to the nearest percent: what is there at all is never called nothing."""
        if not self.of:
            return "–"
        if 0 < self.count / self.of < 0.01:  # noqa: PLR2004  # a percent
            return _("under %(percent)d%%") % {"percent": 1}
        return _("%(percent)d%%") % {"percent": round(100 * self.count / self.of)}


@dataclass(frozen=True, kw_only=True)
class UseSection:
    """How a key or client was used. *chart* is None where nothing is recorded."""

    is_recorded: bool
    chart: Chart | None = None
    requests: str = ""
    denied: str = ""
    errors: str = ""
    #: What is granted and was not needed: the labels of permissions.
    unused: Sequence[str] = ()


def of_key(key: APIKey, *, now: datetime) -> UseSection:
    """Return how *key* and its replacements were used. Eight queries."""
    if not facts.is_recorded():
        return UseSection(is_recorded=False)
    needs = next(iter(usage.unused_scopes([key], days=UNUSED_DAYS, now=now)), None)
    unused = () if needs is None else needs.unused
    return _section(now=now, family=key.family, unused=unused)


def of_client(client: Client, *, now: datetime) -> UseSection:
    """Return how the keys of *client* were used, all together. Nine queries."""
    if not facts.is_recorded():
        return UseSection(is_recorded=False)
    needs = next(iter(usage.unused_ceilings([client], days=UNUSED_DAYS, now=now)), None)
    return _section(now=now, client_id=client.client_id, unused=() if needs is None else needs.unused)


def label_of(scope: str) -> str:
    """Return the label of *scope*, which may be declared no more."""
    found = scope_registry().get(scope)
    return scope if found is None else str(found.label)


def _section(*, now: datetime, unused: Sequence[str], family: str = "", client_id: str = "") -> UseSection:
    since = buckets.first_day(days=DAYS, now=now, zone=timezone.get_default_timezone())
    points = usage.series(since=since, until=now, by="day", family=family, client_id=client_id)
    totals = usage.totals(since=since, until=now, family=family, client_id=client_id)
    period = ngettext("%(count)d day", "%(count)d days", DAYS) % {"count": DAYS}
    return UseSection(
        is_recorded=True,
        chart=chart(points, by="day", period=period) if totals.requests else None,
        requests=grouped(totals.requests),
        denied=Share(count=totals.denied, of=totals.requests).shown,
        errors=Share(count=totals.errors, of=totals.requests).shown,
        unused=[label_of(name) for name in unused],
    )
