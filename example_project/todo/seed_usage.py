"""
Fills in what the seeded keys were used for in the last 90 days, where it was last, and what is spent of their quotas.

Nobody can wait 90 days for a chart. So this writes counts as the roll-up leaves them: days, and the hours of the last.
How many rows that are depends on nothing but the story, so that seeding again makes as many.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from apikeys.core import buckets
from apikeys.core.rates import Period, period_start
from apikeys.models import APIKey, Grain, LastUse, Level, QuotaLedger, UsageCount

_RANDOM_SEED = 1984
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_DAYS = 90
#: The hours that are kept as such, and the last day that is none of theirs entirely.
_HOURS = 24
_FIRST_DAY = _HOURS // 24
#: Days ago up to which ended keys were tried.
_TRIED_FOR = 2
#: Days ago, from and to, with an outage: few requests came through.
_DIP = (11, 9)
_SATURDAY = 5
#: What each sum keeps of a count, as the roll-up has it.
_SUMS = {
    Level.KEY: ("family", "key_id", "client_id", "outcome"),
    Level.CLIENT: ("client_id", "outcome"),
    Level.ALL: ("outcome", "scopes"),
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of request that an app makes."""

    #: Of a hundred requests, so many.
    percent: int
    route: str
    method: str = "GET"
    scopes: str = "todo:read"
    outcome: str = "ok"


@dataclass(frozen=True, kw_only=True)
class Habit:
    """What a key is used for."""

    per_day: int
    kinds: tuple[Kind, ...]
    address: str
    user_agent: str
    #: Codes of refusals, with how many there were on each of the last days.
    refused: Mapping[str, int] | None = None

    @property
    def network(self) -> str:
        """The network around the address, which is one for documentation."""
        return f"{self.address.rpartition('.')[0]}.0/24"


_LIST = Kind(percent=70, route="todo-list")
_READ = Kind(percent=18, route="todo-detail")
_WRITE = Kind(percent=10, route="todo-list", method="POST", scopes="todo:read todo:write")
_LOST = Kind(percent=2, route="todo-detail", outcome="404")

#: By the name of the key.
HABITS = {
    "Production": Habit(
        per_day=1200, kinds=(_LIST, _READ, _WRITE, _LOST), address="203.0.113.9", user_agent="piper-web/2.4"
    ),
    "Staging": Habit(
        per_day=240,
        kinds=(_LIST, _WRITE, Kind(percent=20, route="todo-detail", outcome="5xx")),
        address="203.0.113.40",
        user_agent="piper-web/2.5-rc1",
    ),
    "Load test": Habit(
        per_day=700,
        kinds=(_LIST, Kind(percent=30, route="todo-list", outcome="limited")),
        address="203.0.113.41",
        user_agent="hey/0.1.4",
        refused={"key_revoked": 90},
    ),
    "Summariser nightly": Habit(
        per_day=420,
        kinds=(_LIST, _READ, Kind(percent=12, route="todo-list", outcome="limited")),
        address="198.51.100.23",
        user_agent="hooli-summariser/0.9",
    ),
    "Demo for investors": Habit(
        per_day=30, kinds=(_LIST,), address="198.51.100.80", user_agent="curl/8.5", refused={"key_expired": 24}
    ),
    # It holds the permission to change to-dos and never needed it.
    "Richard's watch": Habit(
        per_day=96, kinds=(_LIST, Kind(percent=30, route="todo-detail")), address="192.0.2.77", user_agent="watchOS/13"
    ),
    # It tries what it may not.
    "Dinesh's watch": Habit(
        per_day=60,
        kinds=(
            Kind(percent=45, route="todo-list"),
            Kind(percent=55, route="todo-list", method="POST", scopes="todo:write", outcome="scope_missing"),
        ),
        address="192.0.2.78",
        user_agent="watchOS/13",
    ),
    "Erlich's watch": Habit(per_day=40, kinds=(_LIST,), address="192.0.2.79", user_agent="watchOS/11"),
    "Nightly numbers": Habit(
        per_day=24,
        kinds=(Kind(percent=100, route="usage", scopes="usage:read"),),
        address="127.0.0.1",
        user_agent="python-requests/2.32",
        refused={"ip_not_allowed": 6},
    ),
    "Slides of the all-hands": Habit(
        per_day=30,
        kinds=(Kind(percent=100, route="usage", scopes="usage:read"),),
        address="127.0.0.1",
        user_agent="LibreOffice",
        refused={"key_revoked": 3},
    ),
}
#: Credentials that nobody issued, a day.
_STRANGERS = {"key_invalid": 35, "key_malformed": 8}
#: By the client, how much of its keys' quota is spent.
_SPENT: dict[str, tuple[Period, int]] = {"LLM Summariser": ("month", 6240), "Analytics": ("day", 412)}


def seed(keys: Iterable[APIKey], *, now: datetime) -> None:
    """Write down the use of *keys*, which are the seeded ones, as it looks *now*. What visitors did stays."""
    chosen = list(keys)
    families = [key.family for key in chosen]
    dice = random.Random(_RANDOM_SEED)  # noqa: S311  # the same story every time
    rows = [row for key in chosen if key.name in HABITS for row in _rows_of(key, HABITS[key.name], dice=dice, now=now)]
    rows += _strangers(dice=dice, now=now)
    of_visitors = UsageCount.objects.filter(level__in=[Level.REQUEST, Level.REFUSAL]).exclude(
        family__in=["", *families]
    )
    kept = list(of_visitors.exclude(grain=Grain.RAW))
    UsageCount.objects.exclude(pk__in=of_visitors.values("pk")).delete()
    UsageCount.objects.bulk_create([*rows, *_summed([*rows, *kept])], batch_size=500)
    LastUse.objects.filter(key_id__in=[key.key_id for key in chosen]).delete()
    LastUse.objects.bulk_create(_last_uses(chosen))
    QuotaLedger.objects.filter(family__in=families).delete()
    QuotaLedger.objects.bulk_create(_ledgers(chosen, now=now))


def _rows_of(key: APIKey, habit: Habit, *, dice: random.Random, now: datetime) -> Iterator[UsageCount]:
    used_until = key.last_used_at
    if used_until is None:
        return
    for days_ago, grain, bucket, amount in _buckets(habit.per_day, dice=dice, now=now):
        if bucket + (_DAY if grain is Grain.DAY else _HOUR) > key.created_at and bucket <= used_until:
            for kind in habit.kinds:
                outcome = (
                    "5xx" if _is_dip(days_ago) and kind.outcome == "ok" and kind.method == "POST" else kind.outcome
                )
                yield UsageCount(
                    level=Level.REQUEST,
                    grain=grain,
                    bucket=bucket,
                    family=key.family,
                    key_id=key.key_id,
                    client_id=key.client.client_id,
                    route=kind.route,
                    method=kind.method,
                    outcome=outcome,
                    scopes=kind.scopes,
                    network=habit.network if grain is Grain.HOUR else "",
                    count=max(1, amount * kind.percent // 100),
                    last_at=min(bucket + timedelta(minutes=50), used_until),
                )
        if habit.refused and days_ago <= _TRIED_FOR and (grain is Grain.DAY or bucket.hour % 6 == 0):
            for code, a_day in habit.refused.items():
                count = a_day if grain is Grain.DAY else max(1, a_day // 4)
                yield _refusal(code, count, bucket=bucket, grain=grain, network=habit.network, key=key)


def _strangers(*, dice: random.Random, now: datetime) -> Iterator[UsageCount]:
    for _days_ago, grain, bucket, amount in _buckets(40, dice=dice, now=now):
        for code, a_day in _STRANGERS.items():
            count = max(1, amount * a_day // 40)
            yield _refusal(code, count, bucket=bucket, grain=grain, network="192.0.2.0/24")


def _buckets(per_day: int, *, dice: random.Random, now: datetime) -> Iterator[tuple[int, Grain, datetime, int]]:
    """Yield how many days ago, the grain, the beginning, and how many requests of *per_day* there were."""
    zone = timezone.get_default_timezone()
    # The last that is over: pages say until when is counted.
    last_hour = buckets.hour_start(now, zone=zone) - _HOUR
    first_hour = last_hour - (_HOURS - 1) * _HOUR
    local = timezone.localtime(now, zone)
    for days_ago in range(_DAYS - 1, _FIRST_DAY - 1, -1):
        start = buckets.day_start(local - days_ago * _DAY, zone=zone)
        share = 1.0 if days_ago > _FIRST_DAY else max((first_hour - start) / _DAY, 0.05)
        yield days_ago, Grain.DAY, start, round(_amount(per_day, days_ago, start.astimezone(zone), dice=dice) * share)
    every = max(1, 24 // per_day)
    for hours_ago in range(_HOURS - 1, -1, -1):
        start = last_hour - hours_ago * _HOUR
        amount = _amount(per_day, hours_ago // 24, start.astimezone(zone), dice=dice)
        if hours_ago % every == 0:
            yield hours_ago // 24, Grain.HOUR, start, max(1, round(amount * every / 24))


def _amount(per_day: int, days_ago: int, local: datetime, *, dice: random.Random) -> float:
    weekend = 0.45 if local.weekday() >= _SATURDAY else 1.0
    outage = 0.08 if _is_dip(days_ago) else 1.0
    growth = 1 - days_ago / (3 * _DAYS)
    return per_day * weekend * outage * growth * dice.uniform(0.85, 1.15)


def _is_dip(days_ago: int) -> bool:
    return _DIP[1] <= days_ago <= _DIP[0]


def _refusal(
    code: str, count: int, *, bucket: datetime, grain: Grain, network: str, key: APIKey | None = None
) -> UsageCount:
    return UsageCount(
        level=Level.REFUSAL,
        grain=grain,
        bucket=bucket,
        family="" if key is None else key.family,
        key_id="" if key is None else key.key_id,
        client_id="" if key is None else key.client.client_id,
        outcome=code,
        network=network if grain is Grain.HOUR else "",
        count=count,
        last_at=bucket,
    )


def _summed(rows: Iterable[UsageCount]) -> Iterator[UsageCount]:
    """Yield the sums of *rows* that pages read."""
    sums: Counter[tuple[Level, int, datetime, tuple[str, ...]]] = Counter()
    for row in rows:
        for level, kept in _SUMS.items():
            what = tuple(str(getattr(row, name)) for name in kept)
            if what[0]:
                sums[level, row.grain, row.bucket, what] += row.count
    for (level, grain, bucket, what), count in sums.items():
        said = dict(zip(_SUMS[level], what, strict=True))
        yield UsageCount(level=level, grain=grain, bucket=bucket, count=count, last_at=bucket, **said)


def _last_uses(keys: Iterable[APIKey]) -> Iterator[LastUse]:
    for key in keys:
        habit = HABITS.get(key.name)
        if habit is not None and key.last_used_at is not None:
            kind = habit.kinds[0]
            yield LastUse(
                key_id=key.key_id,
                at=key.last_used_at,
                address=habit.address,
                route=kind.route,
                method=kind.method,
                user_agent=habit.user_agent,
            )


def _ledgers(keys: Iterable[APIKey], *, now: datetime) -> Iterator[QuotaLedger]:
    local = timezone.localtime(now, timezone.get_default_timezone())
    for key in keys:
        # The replacement shares what the first key of the family has.
        if key.client.name in _SPENT and key.key_id == key.family and key.last_used_at is not None:
            period, taken = _SPENT[key.client.name]
            yield QuotaLedger(family=key.family, period=period, starts_at=period_start(period, now=local), taken=taken)
