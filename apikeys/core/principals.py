"""Who is calling, verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, init=False)
class Principal:
    """The verified caller of one request. It is ``request.auth``."""

    #: ``"api_key"``; other credential kinds have their own word.
    kind: str
    #: The public id of the client, and its name.
    client_id: str
    client_name: str
    key_id: str
    key_name: str
    #: The key and all its replacements share one family.
    family: str
    #: What counts on this request: held, under the client's ceiling, declared, and within the person's rights.
    scopes: frozenset[str]
    #: The person that the key acts for, or a ``ClientUser``.
    user: Any = field(repr=False)
    #: False for a service key, which acts for nobody.
    acts_for_user: bool
    #: When it stops: its expiry, or the end of its overlap where that comes first.
    expires_at: datetime | None
    #: Whether a replacement was issued; the key still works because their overlap runs.
    is_replaced: bool
    claims: Mapping[str, Any]

    def __init__(
        self,
        *,
        kind: str,
        client_id: str,
        client_name: str,
        key_id: str,
        key_name: str,
        family: str,
        scopes: frozenset[str],
        user: Any,
        acts_for_user: bool,
        expires_at: datetime | None = None,
        is_replaced: bool = False,
        claims: Mapping[str, Any] = _NO_CLAIMS,
    ) -> None:
        # The one that a frozen dataclass has by itself sets field by field around its own lock, on each request.
        self.__dict__.update(
            kind=kind,
            client_id=client_id,
            client_name=client_name,
            key_id=key_id,
            key_name=key_name,
            family=family,
            scopes=scopes,
            user=user,
            acts_for_user=acts_for_user,
            expires_at=expires_at,
            is_replaced=is_replaced,
            claims=claims,
        )

    def has_scopes(self, *names: str) -> bool:
        """Whether all of *names* count. False for no names: empty means nothing."""
        return bool(names) and self.scopes.issuperset(names)

    def has_any_scope(self, *names: str) -> bool:
        """Whether at least one of *names* counts."""
        return not self.scopes.isdisjoint(names)


class ClientUser:
    """
    ``request.user`` of a service key: a client that calls for itself.

    It is authenticated, has a ``pk`` that no person has and no permission at all.
    """

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False

    def __init__(self, *, client_id: str, name: str) -> None:
        self.client_id = client_id
        self.name = name

    @property
    def pk(self) -> str:
        """``client:<client_id>``, for throttles and logs."""
        return f"client:{self.client_id}"

    id = pk
    username = pk

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<ClientUser {self.pk}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientUser) and other.client_id == self.client_id

    def __hash__(self) -> int:
        return hash(self.pk)

    def get_username(self) -> str:
        """Return the ``pk``, which is no person's user name to log in with."""
        return self.pk

    def get_user_permissions(self, obj: object = None) -> set[str]:
        """Return no permission."""
        return set()

    get_group_permissions = get_user_permissions
    get_all_permissions = get_user_permissions

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Whether it holds a Django permission: never."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        """Whether it holds Django permissions: never."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """Whether it holds a Django permission of an app: never."""
        return False
