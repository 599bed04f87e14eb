"""Who is calling, verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from .rates import Quota, Rate

#: How a ``sub`` begins, and the ``pk`` of who has no row here: of a person, and of a client that acts for itself.
PERSON = "user:"
CLIENT = "client:"
_ABOUT = {"api_key": "key", "oauth_token": "token", "signed_token": "token", "layered": "both"}
_KEYS = frozenset({"api_key", "layered"})
_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, init=False)
class Principal:
    """The verified caller of one request. It is ``request.auth``."""

    #: ``"api_key"``, ``"oauth_token"``, ``"signed_token"``, or ``"layered"`` for a key and a token on one request.
    kind: str
    #: The public id of the client, and its name.
    client_id: str
    client_name: str
    #: Of the key, or of the key that a signed token was given for; like its name and family empty where there is none.
    key_id: str
    key_name: str
    #: The key and all its replacements share one family.
    family: str
    #: What counts on this request: held, under the client's ceiling, declared, and within the person's rights.
    scopes: frozenset[str]
    #: The person that the credential acts for, or a ``ClientUser``; on other API servers a ``RemoteUser`` for a person.
    user: Any = field(repr=False)
    #: The primary key of that person, which is known without loading anything; None for a ``ClientUser``.
    user_pk: Any
    #: False for a service key or a client's own token, which act for nobody.
    acts_for_user: bool
    #: When it stops: its expiry, or the end of its overlap where that comes first.
    expires_at: datetime | None
    #: Whether a replacement was issued; the key still works because their overlap runs.
    is_replaced: bool
    #: No part of the hash: a dict has none.
    claims: Mapping[str, Any] = field(hash=False)
    #: What its ``bucket`` may use: of project, client and key the strictest of each window and period.
    rates: tuple[Rate, ...]
    quotas: tuple[Quota, ...]
    #: Of ``scopes`` those that this request asked for so far, for the record of what a key needs.
    needed: set[str] = field(repr=False, compare=False)

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
        user_pk: Any = None,
        expires_at: datetime | None = None,
        is_replaced: bool = False,
        claims: Mapping[str, Any] = _NO_CLAIMS,
        rates: tuple[Rate, ...] = (),
        quotas: tuple[Quota, ...] = (),
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
            user_pk=user_pk,
            acts_for_user=acts_for_user,
            expires_at=expires_at,
            is_replaced=is_replaced,
            claims=claims,
            rates=rates,
            quotas=quotas,
            needed=set(),
        )

    @property
    def bucket(self) -> str:
        """What limits are counted by, at most 40 characters: a key's family, a client's person, or a client."""
        if self.family:
            return self.family
        if self.user_pk is None:
            return f"{CLIENT}{self.client_id}"
        # A primary key may be of any length.
        person = blake2b(str(self.user_pk).encode(), digest_size=8).hexdigest()
        return f"{self.client_id}/{person}"

    @property
    def about(self) -> str:
        """What a refusal speaks of: ``"key"``, ``"token"`` or ``"both"``."""
        return _ABOUT.get(self.kind, "key")

    @property
    def holds_key(self) -> bool:
        """Whether a key itself was presented, and not what was given for one."""
        return self.kind in _KEYS

    def has_scopes(self, *names: str) -> bool:
        """Whether all of *names* count. False for no names: empty means nothing."""
        self.needed.update(self.scopes.intersection(names))
        return bool(names) and self.scopes.issuperset(names)

    def has_any_scope(self, *names: str) -> bool:
        """Whether at least one of *names* counts."""
        self.needed.update(self.scopes.intersection(names))
        return not self.scopes.isdisjoint(names)


class _WithoutRow:
    """Who calls, where no row of this site stands for it: authenticated, and without any permission of Django's."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False
    #: A text that no person's primary key here is.
    pk: str

    @property
    def id(self) -> str:
        """The ``pk``."""
        return self.pk

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pk}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.pk == self.pk

    def __hash__(self) -> int:
        return hash(self.pk)

    def get_username(self) -> str:
        """Return the user name, or what stands for it."""
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


class ClientUser(_WithoutRow):
    """
    ``request.user`` of a service key: a client that calls for itself.

    Its ``pk`` is one that no person has, and no user name to log in with.
    """

    def __init__(self, *, client_id: str, name: str) -> None:
        self.client_id = client_id
        self.name = name
        #: For throttles and logs; in signed tokens it is ``sub``.
        self.pk = f"{CLIENT}{client_id}"

    @property
    def username(self) -> str:
        """The ``pk``."""
        return self.pk

    def __str__(self) -> str:
        return self.name


class RemoteUser(_WithoutRow):
    """``request.user`` on an API server for a person whom the authority knows, and this server has no row of."""

    def __init__(self, *, sub: str, username: str) -> None:
        self.sub = sub
        self.username = username
        #: ``user:<primary key at the authority>``, as ``sub`` of tokens has it.
        self.pk = sub

    def get_username(self) -> str:
        return self.username

    def __str__(self) -> str:
        return self.username or self.sub
