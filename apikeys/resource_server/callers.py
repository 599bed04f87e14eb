"""What the authority says of a caller, as this server's ``Principal``; and what refusals leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from .. import signals
from ..conf import settings
from ..core.credentials import RequestParts
from ..core.errors import AddressRefusedError, CredentialError
from ..core.networks import allows
from ..core.principals import CLIENT, PERSON, ClientUser, Principal, RemoteUser
from ..core.rates import strictest_rates
from ..core.scopes import RESERVED_BEGINNING
from ..logging import refusals

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


def principal_of(
    *,
    kind: str,
    subject: str,
    client_id: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    client_name: str = "",
    key_id: str = "",
    family: str = "",
    username: str = "",
    claims: Mapping[str, Any] = _NO_CLAIMS,
) -> Principal:
    """
    Return the caller that the authority speaks of. Rates are those of this server; quotas need a database.

    *claims* have names that a project may declare: whoever reads an answer or a token sees to that. Scopes of the
    authority's own endpoints are left out: this server may have such endpoints too, for its own keys.

    Raises:
        ValueError: If *subject* is neither ``user:…`` nor the ``client:…`` of *client_id*.
    """
    is_person = subject.startswith(PERSON) and subject != PERSON
    if not is_person and (not client_id or subject != f"{CLIENT}{client_id}"):
        raise ValueError("the subject is neither a person nor the client")
    user: RemoteUser | ClientUser
    if is_person:
        user = RemoteUser(sub=subject, username=username)
    else:
        user = ClientUser(client_id=client_id, name=client_name or client_id)
    return Principal(
        kind=kind,
        client_id=client_id,
        client_name=client_name,
        key_id=key_id,
        key_name="",
        family=family,
        scopes=frozenset([name for name in scopes if not name.startswith(RESERVED_BEGINNING)]),
        user=user,
        user_pk=subject if is_person else None,
        acts_for_user=is_person,
        expires_at=expires_at,
        claims=_unchangeable(claims) if claims else _NO_CLAIMS,
        rates=strictest_rates(settings.RATES),
    )


def require_address(
    networks: Sequence[Sequence[str]], parts: RequestParts, *, about: str, key_id: str = "", family: str = ""
) -> None:
    """
    Pass where the caller's address is in each of *networks*, which are lists of networks: a key's and its client's.

    Raises:
        AddressRefusedError: If it is not, or nobody knows it.
    """
    if networks and not all(allows(each, parts.address) for each in networks):
        raise AddressRefusedError(key_id=key_id, family=family, about=about)


def note_refusal(error: CredentialError, parts: RequestParts) -> None:
    """Log that what *parts* hold is refused, and tell the receivers of ``credential_refused``. No query."""
    address = "" if parts.address is None else str(parts.address)
    refusals.tell(reason=error.code, key_id=error.key_id, family=error.family, address=address)
    if error.code == "https_required":
        refusals.explain_https()
    signals.credential_refused.send_robust(sender=None, code=error.code, key_id=error.key_id, address=address)


def _unchangeable(value: Any) -> Any:
    """
    Return *value* with tuples for lists, as claims have them where keys are stored.

    What a view could do to a list would stay with a token that is remembered, and with an answer that is kept.
    """
    if isinstance(value, Mapping):
        return MappingProxyType({name: _unchangeable(item) for name, item in value.items()})
    return tuple(map(_unchangeable, value)) if isinstance(value, list) else value
