"""
Fills the demonstration: people, to-dos, clients, keys in every state, and their history.

All of it goes through ``keys`` and ``clients`` as it would in earnest. Only then is it moved into the past, because
neither lets anybody choose when a thing happened. No secret is kept.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from apikeys import clients, keys
from apikeys.models import (
    APIKey,
    Client,
    EventKind,
    KeyEvent,
    KeyNetwork,
    KeyRevocation,
    LastUse,
    QuotaLedger,
    RevocationReason,
    UsageCount,
)

from . import roles, seed_kept, seed_oauth, seed_usage, story
from .models import Todo

_RANDOM_SEED = 2014
_DAY = timedelta(days=1)
_SERVED_FOR = 60 * _DAY
#: Days from today, title, whether it is done.
TODOS: dict[str, tuple[tuple[int | None, str, bool], ...]] = {
    story.RICHARD.username: (
        (-9, "Write the press release nobody will read", True),
        (-4, "Fix the compression benchmark", False),
        (-2, "Return the ficus to the lobby", True),
        (-1, "Answer Hooli's lawyers", False),
        (0, "Call Monica", False),
        (0, "Explain middle-out to the new board", False),
        (0, "Merge tabs, never spaces", True),
        (3, "Prepare the demo for the investors", False),
        (5, "Rehearse looking people in the eye", False),
        (6, "Review the decompression patch", False),
        (7, "Renew the domain before somebody else does", False),
        (None, "Think about the new internet", False),
    ),
    story.DINESH.username: (
        (-6, "Apologise to the whole video chat team", True),
        (-3, "Refactor the video chat", False),
        (-1, "Wash the gold chain", True),
        (0, "Beat Gilfoyle's uptime", False),
        (0, "Find out who renamed my branch", False),
        (2, "Add a test for the leap second", False),
        (4, "Order a better chair than Gilfoyle's", False),
        (7, "Practise the acceptance speech", False),
        (None, "Learn Java, again", False),
    ),
}
_NOTES = (
    "In the vault of the build server.",
    "Moved to the new secret store.",
    "Checked at the quarterly review.",
    "Asked the owner: still needed.",
    "Used by the night job only.",
)


@dataclass(frozen=True, kw_only=True)
class SeededKey:
    """A key as it should look today."""

    app: story.App
    name: str
    #: User name; empty for a service key.
    owner: str = ""
    scopes: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    age: timedelta
    lifetime: timedelta = 90 * _DAY
    #: None for never.
    used_before: timedelta | None = None
    revoked_before: timedelta | None = None
    reason: RevocationReason = RevocationReason.UNNEEDED
    rotated_before: timedelta | None = None


def _key(app: story.App, name: str, **fields: Any) -> SeededKey:
    return SeededKey(app=app, name=name, **fields)


#: With the replacement of the one in overlap these are 14 keys, and every status.
KEYS = (
    _key(story.WEB, "Production", owner="richard", rates=("20/s",), age=39 * _DAY, used_before=timedelta(minutes=2)),
    _key(story.WEB, "Staging", owner="dinesh", age=86 * _DAY, used_before=timedelta(hours=3)),
    _key(story.WEB, "Old laptop", owner="richard", age=200 * _DAY, lifetime=365 * _DAY, used_before=120 * _DAY),
    _key(story.WEB, "Load test", owner="dinesh", age=30 * _DAY, used_before=4 * _DAY, revoked_before=3 * _DAY),
    _key(
        story.SUMMARISER,
        "Summariser nightly",
        owner="richard",
        age=60 * _DAY,
        used_before=timedelta(minutes=12),
        rotated_before=timedelta(hours=6),
    ),
    _key(story.SUMMARISER, "Prompt experiments", owner="dinesh", age=1 * _DAY),
    _key(
        story.SUMMARISER,
        "Demo for investors",
        owner="richard",
        age=33 * _DAY,
        lifetime=30 * _DAY,
        used_before=4 * _DAY,
    ),
    _key(story.WATCH, "Richard's watch", owner="richard", age=39 * _DAY, used_before=timedelta(minutes=12)),
    _key(story.WATCH, "Dinesh's watch", owner="dinesh", age=20 * _DAY, scopes=("todo:read",), used_before=5 * _DAY),
    _key(
        story.WATCH,
        "Erlich's watch",
        owner=story.FORMER,
        age=100 * _DAY,
        lifetime=365 * _DAY,
        used_before=30 * _DAY,
    ),
    _key(story.ANALYTICS, "Nightly numbers", age=50 * _DAY, lifetime=365 * _DAY, used_before=timedelta(hours=5)),
    _key(story.ANALYTICS, "Board deck", age=10 * _DAY, lifetime=30 * _DAY),
    _key(
        story.ANALYTICS,
        "Slides of the all-hands",
        age=45 * _DAY,
        used_before=21 * _DAY,
        revoked_before=20 * _DAY,
        reason=RevocationReason.LEAKED,
    ),
)


@transaction.atomic
def seed() -> None:
    """Add what is missing and bring the dates of the rest up to today. What visitors made stays as it is."""
    now = timezone.now()
    dice = random.Random(_RANDOM_SEED)  # noqa: S311  # the same story every time
    people = {person.username: _person(person) for person in story.PEOPLE}
    people[story.FORMER] = _former()
    roles.seed(people)
    by = people[story.GILFOYLE.username]
    _seed_todos(people, now=now)
    for server in story.SERVERS:
        _seed_server(server, by=by, now=now)
    for app in story.APPS:
        _seed_client(app, by=by, dice=dice, now=now)
        seed_oauth.register(app, by=by, now=now)
    seed_oauth.consent(people[story.DINESH.username], now=now)
    for seeded in KEYS:
        owner = people[seeded.owner] if seeded.owner else None
        _seed_key(seeded, owner=owner, by=by, dice=dice, now=now)
    seed_usage.seed(_seeded_keys(), now=now)
    people[story.FORMER].is_active = False
    people[story.FORMER].save(update_fields=["is_active"])


@transaction.atomic
def start_over() -> None:
    """
    Delete every to-do, key, client, consent and token, also those of visitors, and seed anew.

    People, their roles and sessions stay. So does what the processes beside this site come with: they are told it once.
    """
    credentials = seed_kept.credentials()
    seed_oauth.clear()
    for model in (Todo, UsageCount, LastUse, KeyNetwork, QuotaLedger):
        model._default_manager.all().delete()
    KeyEvent.objects.all().delete()
    KeyRevocation.objects.all().delete()
    APIKey.objects.update(replaces=None)
    APIKey.objects.all().delete()
    Client.objects.all().delete()
    seed()
    seed_kept.restore(credentials)


def _seeded_keys() -> list[APIKey]:
    """Return the keys of ``KEYS``. Their replacements have a family in common with them."""
    found = APIKey.objects.select_related("client").order_by("pk")
    return list(found.filter(name__in=[seeded.name for seeded in KEYS]).exclude(note=story.VISITOR_NOTE))


def _person(person: story.Person) -> Any:
    users = get_user_model()._default_manager
    found = users.filter(username=person.username).first()
    if found is not None:
        return found
    make = users.create_superuser if person.is_administrator else users.create_user
    return make(
        username=person.username,
        email=f"{person.username}@piedpiper.example",
        password=person.password,
        first_name=person.name,
    )


def _former() -> Any:
    users = get_user_model()._default_manager
    person, is_new = users.get_or_create(username=story.FORMER, defaults={"first_name": story.FORMER.capitalize()})
    if is_new:
        person.set_unusable_password()
    # Nobody gets a key who is disabled: that comes after the keys.
    person.is_active = True
    person.save()
    return person


def _seed_todos(people: dict[str, Any], *, now: datetime) -> None:
    today = timezone.localdate(now)
    for username, todos in TODOS.items():
        for days, title, is_done in todos:
            due_on = None if days is None else today + days * _DAY
            Todo.objects.update_or_create(
                owner=people[username],
                title=title,
                defaults={"due_on": due_on},
                create_defaults={"due_on": due_on, "is_done": is_done, "created_at": now - 10 * _DAY},
            )


def _seed_server(server: story.Server, *, by: Any, now: datetime) -> None:
    if Client.objects.filter(name=server.name).exists():
        return
    client = clients.create(
        name=server.name,
        # Its keys ask about other keys, and do nothing else.
        allowed_scopes=["apikeys:introspect"],
        description=server.description,
        owner=by,
        resource=server.resource,
        by=by,
    )
    Client.objects.filter(pk=client.pk).update(created_at=now - _SERVED_FOR)
    KeyEvent.objects.filter(client=client).update(at=now - _SERVED_FOR)


def _seed_client(app: story.App, *, by: Any, dice: random.Random, now: datetime) -> None:
    if Client.objects.filter(name=app.name).exists():
        return
    client = clients.create(
        name=app.name,
        allowed_scopes=app.scopes,
        kind=app.kind,
        description=app.description,
        contact="api@piedpiper.example",
        owner=by,
        allowed_networks=app.networks,
        rates=app.rates,
        quotas=app.quotas,
        audiences=[server.resource for server in story.SERVERS],
        by=by,
    )
    clients.set_claims(client, claims={"subscription": app.subscription}, by=by)
    Client.objects.filter(pk=client.pk).update(created_at=now - 300 * _DAY)
    _spread(KeyEvent.objects.filter(client=client), since=now - 300 * _DAY, until=now - 210 * _DAY, dice=dice)


def _seed_key(seeded: SeededKey, *, owner: Any, by: Any, dice: random.Random, now: datetime) -> None:
    client = story.client_of(seeded.app)
    key = APIKey.objects.filter(client=client, name=seeded.name, replaces=None).first()
    if key is None:
        key = _make(seeded, client=client, owner=owner, by=by, dice=dice)
        _spread(KeyEvent.objects.filter(key=key), since=now - seeded.age, until=now - seeded.age / 3, dice=dice)
        _end(key, seeded, by=by)
    _move_into_the_past(key, seeded, now=now)


def _make(seeded: SeededKey, *, client: Client, owner: Any, by: Any, dice: random.Random) -> APIKey:
    scopes = seeded.scopes or seeded.app.scopes
    issued = keys.issue(
        client,
        name=seeded.name,
        scopes=scopes,
        rates=seeded.rates,
        owner=owner,
        lifetime=seeded.lifetime,
        by=by,
        source="admin",
    )
    for note in dice.sample(_NOTES, k=dice.choice((2, 3))):
        keys.edit(issued.key, name=seeded.name, note=note, by=by, source="admin")
    return issued.key


def _end(key: APIKey, seeded: SeededKey, *, by: Any) -> None:
    if seeded.rotated_before is not None:
        keys.rotate(key, by=by, source="admin")
    if seeded.revoked_before is not None:
        keys.revoke(key, reason=seeded.reason, by=by, source="admin")


def _spread(events: Any, *, since: datetime, until: datetime, dice: random.Random) -> None:
    # The first is the beginning; the others follow in the order in which they were written.
    pks = list(events.order_by("pk").values_list("pk", flat=True))
    moments = [since, *sorted(since + dice.random() * (until - since) for _ in pks[1:])]
    for pk, at in zip(pks, moments, strict=True):
        KeyEvent.objects.filter(pk=pk).update(at=at)


def _move_into_the_past(key: APIKey, seeded: SeededKey, *, now: datetime) -> None:
    issued_at = now - seeded.age
    rows = APIKey.objects.filter(pk=key.pk)
    rows.update(
        created_at=issued_at,
        expires_at=issued_at + seeded.lifetime,
        last_used_at=None if seeded.used_before is None else now - seeded.used_before,
    )
    if seeded.age < seeded.lifetime:
        # It may have run out since it was last seeded.
        rows.update(end_recorded_at=None)
    if seeded.revoked_before is not None:
        revoked_at = now - seeded.revoked_before
        KeyRevocation.objects.filter(key=key).update(at=revoked_at)
        KeyEvent.objects.filter(key=key, kind=EventKind.REVOKED).update(at=revoked_at)
    if seeded.rotated_before is not None:
        rotated_at = now - seeded.rotated_before
        rows.update(overlap_ends_at=rotated_at + _DAY)
        replacements = APIKey.objects.filter(replaces=key)
        replacements.update(created_at=rotated_at, expires_at=rotated_at + seeded.lifetime)
        KeyEvent.objects.filter(key=key, kind=EventKind.ROTATED).update(at=rotated_at)
    key.refresh_from_db()
    if key.is_expired(now=now) and keys.expire(key):
        KeyEvent.objects.filter(key=key, kind=EventKind.EXPIRED).update(at=key.expires_at)
