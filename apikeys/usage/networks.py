"""Where keys are used from, and what is told of it: new networks, and networks that guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from django.db import InterfaceError, OperationalError, router
from django.db.models import Count, QuerySet, Sum

from .. import events, signals
from ..conf import settings
from ..core.batches import batches
from ..core.memory import BoundedMemory
from ..counting import OTHER, Counts, RefusalKind, RequestKind, Tally
from ..models import APIKey, EventKind, Grain, KeyEvent, KeyNetwork, Level, UsageCount

#: Credentials that nobody issued, or nobody with their secret.
_GUESSES = frozenset({"key_invalid", "key_malformed"})
_MOST_SEEN = 100_000
_MOST_RAISED = 10_000
#: How many networks that guess are told of in an hour, one event each. Events are kept for good.
_MOST_GUESSING = 100
#: How many are kept for the next flush where the database takes none.
_MOST_UNWRITTEN = 100_000
_BATCH = 500

Pair = tuple[str, str]

#: Families and networks that are on record.
_seen: BoundedMemory[Pair, bool] = BoundedMemory()
#: Those that could not be recorded, each with the key that it was used with.
_unwritten: dict[Pair, tuple[str, Tally]] = {}
#: Alarms of guessing that are on record.
_raised: BoundedMemory[str, bool] = BoundedMemory()


def forget_all() -> None:
    """Have this process look up again what is on record."""
    _seen.clear()
    _unwritten.clear()
    _raised.clear()


def is_behind() -> bool:
    """Whether there are networks that could not be recorded yet."""
    return bool(_unwritten)


def note_networks(counts: Counts) -> None:
    """
    Record the networks that families were used from for the first time, one event each.

    A family that has filled its list moves about: from then on it gets one event in an hour. Where the database can't
    be reached, they are kept for the next time.
    """
    used = dict(_unwritten)
    _unwritten.clear()
    for kind, tally in counts.requests.items():
        request = RequestKind._make(kind)
        pair = (request.family, request.network)
        if all(pair) and _seen.get(pair) is None:
            used.setdefault(pair, (request.key_id, tally))
    for batch in batches(list(used), size=_BATCH):
        try:
            on_record = _on_record(batch)
            _record_networks({pair: used[pair] for pair in batch if pair not in on_record})
        except (InterfaceError, OperationalError):
            # No other fault: what the database can't store would hold up all others for good.
            _unwritten.update(islice(used.items(), _MOST_UNWRITTEN))
            raise
        for pair in batch:
            _seen.put(pair, value=True, most=_MOST_SEEN)
            del used[pair]


def note_guessing(counts: Counts) -> None:
    """Record the networks whose wrong keys of one minute, of all processes, are as many as the setting says."""
    minutes = {kind.minute for kind in map(RefusalKind._make, counts.refusals) if kind.code in _GUESSES}
    if not minutes:
        return
    totals = (
        UsageCount.objects.using(router.db_for_write(UsageCount))
        .filter(level=Level.REFUSAL, grain=Grain.RAW, bucket__in=minutes, outcome__in=_GUESSES)
        .values("bucket", "network")
        .annotate(total=Sum("count"))
        .filter(total__gte=settings.GUESSES_PER_NETWORK_PER_MINUTE)
        .order_by("bucket")
    )
    for row in totals:
        _record_guessing(row["network"], minute=row["bucket"], count=row["total"])


def _on_record(pairs: Sequence[Pair]) -> set[Pair]:
    found = _networks().filter(family__in={family for family, _ in pairs}, network__in={name for _, name in pairs})
    return set(found.values_list("family", "network"))


def _record_networks(new: Mapping[Pair, tuple[str, Tally]]) -> None:
    if not new:
        return
    held = _networks().filter(family__in={family for family, _ in new})
    sizes = dict(held.values("family").annotate(size=Count("pk")).values_list("family", "size"))
    keys = APIKey.objects.using(router.db_for_write(APIKey)).select_related("client")
    by_id = {key.key_id: key for key in keys.filter(key_id__in={key_id for key_id, _ in new.values()})}
    by_family: defaultdict[str, list[tuple[str, str, Tally]]] = defaultdict(list)
    for (family, network), (key_id, tally) in new.items():
        by_family[family].append((network, key_id, tally))
    most = settings.NETWORKS_PER_KEY
    for family, found in by_family.items():
        size = sizes.get(family, 0)
        # One beyond those that there is room for stands for all the others: a client with thousands of networks must
        # not cost thousands of queries.
        for place, (network, key_id, tally) in enumerate(found[: max(most - size, 0) + 1]):
            if key_id in by_id:
                _tell_network(by_id[key_id], network, tally, size=size + place)
    _networks().bulk_create(
        [
            KeyNetwork(family=family, network=network, first_seen_at=tally.last_at)
            for family, found in by_family.items()
            for network, _key_id, tally in found[-most:]
        ],
        batch_size=_BATCH,
        ignore_conflicts=True,
    )
    for family, found in by_family.items():
        if sizes.get(family, 0) + len(found) > most:
            _forget_oldest(family)


def _tell_network(key: APIKey, network: str, tally: Tally, *, size: int) -> None:
    is_full = size >= settings.NETWORKS_PER_KEY
    # Before the network itself: where this process ends between the two, the next one comes here again.
    events.record_first(
        EventKind.NEW_NETWORK,
        once=f"network:{key.family}:{tally.last_at:%Y%m%d%H}" if is_full else f"network:{key.family}:{network}",
        at=tally.last_at,
        key=key,
        address=None if tally.address is None else str(tally.address),
        details={"network": network, **({"is_first": True} if size == 0 else {})},
        signal=signals.key_used_from_new_network,
        network=network,
    )


def _forget_oldest(family: str) -> None:
    kept = settings.NETWORKS_PER_KEY
    by_age = _networks().filter(family=family).order_by("-first_seen_at", "-pk")
    _networks().filter(pk__in=list(by_age.values_list("pk", flat=True)[kept:])).delete()


def _record_guessing(network: str, *, minute: datetime, count: int) -> None:
    hour = f"guessing:{minute:%Y%m%d%H}:"
    once = f"{hour}{network}"
    if _raised.get(once) is None:
        told = KeyEvent.objects.using(router.db_for_write(KeyEvent)).filter(once__startswith=hour)
        if network != OTHER and told.exclude(once=once)[:_MOST_GUESSING].count() == _MOST_GUESSING:
            # Whoever has that many has many more: all of those are told once.
            _record_guessing(OTHER, minute=minute, count=count)
        else:
            events.record_first(
                EventKind.GUESSING,
                once=once,
                at=minute,
                details={"network": network, "count": count, "minute": minute.isoformat()},
            )
        _raised.put(once, value=True, most=_MOST_RAISED)


def _networks() -> QuerySet[KeyNetwork]:
    return KeyNetwork.objects.using(router.db_for_write(KeyNetwork))
