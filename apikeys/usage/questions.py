"""
What was counted, in the words that pages, commands and answers need.

Without a family or client, only what ``rollup`` has summed is read, so that the answer costs the same at any traffic:
it stands as of ``counted_until()``. About one family or one client, what is not summed yet is added: the answer is as
fresh as the last flush. Either way each request is counted once, before, during and after a roll-up.

*since* and *until* are widened to whole hours of the project's time zone, and to whole days where only days are left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from ..core import buckets, outcomes
from ..models import APIKey, Client, Grain, LastUse, Level, UsageCount
from . import rollup

By = Literal["day", "hour"]
Subject = Literal["client", "family", "route", "network", "outcome"]

_SUMMED = (Grain.HOUR, Grain.DAY)
_COLUMNS = {"client": "client_id", "family": "family", "route": "route", "network": "network", "outcome": "outcome"}
#: ``outcomes.is_denied``, asked of rows. Statuses sort before words, whatever the collation.
_DENIED = Q(outcome__in=sorted(outcomes.DENYING_STATUSES)) | (
    Q(outcome__gte="a") & ~Q(outcome__in=[outcomes.OK, outcomes.UNCOUNTED])
)
_SUMS = {"requests": Sum("count"), "denied": Coalesce(Sum("count", filter=_DENIED), 0)}


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over a span of time."""

    #: All that was asked, denied and failed included.
    requests: int = 0
    #: Refused credentials, limited, scope missing, 401 and 403.
    denied: int = 0
    #: Answers from 500 on.
    failed: int = 0
    #: By ``ok``, ``limited``, ``scope_missing``, status such as ``404``, ``5xx``, or the code of a refusal.
    by_outcome: dict[str, int] = field(default_factory=dict)

    @property
    def allowed(self) -> int:
        """What was not denied."""
        return self.requests - self.denied

    @property
    def errors(self) -> int:
        """What was not denied and ended with another status of the 4xx, or failed."""
        answered = (self.by_outcome.get(outcome, 0) for outcome in (outcomes.OK, outcomes.UNCOUNTED))
        return self.allowed - sum(answered)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One hour or day of a series."""

    #: When it began, in the project's time zone.
    at: datetime
    allowed: int = 0
    denied: int = 0

    @property
    def requests(self) -> int:
        """All of them."""
        return self.allowed + self.denied


@dataclass(frozen=True, kw_only=True)
class Top:
    """One of those with the most requests."""

    #: The client id, family, route, network or outcome. Empty where it is not known.
    name: str
    #: For people: the name of the client or of the family's newest key; else *name*.
    label: str
    requests: int
    denied: int


def totals(*, since: datetime, until: datetime | None = None, family: str = "", client_id: str = "") -> Totals:
    """Return the sums from *since* to *until*. One query."""
    rows = _between(_sums_of(family=family, client_id=client_id), since=since, until=until)
    by_outcome = dict(rows.order_by().values_list("outcome").annotate(requests=Sum("count")))
    return totals_of(by_outcome)


def totals_of(by_outcome: Mapping[str, int]) -> Totals:
    """Return *by_outcome*, summed."""
    return Totals(
        requests=sum(by_outcome.values()),
        denied=sum(count for outcome, count in by_outcome.items() if outcomes.is_denied(outcome)),
        failed=sum(count for outcome, count in by_outcome.items() if outcomes.is_failed(outcome)),
        by_outcome=dict(by_outcome),
    )


def series(
    *, since: datetime, until: datetime | None = None, by: By = "day", family: str = "", client_id: str = ""
) -> list[Point]:
    """
    Return one point for each *by* from *since* to *until* (now), zeros too, oldest first. One query.

    Of hours longer ago than ``USAGE_HOURS_KEPT`` only the days are left, which stand at their first hour.
    """
    starts = _starts(since=since, until=until, by=by)
    rows = _between(_sums_of(family=family, client_id=client_id), since=starts[0], until=until)
    return _points(starts, rows.order_by().values_list("bucket").annotate(**_SUMS))


def series_of_families(
    families: Collection[str], *, since: datetime, until: datetime | None = None, by: By = "day"
) -> dict[str, list[Point]]:
    """Return the series of each of *families*, also where nothing was counted. One query for all."""
    starts = _starts(since=since, until=until, by=by)
    rows = _between(_fresh(Level.KEY, Q(family__in=families)), since=starts[0], until=until)
    found: dict[str, list[Any]] = {family: [] for family in families}
    for family, *counted in rows.order_by().values_list("family", "bucket").annotate(**_SUMS):
        found[family].append(counted)
    return {family: _points(starts, counted) for family, counted in found.items()}


def top(
    by: Subject,
    *,
    since: datetime,
    until: datetime | None = None,
    most: int = 10,
    family: str = "",
    client_id: str = "",
) -> list[Top]:
    """
    Return the *most* with the most requests, the most first. Two queries at most.

    Days know no networks: those are known for ``USAGE_HOURS_KEPT``. Refused credentials have no route.
    """
    found = top_by_id(by, since=since, until=until, most=most, family=family, client_id=client_id)
    labels = _labels(by, [each.name for each in found])
    return [replace(each, label=labels.get(each.name, each.name)) for each in found]


def top_by_id(
    by: Subject, *, since: datetime, until: datetime | None, most: int, family: str = "", client_id: str = ""
) -> list[Top]:
    """Return what ``top`` returns, for those who have labels of their own: its are the names. One query."""
    column = _COLUMNS[by]
    rows = _between(_rows_by(by, family=family, client_id=client_id), since=since, until=until).exclude(**{column: ""})
    counted: Any = rows.order_by().values_list(column).annotate(**_SUMS)
    return [
        Top(name=name, label=name, requests=requests, denied=denied)
        for name, requests, denied in counted.order_by("-requests", column)[:most]
    ]


def refusals(*, since: datetime, until: datetime | None = None) -> list[tuple[str, int]]:
    """Return why callers were denied, as outcome and count, the most frequent first. One query."""
    rows = _between(_sums_of(), since=since, until=until).filter(_DENIED)
    counted: Any = rows.order_by().values_list("outcome").annotate(**_SUMS)
    return [(outcome, requests) for outcome, requests, _denied in counted.order_by("-requests", "outcome")]


def last_use(key_id: str) -> LastUse | None:
    """Return when, from where and for what the key was last used; None if it is not known."""
    return LastUse.objects.filter(key_id=key_id).first()


def last_uses(key_ids: Iterable[str]) -> dict[str, LastUse]:
    """Return the last use of each of *key_ids* that has one. One query."""
    return LastUse.objects.in_bulk(list(key_ids))


def counted_until() -> datetime | None:
    """Return the end of the last hour with requests that was summed, in UTC; None if none was. Two queries at most."""
    zone = timezone.get_default_timezone()
    for grain, end in ((Grain.HOUR, buckets.hour_end), (Grain.DAY, buckets.day_end)):
        rows = UsageCount.objects.filter(level=Level.ALL, grain=grain).order_by("-bucket")
        if (last := rows.values_list("bucket", flat=True).first()) is not None:
            return end(last, zone=zone)
    return None


def is_recorded() -> bool:
    """Whether anything was ever counted that is still kept. One query."""
    return UsageCount.objects.exists()


def _sums_of(*, family: str = "", client_id: str = "") -> QuerySet[UsageCount]:
    if family:
        return _fresh(Level.KEY, Q(family=family, client_id=client_id) if client_id else Q(family=family))
    if client_id:
        return _fresh(Level.CLIENT, Q(client_id=client_id))
    return UsageCount.objects.filter(level=Level.ALL, grain__in=_SUMMED)


def _fresh(level: Level, whose: Q) -> QuerySet[UsageCount]:
    """Return the sums of *level*, and what is not in them yet."""
    summed = Q(level=level, grain__in=_SUMMED)
    counted = Q(level__in=(Level.REQUEST, Level.REFUSAL), grain=Grain.RAW)
    return UsageCount.objects.filter(whose, summed | counted)


def _rows_by(by: Subject, *, family: str, client_id: str) -> QuerySet[UsageCount]:
    whose = {name: value for name, value in (("family", family), ("client_id", client_id)) if value}
    if by in {"route", "network"}:
        levels = (Level.REQUEST,) if by == "route" else (Level.REQUEST, Level.REFUSAL)
        grains = tuple(Grain) if whose else _SUMMED
        return UsageCount.objects.filter(level__in=levels, grain__in=grains, **whose)
    if by == "family" or family:
        if whose:
            return _fresh(Level.KEY, Q(**whose))
        return UsageCount.objects.filter(level=Level.KEY, grain__in=_SUMMED)
    if by == "client" and not whose:
        return UsageCount.objects.filter(level=Level.CLIENT, grain__in=_SUMMED)
    return _sums_of(client_id=client_id)


def _between(rows: QuerySet[UsageCount], *, since: datetime, until: datetime | None) -> QuerySet[UsageCount]:
    rows = rows.filter(bucket__gte=_widened(since))
    return rows if until is None else rows.filter(bucket__lt=until)


def _widened(since: datetime) -> datetime:
    zone = timezone.get_default_timezone()
    hour = buckets.hour_start(since, zone=zone)
    # Before that, hours may have become days.
    return hour if hour >= rollup.days_end(timezone.now()) else buckets.day_start(since, zone=zone)


def _starts(*, since: datetime, until: datetime | None, by: By) -> list[datetime]:
    """Return when each hour or day begins, in UTC; at least one."""
    zone = timezone.get_default_timezone()
    first = _widened(since) if by == "hour" else buckets.day_start(since, zone=zone)
    return starts_from(first, until=until or timezone.now(), by=by)


def starts_from(first: datetime, *, until: datetime, by: By) -> list[datetime]:
    """Return *first*, which begins an hour or day, and when each after it begins until *until*, in UTC."""
    zone = timezone.get_default_timezone()
    following = buckets.hour_end if by == "hour" else buckets.day_end
    starts = [first]
    while (start := following(starts[-1], zone=zone)) < until:
        starts.append(start)
    return starts


def _points(starts: Sequence[datetime], counted: Iterable[Sequence[Any]]) -> list[Point]:
    requests, denied = [0] * len(starts), [0] * len(starts)
    for bucket, counted_requests, counted_denied in counted:
        # A refusal's bucket is its minute, and an hour is in its day.
        place = bisect_right(starts, bucket) - 1
        requests[place] += counted_requests
        denied[place] += counted_denied
    return [
        Point(at=timezone.localtime(start, timezone.get_default_timezone()), allowed=all_ - no, denied=no)
        for start, all_, no in zip(starts, requests, denied, strict=True)
    ]


def _labels(by: Subject, names: Sequence[str]) -> dict[str, str]:
    if by == "client":
        return dict(Client.objects.filter(client_id__in=names).values_list("client_id", "name"))
    if by == "family":
        # The newest comes last, and stays.
        return dict(APIKey.objects.filter(family__in=names).order_by("pk").values_list("family", "name"))
    return {}
