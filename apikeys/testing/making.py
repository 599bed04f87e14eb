"""Keys for tests, through the same door as real ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.test import override_settings

from .. import clients, keys
from ..conf import settings
from ..keys import IssuedKey
from ..models import Client
from ..registry import scope_registry

#: The least that Argon2 runs with: a tenth of a millisecond. For tests alone.
CHEAP_ARGON2 = {"memory_kib": 8, "time": 1, "parallelism": 1}
_FOR_A_PERSON = object()
_numbers = itertools.count(1)


def make_key(
    *, scopes: str | Sequence[str] = (), client: Client | None = None, owner: Any = _FOR_A_PERSON, **fields: Any
) -> IssuedKey:
    """
    Return a new key through ``keys.issue``, with a cheap hash.

    Without *client* it makes one that may hold every declared scope, without *owner* a person; *owner* None makes a
    service key. Without *scopes* it holds all that the client may. *fields* go to ``keys.issue``.
    """
    number = next(_numbers)
    if client is None:
        client = clients.create(name=f"Client {number}", allowed_scopes=list(scope_registry()))
    if owner is _FOR_A_PERSON:
        users = get_user_model()
        owner = users._default_manager.create_user(**{users.USERNAME_FIELD: f"person{number}@example.com"})
    fields.setdefault("name", f"Key {number}")
    with cheap_hashes():
        return keys.issue(client, scopes=scopes or client.allowed_scopes, owner=owner, **fields)


def cheap_hashes() -> override_settings:
    """Return a context manager or decorator under which new secrets are hashed at the least cost."""
    return override_settings(APIKEYS={**settings.given(), "ARGON2": CHEAP_ARGON2})
