"""The rows that a change locks. The order is: older key, newer key, client, people."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections, router

from ..models import APIKey, Client, KeyRevocation


def locked(key: APIKey) -> APIKey:
    """Return *key* as it is now, locked until the transaction ends."""
    return APIKey.objects.using(database()).select_for_update().get(pk=key.pk)


def client_of(key: APIKey) -> Client:
    """Return the client of *key* as the writers see it; loaded when touched, it may come from a replica."""
    return Client.objects.using(database()).get(pk=key.client_id)


def locked_client(client: Client) -> Client:
    """Return *client* as it is now, locked until the transaction ends."""
    return Client.objects.using(database()).select_for_update().get(pk=client.pk)


def unseen_successors(key: APIKey, *, current: APIKey) -> Iterator[APIKey]:
    """Yield the replacements, locked, of which the caller's *key* did not know when it was read."""
    if key.overlap_ends_at is not None or current.overlap_ends_at is None:
        return
    successor = APIKey.objects.using(database()).filter(replaces=current).first()
    while successor is not None:
        yield locked(successor)
        successor = APIKey.objects.using(database()).filter(replaces=successor).first()


def locked_family(key: APIKey) -> list[APIKey]:
    """Return all keys of the family of *key* as they are now, locked, oldest first."""
    family = APIKey.objects.using(database()).filter(family=key.family).order_by("pk")
    # Not against what merely refers to the rows: events of requests with these keys need not wait.
    no_key = connections[database()].features.has_select_for_no_key_update
    found: list[APIKey] = []
    while True:
        known = len(found)
        found = list(family.select_for_update(no_key=no_key))
        # A rotation that held the newest key until now made another, with the limits as they were.
        if len(found) == known:
            return found


def is_revoked(key: APIKey) -> bool:
    """Whether *key* is revoked now, whatever the instance says."""
    return KeyRevocation.objects.using(database()).filter(key=key).exists()


def database() -> str:
    """Return the alias of the database that keys are written to."""
    return router.db_for_write(APIKey)
