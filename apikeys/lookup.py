"""One indexed SELECT: a key with its client, its owner and its revocation."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.signals import setting_changed
from django.db import connections, models, router
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import JSONArray

from .compiled import ANY, CHANGING, Statement, column, compiled, fetch
from .conf import settings
from .core.claims import Values
from .fields import claims, words
from .models import APIKey, Client, KeyRevocation
from .registry import rights_count

_read_json = json.JSONDecoder().raw_decode
#: Columns of the key, in the order of ``Found``.
_OF_KEY = (
    "pk",
    "key_id",
    "verifier",
    "name",
    "family",
    "acts_for_user",
    "expires_at",
    "overlap_ends_at",
    "last_used_at",
    "owner_id",
)
#: Likewise of its client, whose values ``find`` sorts into it.
OF_CLIENT = (
    "client_id",
    "name",
    "is_active",
    "allowed_scopes",
    "allowed_networks",
    "rates",
    "quotas",
    "claims",
    "audiences",
)

Words = tuple[str, ...]


class Found(NamedTuple):
    """What the look-up brought. A tuple, because nothing is cheaper to make of a row."""

    key_pk: int
    key_id: str
    verifier: str
    name: str
    family: str
    acts_for_user: bool
    expires_at: datetime | None
    overlap_ends_at: datetime | None
    last_used_at: datetime | None
    owner_pk: Any
    revoked_at: datetime | None
    #: Or the primary key once more, where the user model has no such column; None where the person is gone.
    owner_is_active: Any
    #: None where no scope asks for a person's rights.
    owner_is_superuser: bool | None
    client_id: str
    client_name: str
    client_is_active: bool
    scopes: Words
    allowed_networks: Words | None
    client_scopes: Words
    client_networks: Words | None
    rates: Words
    quotas: Words
    client_rates: Words
    client_quotas: Words
    #: As they were set; ``core.claims.counting`` tells which of them count.
    claims: Values
    client_claims: Values
    #: The API servers that may know the key.
    client_audiences: Words

    def __repr__(self) -> str:
        return f"<Found {self.key_id}>"

    @property
    def networks(self) -> tuple[Words, ...]:
        """Lists of networks, the key's and its client's; whoever calls must be in each."""
        return tuple(bound for bound in (self.allowed_networks, self.client_networks) if bound is not None)


def find(key_id: str, *, alias: str) -> Found | None:
    """Return the key with *key_id* as it is now in the database *alias*, or None. One query."""
    row = fetch(_statement(alias), key_id, connection=connections[alias])
    # Compared once more here: a collation that folds case finds keys that differ only in it.
    if row is None or row[1] != key_id:
        return None
    *values, scopes, networks, rates, quotas, said, client = row
    (
        client_id,
        client_name,
        is_active,
        client_scopes,
        client_networks,
        client_rates,
        client_quotas,
        client_said,
        audiences,
    ) = _read_json(client)[0]
    values += [
        client_id,
        client_name,
        bool(is_active),
        words(scopes),
        None if networks is None else words(networks),
        words(client_scopes),
        None if client_networks is None else words(client_networks),
        words(rates) if rates else (),
        words(quotas) if quotas else (),
        words(client_rates) if client_rates else (),
        words(client_quotas) if client_quotas else (),
        claims(said),
        claims(client_said),
        words(audiences) if audiences else (),
    ]
    return Found._make(values)


def database() -> str:
    """Return the alias that keys are looked up in: the one they are written to, unless a replica may answer."""
    return router.db_for_read(APIKey) if settings.READ_REPLICA else router.db_for_write(APIKey)


@lru_cache(maxsize=16)
def _statement(alias: str) -> Statement:
    users = get_user_model()
    # Subqueries by primary key, and not one join: PostgreSQL plans each statement anew, and joins double the time.
    person = users._base_manager.using(alias).filter(pk=OuterRef("owner_id"))
    revocation = KeyRevocation.objects.using(alias).filter(key=OuterRef("pk"))
    client = Client.objects.using(alias).filter(pk=OuterRef("client_id")).order_by()
    rights = column(users, "is_superuser") if rights_count() else None
    rows = APIKey.objects.using(alias).filter(key_id=ANY).order_by()
    columns = rows.values_list(
        *_OF_KEY,
        Subquery(revocation.values("at")),
        # A model without the column says by itself who is active; then the row's being there is what counts.
        Subquery(person.values(column(users, "is_active") or "pk")),
        Subquery(person.values(rights)) if rights else Value(None, output_field=models.BooleanField()),
        "scopes",
        "allowed_networks",
        "rates",
        "quotas",
        "claims",
        Subquery(client.values_list(JSONArray(*OF_CLIENT))),
    )
    return compiled(columns, alias=alias, left_raw=6)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in CHANGING:
        _statement.cache_clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.lookup")
