"""The person behind a key or token, as ``request.user``: an instance only where somebody touches it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from django.contrib.auth import get_user_model
from django.db import models
from django.utils.functional import SimpleLazyObject, empty

from .compiled import column
from .core.principals import ClientUser
from .core.scopes import Scope
from .lookup import database


class FoundCaller(Protocol):
    """What a look-up says of the person."""

    @property
    def owner_pk(self) -> Any:
        """None where there is none."""

    @property
    def owner_is_active(self) -> Any:
        """Or the primary key once more, where the user model has no such column; None where the person is gone."""

    @property
    def owner_is_superuser(self) -> bool | None:
        """None where no scope asks for a person's rights."""

    @property
    def client_id(self) -> str:
        """Of the client."""

    @property
    def client_name(self) -> str:
        """Of the client."""


def user_of(found: FoundCaller, *, is_fresh: bool, alias: str | None = None) -> Any:
    """
    Return who *found* acts for: a person, made when touched and without a query, or a ``ClientUser``.

    What *found* says of the person is on the instance only if it *is_fresh*: a view that saves the person would write
    it back. The rest comes from the database *alias*, by default from where keys are looked up.
    """
    if found.owner_pk is None:
        return ClientUser(client_id=found.client_id, name=found.client_name)
    return _LazyPerson(found, is_fresh=is_fresh, alias=alias)


class _LazyPerson(SimpleLazyObject):  # type: ignore[type-arg]  # generic in the stubs alone
    """As its parent, made in one step instead of four, because each request makes one."""

    _wrapped = empty

    def __init__(self, found: FoundCaller, *, is_fresh: bool, alias: str | None) -> None:
        object.__setattr__(self, "_setupfunc", partial(_person, found, is_fresh=is_fresh, alias=alias))

    def __copy__(self) -> Any:
        person: Any = self._wrapped
        if person is not empty:
            # What loads the rest is bound to the original.
            person.refresh_from_db(fields=())
        return super().__copy__()


def is_active(found: FoundCaller, user: Any) -> bool:
    """Whether *user*, who is of *found*, may act. False where the person is gone."""
    is_active = found.owner_is_active
    if isinstance(is_active, bool):
        return is_active
    # The row is there, and a user model without the column says the rest by itself.
    return is_active is not None and bool(user.is_active)


def has_rights(user: Any, scope: Scope) -> bool:
    """Whether *user* holds the Django permissions that *scope* names; at most two queries the first time."""
    # A user model may know nothing of permissions: then nobody has any.
    return hasattr(user, "has_perms") and bool(user.has_perms(scope.permissions))


def _person(found: FoundCaller, *, is_fresh: bool, alias: str | None) -> models.Model:
    users = get_user_model()
    known: dict[str | None, Any] = {users._meta.pk.attname: found.owner_pk}
    if is_fresh:
        known[column(users, "is_active")] = found.owner_is_active
        known[column(users, "is_superuser")] = found.owner_is_superuser
    # In the order of the model, as from_db() wants them. What nobody asked for loads when it is touched.
    names = [field.attname for field in users._meta.concrete_fields if known.get(field.attname) is not None]
    user = users.from_db(alias or database(), names, [known[name] for name in names])
    # Django loads deferred fields one by one; a view that touches one usually wants more.
    user.refresh_from_db = partial(_load_whole, user)  # type: ignore[method-assign]  # for this instance only
    return user


def _load_whole(
    user: models.Model, using: str | None = None, fields: Iterable[str] | None = None, **options: Any
) -> None:
    del user.__dict__["refresh_from_db"]
    if fields is not None:
        fields = sorted({*fields, *user.get_deferred_fields()})
    # From where the key was read: a replica may not know the person yet.
    user.refresh_from_db(using=using or user._state.db, fields=fields, **options)
