"""Rows of keys that nobody holds: what is tested costs more than making them should."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apikeys.models import APIKey
from tests.factories import ClientFactory


def insert_keys(count, **fields):
    """Return *count* service keys named ``Key 0``, ``Key 1``, … of one client, issued ten days ago for thirty."""
    client = fields.pop("client", None) or ClientFactory()
    rows = {
        "mode": "live",
        "verifier": "argon2id$",
        "client": client,
        "acts_for_user": False,
        "scopes": ["todo:read", "todo:write"],
        "created_at": timezone.now() - timedelta(days=10),
        "expires_at": timezone.now() + timedelta(days=20),
        **fields,
    }
    ids = [f"{client.pk:06d}{number:06d}" for number in range(count)]
    made = [APIKey(key_id=key_id, family=key_id, name=f"Key {number}", **rows) for number, key_id in enumerate(ids)]
    APIKey.objects.bulk_create(made)
    return list(APIKey.objects.filter(client=client).order_by("pk"))
