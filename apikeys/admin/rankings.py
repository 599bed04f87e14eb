"""The tables of the usage page: who asked most, for what, from where, and why requests were denied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import usage
from ..core import outcomes
from ..models import APIKey, Client, Grain, Level, UsageCount
from ..status import grouped
from .usage_subject import Period, Subject

_MOST = 10
_DAY = timedelta(days=1)
#: How many counts are added up for a ranking. More would take seconds where there are a million keys.
_MOST_COUNTS = 200_000

#: Why requests were denied. Anything else is shown as its code.
_REASONS = {
    outcomes.LIMITED: gettext_lazy("Over its limits"),
    outcomes.SCOPE_MISSING: gettext_lazy("Permission missing"),
    "401": gettext_lazy("Refused by the view (401)"),
    "403": gettext_lazy("Refused by the view (403)"),
    "key_invalid": gettext_lazy("Unknown key"),
    "key_malformed": gettext_lazy("Not a whole key"),
    "wrong_mode": gettext_lazy("Key of the other mode"),
    "key_expired": gettext_lazy("Expired"),
    "key_revoked": gettext_lazy("Revoked"),
    "key_rotated": gettext_lazy("Replaced, overlap over"),
    "owner_disabled": gettext_lazy("Owner disabled"),
    "client_disabled": gettext_lazy("Client disabled"),
    "ip_not_allowed": gettext_lazy("Address not allowed"),
    "not_for_server": gettext_lazy("At an API server that its app does not name"),
    "networks_not_enforced": gettext_lazy("At an API server that does not look at addresses"),
    "https_required": gettext_lazy("Sent without HTTPS"),
    "key_in_query": gettext_lazy("Sent in an address"),
    "invalid_request": gettext_lazy("Several keys at once, or an unreadable one"),
    "rate_limited": gettext_lazy("Too many attempts with one key id"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: requests, of which so many were denied."""

    label: str
    url: str = ""
    requests: str = ""
    denied: str = ""
    is_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the project's admin shows to who is asking."""

    clients: QuerySet[Client]
    keys: QuerySet[APIKey]


@dataclass(frozen=True, kw_only=True)
class Named:
    """How a line calls a client or a family of keys, and the query of the page about it."""

    label: str
    query: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A table of those with the most requests."""

    id: str
    title: str
    heading: str
    rows: Sequence[Row]
    remark: str = ""


def rankings_of(
    subject: Subject, totals: usage.Totals, *, period: Period, now: datetime, shown: Shown
) -> list[Ranking]:
    """Return the tables about *subject*; what is not *shown* has its public id there. Six queries at most."""
    since = period.since(now=now)
    is_of_all = not subject.filters
    if is_of_all and period.by == "day" and _are_too_many(since=since):
        since, remark = now - _DAY, _("Of the last 24 hours: of longer there are too many counts to rank.")
    else:
        remark = ""

    def most(by: usage.questions.Subject) -> list[usage.Top]:
        return usage.questions.top_by_id(by, since=since, until=now, most=_MOST, **subject.filters)

    def counted(found: usage.Top, named: Named | None = None) -> Row:
        return Row(
            label=found.name if named is None else named.label,
            url="" if named is None else f"?{urlencode({**named.query, 'period': period.code})}",
            requests=grouped(found.requests),
            denied=grouped(found.denied),
            is_code=named is None,
        )

    rankings = []
    if is_of_all:
        top = most("client")
        clients = _named_clients(top, shown.clients)
        rows = [counted(found, clients.get(found.name)) for found in top]
        title = _("Clients with most requests")
        rankings.append(Ranking(id="clients", title=title, heading=_("Client"), rows=rows, remark=remark))
    if subject.key is None:
        top = most("family")
        families = _named_families(top, shown.keys)
        rows = [counted(found, families.get(found.name)) for found in top]
        counting = _("A key and its replacements count as one.")
        remark = f"{counting} {remark}".strip()
        title = _("Keys with most requests")
        rankings.append(Ranking(id="keys", title=title, heading=_("Key"), rows=rows, remark=remark))
    rankings.append(_reasons(totals))
    if subject.filters:
        rows = [counted(found) for found in most("route")]
        rankings.append(Ranking(id="routes", title=_("What it called"), heading=_("Route"), rows=rows))
    if subject.key is not None:
        rows = [counted(found) for found in most("network")]
        remark = _("Networks are known of the last days only; then days are kept without them.")
        title = _("From where")
        rankings.append(Ranking(id="networks", title=title, heading=_("Network"), rows=rows, remark=remark))
    return rankings


def _named_clients(top: Sequence[usage.Top], shown: QuerySet[Client]) -> dict[str, Named]:
    rows = shown.filter(client_id__in=[found.name for found in top]).order_by().values_list("client_id", "name")
    return {client_id: Named(label=name, query={"client": client_id}) for client_id, name in rows}


def _named_families(top: Sequence[usage.Top], shown: QuerySet[APIKey]) -> dict[str, Named]:
    rows = shown.filter(family__in=[found.name for found in top]).order_by("pk")
    # The newest that is shown comes last, and stays.
    return {
        family: Named(label=name, query={"key": key_id})
        for family, key_id, name in rows.values_list("family", "key_id", "name")
    }


def _are_too_many(*, since: datetime) -> bool:
    """Whether ranking all keys since then would keep somebody waiting. Clients have fewer counts than keys."""
    counts = UsageCount.objects.filter(level=Level.KEY, grain__in=(Grain.HOUR, Grain.DAY), bucket__gte=since)
    return counts.order_by()[: _MOST_COUNTS + 1].count() > _MOST_COUNTS


def _reasons(totals: usage.Totals) -> Ranking:
    denied = sorted(
        ((count, outcome) for outcome, count in totals.by_outcome.items() if outcomes.is_denied(outcome)), reverse=True
    )
    rows = [Row(label=str(_REASONS.get(outcome, outcome)), denied=grouped(count)) for count, outcome in denied]
    return Ranking(id="reasons", title=_("Why requests were denied"), heading=_("Reason"), rows=rows)
