"""
What this process has counted and not written yet.

A request adds one here, under a lock that nothing slow is done with; ``usage.flushing`` takes it all away every few
seconds. Nothing here runs a query, and nothing here can fail a request. Where the app is not installed nobody takes
anything away, and nothing is counted.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from django.core.signals import setting_changed
from django.utils import timezone

from .conf import settings
from .core.buckets import hour_start
from .core.calls import Call
from .core.forks import after_fork
from .core.networks import Address, network_around
from .core.outcomes import SCOPES_UNSAID

logger = logging.getLogger("apikeys.usage")

#: The network of what is not counted apart.
OTHER = "other"
#: How many networks the refusals of a minute are written for in one flush, those with the most; the rest is ``OTHER``.
MOST_NETWORKS = 1_000
#: How many are told apart in memory until then. The rest of a flood is ``OTHER`` at once.
_MOST_NETWORKS_HELD = 10_000
#: How many different counts are held while the database takes none. From here on requests are counted without route
#: and network, from twice as many on without key: no request is left out.
MOST_ROWS = 100_000
_REQUEST_IPV6_BITS = 48
_REFUSAL_IPV6_BITS = 64
_MINUTE = timedelta(minutes=1)


class Database(NamedTuple):
    """A database, by its alias and its name."""

    alias: str
    name: str


class RequestKind(NamedTuple):
    """What requests have in common that are counted together."""

    hour: datetime
    family: str
    key_id: str
    client_id: str
    route: str
    method: str
    outcome: str
    #: Those needed, in order, with spaces between them.
    scopes: str
    network: str


class RefusalKind(NamedTuple):
    """What refusals have in common that are counted together."""

    minute: datetime
    code: str
    #: Empty where neither a right tag nor the look-up named a key.
    family: str
    key_id: str
    client_id: str
    network: str


#: ``RequestKind`` and ``RefusalKind`` as the plain tuples that they equal: those are made in half the time.
_Request = tuple[datetime, str, str, str, str, str, str, str, str]
_Refusal = tuple[datetime, str, str, str, str, str]


class Tally:
    """How many there were of a kind, and when and from where the last came."""

    __slots__ = ("address", "count", "last_at")

    def __init__(self, *, at: datetime, address: Address | None = None) -> None:
        self.count = 0
        self.last_at = at
        self.address = address


class Use:
    """When a key was first used since the last flush, and its last use."""

    __slots__ = ("address", "at", "first_at", "method", "route", "user_agent")

    def __init__(self, *, at: datetime) -> None:
        self.first_at = self.at = at
        self.address: Address | None = None
        self.route = self.method = self.user_agent = ""


@dataclass(eq=False, kw_only=True)
class Counts:
    """What was counted since the last flush."""

    requests: dict[_Request, Tally] = field(default_factory=dict)
    refusals: dict[_Refusal, Tally] = field(default_factory=dict)
    #: By key id.
    uses: dict[str, Use] = field(default_factory=dict)
    #: The one that the router chose when the first of it was counted.
    database: Database | None = None

    def __len__(self) -> int:
        return len(self.requests) + len(self.refusals)

    def total(self) -> int:
        """Return how many requests and refusals these are."""
        return sum(tally.count for kinds in (self.requests, self.refusals) for tally in kinds.values())


class Flusher(Protocol):
    """Who takes the counts away."""

    def start(self) -> bool:
        """See to it that this process flushes, and return whether it does: if not, this is called again."""

    def wake(self) -> None:
        """Flush soon: memory fills up."""

    def database(self) -> Database:
        """Return the database that counts are written to now."""


class _Buffer:
    """What a process holds. A child of a fork starts with one of its own, or both would write what is in it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts = Counts()
        #: The networks that refusals came from in the minute *networks_of*.
        self.networks: set[str] = set()
        self.networks_of: datetime | None = None
        #: Whether the flusher was told that this process counts.
        self.is_watched = False


class _Span(NamedTuple):
    """A minute, and the hour that it is in: the next minute may be in another, wherever a time zone has it."""

    minute: datetime
    end: datetime
    hour: datetime


_buffer = _Buffer()
_span: _Span | None = None
_flusher: Flusher | None = None
_after_flush: list[Callable[[], None]] = []
_at_shutdown: list[Callable[[], None]] = []


def count_call(call: Call, *, route: str, method: str, outcome: str, user_agent: str, now: datetime) -> None:
    """Count the request of *call*, which was answered."""
    if _flusher is None:
        # An API server without the app: nobody would ever take the counts away.
        return
    principal, address = call.principal, call.address
    key_id = principal.key_id
    kind = (
        _span_of(now).hour,
        principal.family,
        key_id,
        principal.client_id,
        route,
        method,
        outcome,
        " ".join(sorted(call.scopes)) if call.scopes else "",
        network_around(address, ipv6_bits=_REQUEST_IPV6_BITS),
    )
    buffer = _buffer
    with buffer.lock:
        tally = buffer.counts.requests.get(kind) or _new_request(buffer.counts, kind, at=now)
        tally.count += 1
        tally.last_at = now
        tally.address = address
        use = buffer.counts.uses.get(key_id) or _new_use(buffer.counts, key_id, at=now)
        # Threads come here in another order than they looked at the clock.
        if now >= use.at:
            use.at = now
            use.address = address
            use.route = route
            use.method = method
            use.user_agent = user_agent
    if not buffer.is_watched:
        keep_flushing()


def count_refusal(
    code: str, *, address: Address | None, now: datetime, key_id: str = "", family: str = "", client_id: str = ""
) -> None:
    """Count a credential that was refused with *code*. A key is named only where a right tag or the look-up did."""
    if _flusher is None:
        return
    minute = _span_of(now).minute
    network = network_around(address, ipv6_bits=_REFUSAL_IPV6_BITS)
    buffer = _buffer
    with buffer.lock:
        if minute is not buffer.networks_of or network not in buffer.networks:
            network = _admitted(buffer, network, minute=minute)
        kind = (minute, code, family, key_id, client_id, network)
        tally = buffer.counts.refusals.get(kind) or _new_refusal(buffer.counts, kind, at=now)
        tally.count += 1
        tally.last_at = now
    if not buffer.is_watched:
        keep_flushing()


def take() -> Counts:
    """Return what was counted, and start anew."""
    buffer = _buffer
    with buffer.lock:
        counts, buffer.counts = buffer.counts, Counts()
    _sum_small_networks(counts)
    return counts


def put_back(counts: Counts) -> None:
    """Keep *counts*, which could not be written and the caller gives away, together with what was counted meanwhile."""
    buffer = _buffer
    with buffer.lock:
        meanwhile = buffer.counts
        # Into the older ones: after an hour without a database they are many, and every request waits for this lock.
        buffer.counts = counts
        for request, tally in meanwhile.requests.items():
            _add(counts.requests.get(request) or _new_request(counts, request, at=tally.last_at), tally)
        for refusal, tally in meanwhile.refusals.items():
            _add(counts.refusals.get(refusal) or _new_refusal(counts, refusal, at=tally.last_at), tally)
        for key_id, use in meanwhile.uses.items():
            earlier = counts.uses.get(key_id)
            if earlier is not None:
                use.first_at = min(earlier.first_at, use.first_at)
            if earlier is not None or len(counts.uses) < MOST_ROWS:
                counts.uses[key_id] = use


def start_anew() -> None:
    """Forget what was counted."""
    global _buffer  # noqa: PLW0603  # after a fork it is the parent's, whose lock another thread may have held
    _buffer = _Buffer()


def use_flusher(flusher: Flusher) -> None:
    """Have *flusher* take the counts of this process, and of its children after a fork."""
    global _flusher  # noqa: PLW0603  # there is one, set when the app is ready
    _flusher = flusher


def keep_flushing() -> None:
    """See to it that this process flushes, though it may count nothing: for what is done ``every_flush``."""
    buffer = _buffer
    if _flusher is not None and not buffer.is_watched:
        buffer.is_watched = _flusher.start()


def watch_again() -> None:
    """Have the next request see to it that this process flushes: who did it has ended."""
    _buffer.is_watched = False


def every_flush(callback: Callable[[], None]) -> None:
    """Call *callback* after each flush, in the thread that flushes."""
    if callback not in _after_flush:
        _after_flush.append(callback)


def at_shutdown(callback: Callable[[], None]) -> None:
    """Call *callback* once when the process ends, after its last flush."""
    if callback not in _at_shutdown:
        _at_shutdown.append(callback)


def flushed() -> None:
    """Call what asked for ``every_flush``."""
    _call(_after_flush)


def shut_down() -> None:
    """Call what asked for ``at_shutdown``."""
    _call(_at_shutdown)


def _call(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            # Whatever it was: it must cost neither the next one nor the thread that flushes.
            logger.exception("a task of the usage flush failed")


def _span_of(now: datetime) -> _Span:
    global _span  # noqa: PLW0603  # two comparisons for each request, instead of a time zone's arithmetic
    span = _span
    if span is None or not span.minute <= now < span.end:
        minute = now.replace(second=0, microsecond=0)
        hour = hour_start(minute, zone=timezone.get_default_timezone())
        span = _span = _Span(minute=minute, end=minute + _MINUTE, hour=hour)
    return span


def _new_request(counts: Counts, kind: _Request, *, at: datetime) -> Tally:
    if len(counts.requests) >= MOST_ROWS:
        whole = RequestKind(*kind)
        kind = whole._replace(route="", network="")
        if len(counts.requests) >= 2 * MOST_ROWS and kind not in counts.requests:
            kind = RequestKind(whole.hour, "", "", "", "", "", whole.outcome, SCOPES_UNSAID, "")
    tally = counts.requests.get(kind)
    if tally is None:
        tally = counts.requests[kind] = Tally(at=at)
        _note_growth(counts)
    return tally


def _new_refusal(counts: Counts, kind: _Refusal, *, at: datetime) -> Tally:
    if len(counts.refusals) >= MOST_ROWS:
        whole = RefusalKind(*kind)
        kind = RefusalKind(whole.minute, whole.code, "", "", "", OTHER)
    tally = counts.refusals.get(kind)
    if tally is None:
        tally = counts.refusals[kind] = Tally(at=at)
        _note_growth(counts)
    return tally


def _new_use(counts: Counts, key_id: str, *, at: datetime) -> Use:
    use = Use(at=at)
    # A credential that is no key has no id; and memory has an end.
    if key_id and len(counts.uses) < MOST_ROWS:
        counts.uses[key_id] = use
    return use


def _note_growth(counts: Counts) -> None:
    if _flusher is None:
        return
    if counts.database is None:
        counts.database = _flusher.database()
    if len(counts) >= settings.USAGE_FLUSH_ROWS:
        _flusher.wake()


def _add(total: Tally, more: Tally) -> None:
    total.count += more.count
    if more.last_at >= total.last_at:
        total.last_at = more.last_at
        total.address = more.address or total.address


def _admitted(buffer: _Buffer, network: str, *, minute: datetime) -> str:
    """Return *network*, or ``OTHER`` where too many others came in this *minute*."""
    if minute != buffer.networks_of:
        buffer.networks = set()
    buffer.networks_of = minute
    if len(buffer.networks) >= _MOST_NETWORKS_HELD and network not in buffer.networks:
        return OTHER
    buffer.networks.add(network)
    return network


def _sum_small_networks(counts: Counts) -> None:
    """Count the refusals of networks beyond the largest ``MOST_NETWORKS`` of each minute as from ``OTHER``."""
    if len(counts.refusals) <= MOST_NETWORKS:
        return
    sizes: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for kind, tally in counts.refusals.items():
        sizes[kind[0]][kind[-1]] += tally.count
    large = {minute: {name for name, _ in size.most_common(MOST_NETWORKS)} for minute, size in sizes.items()}
    refusals: dict[_Refusal, Tally] = {}
    for kind, tally in counts.refusals.items():
        into = kind if kind[-1] in large[kind[0]] else (*kind[:-1], OTHER)
        _add(refusals.setdefault(into, Tally(at=tally.last_at)), tally)
    counts.refusals = refusals


def _forget_span(*, setting: str, **kwargs: object) -> None:
    global _span  # noqa: PLW0603  # made with the time zone of before
    if setting == "TIME_ZONE":
        _span = None


after_fork(start_anew)
setting_changed.connect(_forget_span, dispatch_uid="apikeys.counting")
