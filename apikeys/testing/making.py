"""Keys for tests, through the same door as real ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.contrib.auth import get_user_model
from django.test import override_settings

from .. import clients, keys, usage
from ..conf import settings
from ..core.scopes import as_names
from ..keys import IssuedKey
from ..models import Client
from ..registry import unreserved_scopes

#: The least that Argon2 runs with: a tenth of a millisecond. For tests alone.
CHEAP_ARGON2 = {"memory_kib": 8, "time": 1, "parallelism": 1}
#: Who a key or a token acts for, unless the test says: a person of its own.
FOR_A_PERSON: Any = object()
_numbers = itertools.count(1)


def make_key(
    *, scopes: str | Sequence[str] = (), client: Client | None = None, owner: Any = FOR_A_PERSON, **fields: Any
) -> IssuedKey:
    """
    Return a new key through ``keys.issue``, with a cheap hash.

    Without *client* it makes one that may hold *scopes* and every declared scope but ``apikeys:…``, without *owner* a
    person; *owner* None makes a service key. Without *scopes* it holds all that the client may. *fields* go to
    ``keys.issue``.
    """
    number = next(_numbers)
    if client is None:
        client = clients.create(name=f"Client {number}", allowed_scopes=[*unreserved_scopes(), *as_names(scopes or ())])
    if owner is FOR_A_PERSON:
        owner = make_person()
    fields.setdefault("name", f"Key {number}")
    with cheap_hashes():
        return keys.issue(client, scopes=scopes or client.allowed_scopes, owner=owner, **fields)


def make_person() -> Any:
    """Return a new person of the project's user model."""
    users = get_user_model()
    return users._default_manager.create_user(**{users.USERNAME_FIELD: f"person{next(_numbers)}@example.com"})


def cheap_hashes() -> override_settings:
    """Return a context manager or decorator under which new secrets are hashed at the least cost."""
    return override_settings(APIKEYS={**settings.given(), "ARGON2": CHEAP_ARGON2})


def counting_by_hand() -> AbstractContextManager[None]:
    """
    Return a context manager in which this process writes usage only when ``apikeys.usage.flush`` is called.

    No thread of the app then writes into the tests' database. What is not written is dropped at the end.
    """
    return usage.by_hand()
