"""
Which permissions are not needed, with the evidence.

Where the counts can't tell, nothing is called unused: a permission that is taken away by mistake is an outage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db.models import Max, Min
from django.utils import timezone

from ..core.batches import batches
from ..core.outcomes import SCOPES_UNSAID
from ..models import APIKey, Client
from . import evidence
from .evidence import Evidence

#: ``known``: the counts tell. ``too_young``: not enough time was counted. ``not_counted``: used without being counted,
#: as where ``UsageMiddleware`` is missing. ``not_used``: no request at all, so revoke it rather.
Verdict = Literal["known", "too_young", "not_counted", "not_used"]

DAYS = 90
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class ScopeNeed:
    """How much one granted scope was needed."""

    name: str
    requests: int
    #: None if no request needed it.
    last_needed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class KeyNeeds:
    """What one key is granted, and what its family needed of it."""

    key: APIKey
    #: Of the family, with a verified key.
    requests: int
    #: Since when its requests are known, at most *days* ago.
    counted_from: datetime
    verdict: Verdict
    #: One for each granted scope, in their order.
    needs: tuple[ScopeNeed, ...]

    @property
    def unused(self) -> tuple[str, ...]:
        """The granted scopes that no request needed. Empty where the counts can't tell."""
        if self.verdict != "known":
            return ()
        return tuple(need.name for need in self.needs if need.last_needed_at is None)

    @property
    def kept(self) -> tuple[str, ...]:
        """The granted scopes that are left without the unused."""
        return tuple(need.name for need in self.needs if need.name not in self.unused)


@dataclass(frozen=True, kw_only=True)
class CeilingNeeds:
    """What a client may hold, and what its keys needed of it."""

    client: Client
    requests: int
    counted_from: datetime
    verdict: Verdict
    needs: tuple[ScopeNeed, ...]
    #: What a working key is granted, needed or not.
    granted: frozenset[str]

    @property
    def unused(self) -> tuple[str, ...]:
        """What no request needed and no working key is granted. Empty where the counts can't tell."""
        if self.verdict != "known":
            return ()
        return tuple(need.name for need in self.needs if need.last_needed_at is None and need.name not in self.granted)

    @property
    def kept(self) -> tuple[str, ...]:
        """What is left without the unused."""
        return tuple(need.name for need in self.needs if need.name not in self.unused)


def unused_scopes(keys: Iterable[APIKey], *, days: int = DAYS, now: datetime | None = None) -> Iterator[KeyNeeds]:
    """
    Yield what each of *keys* needed in the last *days*, as the evidence about its whole family.

    Four queries, and two more for each 500 keys.
    """
    now = now or timezone.now()
    since = evidence.window_start(days=days, now=now)
    began = evidence.counting_began() or now
    for batch in batches(keys, size=_BATCH):
        families = {key.family for key in batch}
        lives = _lives(families)
        found = evidence.collected("family", families, since=since)
        for key in batch:
            first_issued_at, last_used_at = lives.get(key.family, (key.created_at, key.last_used_at))
            counted_from = max(since, began, first_issued_at)
            yield KeyNeeds(
                key=key,
                requests=found[key.family].requests.requests,
                counted_from=counted_from,
                verdict=_verdict(found[key.family], since=since, counted_from=counted_from, last_used_at=last_used_at),
                needs=_needs(key.scopes, found[key.family]),
            )


def unused_ceilings(
    clients: Iterable[Client], *, days: int = DAYS, now: datetime | None = None
) -> Iterator[CeilingNeeds]:
    """Yield what each of *clients* needed in the last *days*. Four queries, and three more for each 500 clients."""
    now = now or timezone.now()
    since = evidence.window_start(days=days, now=now)
    began = evidence.counting_began() or now
    for batch in batches(clients, size=_BATCH):
        found = evidence.collected("client_id", {client.client_id for client in batch}, since=since)
        used = dict(
            APIKey.objects.filter(client__in=batch).order_by().values_list("client_id").annotate(at=Max("last_used_at"))
        )
        granted: dict[int, set[str]] = {client.pk: set() for client in batch}
        working = APIKey.objects.filter(client__in=batch).working(now=now)
        for client_pk, scopes in working.values_list("client_id", "scopes").iterator():
            granted[client_pk].update(scopes)
        for client in batch:
            counted_from = max(since, began, client.created_at)
            of_it = found[client.client_id]
            yield CeilingNeeds(
                client=client,
                requests=of_it.requests.requests,
                counted_from=counted_from,
                verdict=_verdict(of_it, since=since, counted_from=counted_from, last_used_at=used.get(client.pk)),
                needs=_needs(client.allowed_scopes, of_it),
                granted=frozenset(granted[client.pk]),
            )


def unneeded_scopes(*, days: int = DAYS, now: datetime | None = None) -> list[str]:
    """Return what some client may hold and no request needed in the last *days*, in order; empty if nobody can tell."""
    since = evidence.window_start(days=days, now=now or timezone.now())
    began = evidence.counting_began()
    if began is None or began > since:
        return []
    found = evidence.collected_over_all(since=since)
    return sorted(name for name in _held() if found.of(name).last_at is None)


def unneeded_besides(needed: Collection[str], *, since: datetime) -> list[str] | None:
    """
    Return what some client may hold and no request since *since* needed: *needed* has what those that are summed did.

    None if nobody can tell. Three queries at most.
    """
    if SCOPES_UNSAID in needed or not evidence.reaches_back_to(since):
        return None
    if not (unneeded := _held().difference(needed)):
        return []
    waiting = evidence.needed_and_not_summed(since=since)
    return None if SCOPES_UNSAID in waiting else sorted(unneeded - waiting)


def _held() -> set[str]:
    """Return what some client may hold."""
    return {name for names in Client.objects.order_by().values_list("allowed_scopes", flat=True) for name in names}


def _lives(families: Iterable[str]) -> dict[str, tuple[datetime, datetime | None]]:
    """Return when each family was first issued and last used."""
    rows = APIKey.objects.filter(family__in=families).order_by().values_list("family")
    return {
        family: (issued, used) for family, issued, used in rows.annotate(i=Min("created_at"), u=Max("last_used_at"))
    }


def _verdict(found: Evidence, *, since: datetime, counted_from: datetime, last_used_at: datetime | None) -> Verdict:
    if not evidence.is_complete(found.requests, last_used_at=last_used_at, since=since):
        return "not_counted"
    if counted_from > since:
        return "too_young"
    return "known" if found.requests.requests else "not_used"


def _needs(scopes: Sequence[str], found: Evidence) -> tuple[ScopeNeed, ...]:
    needs = ((name, found.of(name)) for name in scopes)
    return tuple(ScopeNeed(name=name, requests=need.requests, last_needed_at=need.last_at) for name, need in needs)
