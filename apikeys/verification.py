"""
``RequestParts`` to ``Principal``: who is calling.

One indexed SELECT, nothing written, Argon2 only where this process has not proven the key yet. State (revoked,
expired, rotated out, client or owner disabled, scopes, networks) is read on every request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db import models, router
from django.views.decorators.debug import sensitive_variables

from . import pending, proofs, tag_secrets
from .conf import settings
from .core import errors
from .core.credentials import Credential, RequestParts
from .core.networks import allows
from .core.principals import ClientUser, Principal
from .models import LAST_USED_ACCURACY, APIKey
from .policy import service_keys_available
from .registry import declared

#: ORM path to the field of ``_Found``, in the order of the SELECT.
_COLUMNS = {
    "pk": "pk",
    "key_id": "key_id",
    "verifier": "verifier",
    "name": "name",
    "family": "family",
    "scopes": "scopes",
    "allowed_networks": "allowed_networks",
    "acts_for_user": "acts_for_user",
    "expires_at": "expires_at",
    "overlap_ends_at": "overlap_ends_at",
    "last_used_at": "last_used_at",
    "revocation__at": "revoked_at",
    "client__client_id": "client_id",
    "client__name": "client_name",
    "client__allowed_scopes": "client_scopes",
    "client__allowed_networks": "client_networks",
    "client__is_active": "client_is_active",
}


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What the look-up brought: the key, its client, its owner and its revocation."""

    pk: int
    key_id: str
    verifier: str = field(repr=False)
    name: str
    family: str
    scopes: list[str]
    allowed_networks: list[str] | None
    acts_for_user: bool
    expires_at: datetime | None
    overlap_ends_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    client_id: str
    client_name: str
    client_scopes: list[str]
    client_networks: list[str] | None
    client_is_active: bool
    #: An instance of the user model; None for a service key, and where the person is gone.
    owner: Any = field(repr=False)


@sensitive_variables("credential")
def authenticate(parts: RequestParts, *, now: datetime) -> Principal | None:
    """
    Return who is calling, or None where *parts* hold no credential of ours.

    Raises:
        CredentialError: If there is one and it is refused. A query in the address, a second credential, plain HTTP,
            a wrong length or tag are refused without a query and without a slow hash.
    """
    try:
        credential = _read_credential(parts)
        if credential is None:
            return None
        _require_https(parts, credential)
        _require_mode_and_tag(credential)
        found = _look_up(credential.key_id)
        # A right tag means that this very text was issued here, so its holder may know the state, before any slow
        # hash. A credential without a tag proves itself first: a guess must not learn that a key is revoked.
        if found is not None and credential.key_text is not None:
            _require_working(found, now=now)
        is_proven = proofs.holds(credential, verifier=None if found is None else found.verifier)
        if found is None or not is_proven:
            raise errors.UnknownKeyError
        if credential.key_text is None:
            _require_working(found, now=now)
        _require_address(found, parts)
    except errors.CredentialError as error:
        _leave_refusal(error, parts, now=now)
        raise
    if found.last_used_at is None or now - found.last_used_at >= LAST_USED_ACCURACY:
        pending.leave(pending.Use(key_pk=found.pk, at=now))
    return _principal(found)


def _read_credential(parts: RequestParts) -> Credential | None:
    presented = [credential for scheme in settings.schemes if (credential := scheme.read(parts)) is not None]
    if len(presented) > 1:
        raise errors.AmbiguousCredentialError
    return presented[0] if presented else None


def _require_https(parts: RequestParts, credential: Credential) -> None:
    if not parts.is_secure and settings.REQUIRE_HTTPS:
        raise errors.HTTPSRequiredError(key_text=credential.key_text)


def _require_mode_and_tag(credential: Credential) -> None:
    key_text = credential.key_text
    if key_text is None:
        return
    if key_text.mode != settings.MODE:
        raise errors.WrongModeError(presented=key_text.mode, expected=settings.MODE)
    if not tag_secrets.admits(key_text):
        raise errors.UnknownKeyError


def _look_up(key_id: str) -> _Found | None:
    owner_fields = _owner_fields()
    owner_columns = [f"owner__{name}" for name in owner_fields]
    rows = APIKey.objects.using(router.db_for_write(APIKey)).filter(key_id=key_id)
    row = next(iter(rows.order_by().values_list(*_COLUMNS, *owner_columns)[:1]), None)
    # Compared once more here: a collation that folds case finds keys that differ only in it.
    if row is None or row[1] != key_id:
        return None
    values = dict(zip(_COLUMNS.values(), row, strict=False))
    return _Found(**values, owner=_owner(owner_fields, row[len(_COLUMNS) :]))


def _require_working(found: _Found, *, now: datetime) -> None:
    genuine: dict[str, Any] = {"key_id": found.key_id, "family": found.family}
    if found.revoked_at is not None:
        raise errors.RevokedKeyError(**genuine, at=found.revoked_at)
    if found.expires_at is not None and found.expires_at <= now:
        raise errors.ExpiredKeyError(**genuine, at=found.expires_at)
    if found.overlap_ends_at is not None and found.overlap_ends_at <= now:
        raise errors.RotatedKeyError(**genuine, at=found.overlap_ends_at)
    if found.acts_for_user:
        if found.owner is None or not found.owner.is_active:
            raise errors.OwnerDisabledError(**genuine)
    elif not service_keys_available():
        raise errors.UnknownKeyError
    if not found.client_is_active:
        raise errors.ClientDisabledError(**genuine)


def _require_address(found: _Found, parts: RequestParts) -> None:
    # Both must allow it: a client's networks bind all of its keys.
    if not (allows(found.allowed_networks, parts.address) and allows(found.client_networks, parts.address)):
        raise errors.AddressRefusedError(key_id=found.key_id, family=found.family)


def _principal(found: _Found) -> Principal:
    user = found.owner
    if user is None:
        user = ClientUser(client_id=found.client_id, name=found.client_name)
    return Principal(
        kind="api_key",
        client_id=found.client_id,
        client_name=found.client_name,
        key_id=found.key_id,
        key_name=found.name,
        family=found.family,
        scopes=_effective_scopes(found),
        user=user,
        acts_for_user=found.acts_for_user,
        expires_at=min(filter(None, [found.expires_at, found.overlap_ends_at]), default=None),
        is_replaced=found.overlap_ends_at is not None,
    )


def _effective_scopes(found: _Found) -> frozenset[str]:
    ceiling, owner = set(found.client_scopes), found.owner
    return frozenset(
        scope.name
        for scope in declared(found.scopes)
        if scope.name in ceiling and (owner is None or _has_rights(owner, scope.permissions))
    )


def _has_rights(owner: Any, permissions: tuple[str, ...]) -> bool:
    # A user model may know nothing of permissions: then nobody has any.
    return not permissions or (hasattr(owner, "has_perms") and owner.has_perms(permissions))


def _owner(fields: list[str], values: tuple[Any, ...]) -> Any:
    users = get_user_model()
    if values[fields.index(users._meta.pk.attname)] is None:
        return None
    user = users.from_db(router.db_for_write(APIKey), fields, values)
    # Django loads deferred fields one by one; a view that touches one usually wants more.
    user.refresh_from_db = partial(_load_whole, user)  # type: ignore[method-assign]  # for this instance only
    return user


def _load_whole(
    user: models.Model, using: str | None = None, fields: Iterable[str] | None = None, **options: Any
) -> None:
    del user.__dict__["refresh_from_db"]
    if fields is not None:
        fields = sorted({*fields, *user.get_deferred_fields()})
    user.refresh_from_db(using=using, fields=fields, **options)


def _owner_fields() -> list[str]:
    # In the order of the model, as from_db() wants them. What a model lacks, or inherits from another table, loads
    # when it is touched.
    meta = get_user_model()._meta
    joined = {meta.pk.attname, "is_active", "is_superuser"}
    return [item.attname for item in meta.local_concrete_fields if item.attname in joined]


def _leave_refusal(error: errors.CredentialError, parts: RequestParts, *, now: datetime) -> None:
    key_text = getattr(error, "key_text", None)
    # A key in an address or in the clear is told apart from noise by its tag, which costs no query.
    key_id = key_text.key_id if key_text is not None and tag_secrets.admits(key_text) else error.key_id
    pending.leave(
        pending.Refusal(
            code=error.code,
            at=now,
            key_id=key_id,
            family=error.family,
            address="" if parts.address is None else str(parts.address),
        )
    )
