"""One indexed SELECT: an access token with its client, its person and what that person consented to."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.signals import setting_changed
from django.db import connections, models, router
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import JSONArray
from django.views.decorators.debug import sensitive_variables
from oauth2_provider.models import get_access_token_model

from ..compiled import ANY, CHANGING, Statement, column, compiled, fetch
from ..conf import settings
from ..core.claims import Values
from ..fields import claims, words
from ..lookup import OF_CLIENT, Words
from ..models import Client, ClientKind
from ..registry import rights_count
from .models import ClientApplication, Consent

_read_json = json.JSONDecoder().raw_decode
#: Columns of the token, in the order of ``FoundToken``.
_OF_TOKEN = ("token_checksum", "expires", "created", "user_id", "resource")
_OF_CONSENT = ("pk", "expires_at", "last_used_at", "scopes", "is_implied")


class FoundToken(NamedTuple):
    """What the look-up brought. A tuple, because nothing is cheaper to make of a row."""

    checksum: str
    expires_at: datetime
    issued_at: datetime
    #: The person that it acts for; None for a client's own token.
    owner_pk: Any
    #: Where it may be used (RFC 8707); empty for everywhere.
    resource: list[str]
    #: Or the primary key once more, where the user model has no such column; None where the person is gone.
    owner_is_active: Any
    #: None where no scope asks for a person's rights.
    owner_is_superuser: bool | None
    #: None, like all of the consent, where there is none that counts.
    consent_pk: int | None
    consent_expires_at: datetime | None
    consent_last_used_at: datetime | None
    client_id: str
    client_name: str
    client_is_active: bool
    scopes: Words
    consent_scopes: Words
    client_scopes: Words
    client_networks: Words | None
    client_rates: Words
    client_quotas: Words
    #: As they were set; ``core.claims.counting`` tells which of them count.
    client_claims: Values
    #: The API servers that may know the token.
    client_audiences: Words

    def __repr__(self) -> str:
        return f"<FoundToken of {self.client_id}>"


@sensitive_variables("token")
def find(token: str, *, alias: str) -> FoundToken | None:
    """
    Return *token* as it is now in the database *alias*, or None. One query.

    None as well for a token of an application that no client is tied to.
    """
    checksum = hashlib.sha256(token.encode()).hexdigest()
    row = fetch(_statement(alias), checksum, connection=connections[alias])
    if row is None or row[0] != checksum:
        return None
    *values, scope, consent, client = row
    if client is None:
        return None
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
        kind,
    ) = _read_json(client)[0]
    consent_pk, consent_ends_at, consent_last_used_at, consent_scopes = _counting(consent, kind=kind)
    values += [
        consent_pk,
        _instant(consent_ends_at, alias=alias),
        _instant(consent_last_used_at, alias=alias),
        client_id,
        client_name,
        bool(is_active),
        words(scope),
        words(consent_scopes) if consent_scopes else (),
        words(client_scopes),
        None if client_networks is None else words(client_networks),
        words(client_rates) if client_rates else (),
        words(client_quotas) if client_quotas else (),
        claims(client_said),
        words(audiences) if audiences else (),
    ]
    return FoundToken._make(values)


def database() -> str:
    """Return the alias that tokens are looked up in: the one they are written to, unless a replica may answer."""
    tokens = get_access_token_model()
    alias: str = router.db_for_read(tokens) if settings.READ_REPLICA else router.db_for_write(tokens)
    return alias


def _counting(consent: str | None, *, kind: str) -> tuple[int | None, str | None, str | None, str]:
    """Return *consent*, as it was read, where a client of *kind* may rely on it; nothing otherwise."""
    if consent is None:
        return None, None, None, ""
    pk, expires_at, last_used_at, scopes, is_implied = _read_json(consent)[0]
    # As ``Consent.counts_for``.
    if is_implied and kind != ClientKind.FIRST_PARTY:
        return None, None, None, ""
    return pk, expires_at, last_used_at, scopes


def _instant(text: str | None, *, alias: str) -> datetime | None:
    """Return *text*, as the database *alias* writes an instant into JSON, as Django has it of a column."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    if not django_settings.USE_TZ:
        return found.replace(tzinfo=None)
    # A database without time zones keeps the instant in that of its connection.
    return found if found.tzinfo is not None else found.replace(tzinfo=connections[alias].timezone)


@lru_cache(maxsize=16)
def _statement(alias: str) -> Statement:
    users = get_user_model()
    # As in the look-up of keys: PostgreSQL plans joins for longer than it runs subqueries by key.
    person = users._base_manager.using(alias).filter(pk=OuterRef("user_id"))
    link = ClientApplication.objects.using(alias).filter(application=OuterRef(OuterRef("application_id")))
    of_client = Subquery(link.values("client_id")[:1])
    client = Client.objects.using(alias).filter(pk=of_client).order_by()
    consent = Consent.objects.using(alias).filter(user=OuterRef("user_id"), client=of_client).order_by()
    rights = column(users, "is_superuser") if rights_count() else None
    rows = get_access_token_model().objects.using(alias).filter(token_checksum=ANY).order_by()
    columns = rows.values_list(
        *_OF_TOKEN,
        # A model without the column says by itself who is active; then the row's being there is what counts.
        Subquery(person.values(column(users, "is_active") or "pk")),
        Subquery(person.values(rights)) if rights else Value(None, output_field=models.BooleanField()),
        "scope",
        Subquery(consent.values_list(JSONArray(*_OF_CONSENT))),
        Subquery(client.values_list(JSONArray(*OF_CLIENT, "kind"))),
    )
    return compiled(columns, alias=alias, left_raw=3)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in CHANGING:
        _statement.cache_clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.oauth.tokens")
