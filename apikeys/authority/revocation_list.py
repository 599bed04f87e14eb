"""
What API servers are told of tokens that must not count any longer.

Read off the events, which are written in the transaction of their change, and off who is deactivated now. What is told
is the state of this moment, so that nobody compares clocks: an event only says of what the state may be another one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import router
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from ..compiled import column
from ..conf import settings
from ..models import EventKind, KeyEvent
from ..signed.revocations import Entry, RevocationList
from . import outstanding
from .issuer import issuer
from .subjects import subject_of_person

#: After these, something may be true of a key, a client or a token that its tokens don't say.
_TOLD = (
    EventKind.REVOKED,
    EventKind.ROTATED,
    EventKind.OVERLAP_STARTED,
    # Of the older key, which has its end back. The one that nobody saw is revoked.
    EventKind.UNDELIVERED,
    EventKind.NARROWED,
    EventKind.CLIENT_DISABLED,
    EventKind.CLIENT_ENABLED,
    EventKind.CLIENT_EDITED,
    EventKind.CEILING_SET,
    EventKind.TOKEN_REVOKED,
)
_ENDS = frozenset({EventKind.ROTATED, EventKind.OVERLAP_STARTED, EventKind.UNDELIVERED})
_SWITCHES = frozenset({EventKind.CLIENT_DISABLED, EventKind.CLIENT_ENABLED, EventKind.CLIENT_EDITED})
_COLUMNS = (
    "pk",
    "kind",
    "at",
    "details",
    "client__client_id",
    "client__is_active",
    "client__allowed_scopes",
    "client__allowed_networks",
    "client__audiences",
    "key__key_id",
    "key__scopes",
    "key__expires_at",
    "key__overlap_ends_at",
)


class _Event(NamedTuple):
    """An event, with the client and the key as they are now; in the order of ``_COLUMNS``."""

    sequence: int
    kind: str
    at: datetime
    details: dict[str, Any]
    client_id: str
    is_active: bool
    ceiling: list[str]
    networks: list[str] | None
    audiences: list[str]
    #: None where it is about the client.
    key_id: str | None
    scopes: list[str] | None
    expires_at: datetime | None
    overlap_ends_at: datetime | None

    def changed(self, name: str) -> bool:
        """Whether it changed the field *name* of the client."""
        return name in self.details.get("changed", ())

    def ends_telling(self, audience: str) -> bool:
        """Whether it took *audience* from those that may know the client's keys."""
        return self.kind == EventKind.CLIENT_EDITED and audience in self.details.get("old_audiences", ())


def build(*, audience: str, since: int, now: datetime) -> RevocationList:
    """Return what became true after the sequence *since* of tokens for the API server *audience*. Five queries."""
    window = longest_use(now=now)
    # A sequence that this database never came to is of one before a backup was restored: then all is told, and
    # ``next`` is one of this database again.
    behind = 0 if since > _newest() else since
    events = _events(audience=audience, since=behind, after=now - window, now=now)
    # A server that was told of a client until lately holds tokens of it: it is told on until these have ended.
    lately = {event.client_id for event in events if event.ends_telling(audience)}
    told = [
        event
        for event in events
        if event.sequence > behind and (audience in event.audiences or event.client_id in lately)
    ]
    owners, keys = _without_person(audience=audience, now=now)
    return RevocationList(
        issuer=issuer(),
        audience=audience,
        issued_at=_seconds(now),
        since=since,
        next=_next(since=behind, after=now - window, now=now),
        window_seconds=math.ceil(window.total_seconds()),
        entries=tuple(_latest(entry for event in told for entry in _entries(event, audience=audience))),
        owners=owners,
        keys=keys,
    )


def longest_use(*, now: datetime) -> timedelta:
    """Return how long it takes from an event until no token is in use that it concerns. One query."""
    # A setting that was lowered does not shorten the life of tokens that are under way.
    longest = max(settings.SIGNED_TOKEN_LIFETIME, outstanding.longest_lifetime(now=now))
    return longest + settings.CLOCK_LEEWAY + settings.REVOCATIONS_OVERLAP


def _newest() -> int:
    return _all_events().order_by("-pk").values_list("pk", flat=True).first() or 0


def _told_events(*, after: datetime) -> QuerySet[KeyEvent]:
    return _all_events().filter(kind__in=_TOLD, at__gt=after, client__isnull=False)


def _events(*, audience: str, since: int, after: datetime, now: datetime) -> list[_Event]:
    """
    Return the events of *after* and later, in their sequence: those behind *since*, and who was told before.

    Those that certainly don't concern *audience* are left to the database: there may be as many as there are keys.
    """
    told = _told_events(after=after)
    edited = Q(kind=EventKind.CLIENT_EDITED)
    # As text first; it may be the beginning of another address.
    may_be_told = Q(client__audiences__contains=audience) | Q(client__in=told.filter(edited).values("client"))
    # Nobody has a token of another key; who gets one gets what is true.
    in_use = Exists(outstanding.in_use(now=now).filter(pk=OuterRef("key_id")))
    given_up = Q(kind=EventKind.TOKEN_REVOKED)
    concerns = Q(key__isnull=True) | (given_up & Q(details__aud=audience)) | (~given_up & Q(in_use))
    events = told.filter(Q(pk__gt=since) | edited, may_be_told, concerns)
    # Sorted here: in the order of their primary keys a database may read all that there ever were.
    return sorted(map(_Event._make, events.order_by().values_list(*_COLUMNS)))


def _next(*, since: int, after: datetime, now: datetime) -> int:
    """
    Return the sequence to ask for next: none that a transaction may still commit is below it.

    Sequences are given when an event is written, and seen when its transaction commits. What is younger than the
    overlap is told again, and with it whatever commits meanwhile.
    """
    settled = _told_events(after=after).filter(pk__gt=since, at__lte=now - settings.REVOCATIONS_OVERLAP)
    return settled.aggregate(newest=Max("pk"))["newest"] or since


def _entries(event: _Event, *, audience: str) -> Iterator[Entry]:
    """Yield what *event* may have made true, as it is now."""
    if event.kind == EventKind.TOKEN_REVOKED:
        yield _entry(event, "token", str(event.details.get("jti", "")))
    elif event.key_id is not None:
        yield from _entries_of_key(event, key_id=event.key_id)
    elif event.kind in _SWITCHES:
        if event.kind != EventKind.CLIENT_EDITED or event.changed("audiences"):
            yield _entry(event, "client", event.client_id, event.is_active and audience in event.audiences)
        if event.changed("allowed_networks"):
            yield _entry(event, "client_networks", event.client_id, event.networks)
    elif event.kind == EventKind.CEILING_SET:
        yield _entry(event, "client_scopes", event.client_id, event.ceiling)


def _entries_of_key(event: _Event, *, key_id: str) -> Iterator[Entry]:
    if event.kind == EventKind.REVOKED:
        yield _entry(event, "key", key_id)
    elif event.kind in _ENDS:
        ends = [end for end in (event.expires_at, event.overlap_ends_at) if end is not None]
        yield _entry(event, "key_until", key_id, _seconds(min(ends)) if ends else None)
    elif event.kind == EventKind.NARROWED:
        yield _entry(event, "key_scopes", key_id, event.scopes)


def _entry(event: _Event, kind: str, subject: str, value: Any = None) -> Entry:
    return Entry(sequence=event.sequence, at=_seconds(event.at), kind=kind, subject=subject, value=value)


def _latest(entries: Iterable[Entry]) -> Collection[Entry]:
    """Return of *entries*, earliest first, the latest of each subject. All of them say what is true now."""
    latest: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        latest.pop((entry.kind, entry.subject), None)
        latest[entry.kind, entry.subject] = entry
    return latest.values()


def _without_person(*, audience: str, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ``sub`` of people who are deactivated now, and the keys whose people are gone, of tokens in use."""
    rows = outstanding.in_use(now=now).filter(key__acts_for_user=True)
    is_active = column(get_user_model(), "is_active")
    if is_active is not None:
        rows = rows.exclude(**{f"key__owner__{is_active}": True})
    columns: Iterable[tuple[str, Any, list[str]]] = rows.values_list(
        "key__key_id", "key__owner", "key__client__audiences"
    )
    found = [(key_id, owner_pk) for key_id, owner_pk, audiences in columns if audience in audiences]
    people = {owner_pk for _key_id, owner_pk in found if owner_pk is not None}
    if is_active is None:
        people = _inactive(people)
    keys = [key_id for key_id, owner_pk in found if owner_pk is None]
    return tuple(sorted(map(subject_of_person, people))), tuple(sorted(keys))


def _inactive(pks: Collection[Any]) -> set[Any]:
    """Return those of *pks* who may not act, where the user model has no column for it and says so by itself."""
    people = get_user_model()._base_manager.using(_database()).filter(pk__in=pks)
    return {person.pk for person in people.iterator() if not person.is_active}


def _seconds(instant: datetime) -> int:
    return math.floor(instant.timestamp())


def _all_events() -> QuerySet[KeyEvent]:
    return KeyEvent.objects.using(_database())


def _database() -> str:
    # Where they are written: what a replica has not seen yet would be missed for good.
    return router.db_for_write(KeyEvent)
