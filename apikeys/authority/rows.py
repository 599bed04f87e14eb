"""What endpoints of the authority ask beside the look-ups of the request path; always where it is written."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from django.contrib.auth import get_user_model
from django.core.signals import setting_changed
from django.db import connections, router
from django.db.models import OuterRef, Subquery

from ..compiled import ANY, CHANGING, Statement, compiled, fetch
from ..models import APIKey, Client, KeyEvent


def database() -> str:
    """Return the alias of the database that keys are written to: a replica may lag."""
    return router.db_for_write(APIKey)


def resource_of(client_id: str) -> str:
    """Return the address by which the client is named as an API server; empty if it is none. One query."""
    alias = database()
    row = fetch(_client_statement(alias), client_id, connection=connections[alias])
    # Compared once more here: a collation that folds case finds clients that differ only in it.
    return "" if row is None or row[0] != client_id else row[1] or ""


def origin_of(key_id: str) -> tuple[datetime, str]:
    """Return when the key was issued, and the user name of its person, empty where there is none. One query."""
    alias = database()
    row = fetch(_key_statement(alias), key_id, connection=connections[alias])
    if row is None:
        raise APIKey.DoesNotExist
    return row[0], row[1] or ""


def is_revoked(jti: str) -> bool:
    """Whether the signed token with *jti* was revoked. One query."""
    return KeyEvent.objects.using(router.db_for_write(KeyEvent)).filter(once=once_of(jti)).exists()


def once_of(jti: str) -> str:
    """Return what makes the event that revokes the token with *jti* the only one."""
    return f"jti:{jti}"


@lru_cache(maxsize=16)
def _client_statement(alias: str) -> Statement:
    rows = Client.objects.using(alias).filter(client_id=ANY).order_by()
    return compiled(rows.values_list("client_id", "resource"), alias=alias, left_raw=0)


@lru_cache(maxsize=16)
def _key_statement(alias: str) -> Statement:
    users = get_user_model()
    person = users._base_manager.using(alias).filter(pk=OuterRef("owner_id"))
    rows = APIKey.objects.using(alias).filter(key_id=ANY).order_by()
    columns = rows.values_list("created_at", Subquery(person.values(users.USERNAME_FIELD)))
    return compiled(columns, alias=alias, left_raw=1)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in CHANGING:
        _client_statement.cache_clear()
        _key_statement.cache_clear()


setting_changed.connect(_forget, dispatch_uid="apikeys.authority.rows")
