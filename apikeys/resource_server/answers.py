"""What the authority says of a credential (RFC 7662 section 2.2), read with types: what is not as it must be is no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from ..core.claim_names import may_be_declared
from ..core.scopes import is_scope_name
from ..signed.json_text import END_OF_TIME, read_object

_KINDS = frozenset({"api_key", "oauth_token", "signed_token"})


class UnusableAnswerError(ValueError):
    """An answer that says neither yes nor no in a way that counts. The text quotes nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Introspection:
    """An active credential, as the authority knows it."""

    #: Empty where the authority does not say.
    issuer: str
    audiences: frozenset[str]
    subject: str
    client_id: str
    scopes: tuple[str, ...]
    #: ``"api_key"``, ``"oauth_token"``, ``"signed_token"``; empty where the authority does not say.
    kind: str
    client_name: str
    username: str
    key_id: str
    family: str
    #: Lists of networks; the caller's address must be in each list.
    networks: tuple[tuple[str, ...], ...]
    expires_at: datetime | None
    not_before: datetime | None
    #: Whether holding the credential is all that it takes: no proof of a key, no certificate (RFC 8705, RFC 9449).
    is_bearer: bool
    claims: Mapping[str, Any] = field(repr=False)

    def is_for(self, *, issuer: str, audience: str) -> bool:
        """Whether it was issued by *issuer*, for *audience*."""
        return self.issuer == issuer and audience in self.audiences

    def has_begun(self, *, now: datetime, leeway: timedelta) -> bool:
        """Whether it counts already, by a clock that may be *leeway* behind."""
        return self.not_before is None or now + leeway >= self.not_before

    def has_ended(self, *, now: datetime, leeway: timedelta) -> bool:
        """Whether it counts no more, by a clock that may be *leeway* ahead."""
        return self.expires_at is not None and now - leeway >= self.expires_at


def read(body: bytes) -> Introspection | None:
    """
    Return what *body* says of a credential, or None where it is not active.

    Raises:
        UnusableAnswerError: If that can't be told.
    """
    try:
        document = read_object(body.decode())
    except ValueError as error:
        raise UnusableAnswerError("it is no JSON object") from error
    if "active" not in document:
        raise UnusableAnswerError("it has no 'active'")
    if document["active"] is not True:
        return None
    kind = _text(document, "kind", default="")
    if kind and kind not in _KINDS:
        raise UnusableAnswerError("its 'kind' is unknown")
    return Introspection(
        issuer=_text(document, "iss", default=""),
        audiences=_audiences(document),
        subject=_text(document, "sub"),
        client_id=_text(document, "client_id"),
        scopes=tuple(filter(is_scope_name, _text(document, "scope", default="").split(" "))),
        kind=kind,
        client_name=_text(document, "client_name", default=""),
        username=_text(document, "username", default=""),
        key_id=_text(document, "key_id", default=""),
        family=_text(document, "family", default=""),
        networks=_networks(document),
        expires_at=_instant(document, "exp"),
        not_before=_instant(document, "nbf"),
        is_bearer="cnf" not in document and _text(document, "token_type", default="Bearer").lower() == "bearer",
        claims=MappingProxyType({name: value for name, value in document.items() if may_be_declared(name)}),
    )


def _text(document: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = document.get(name, default)
    # What must be there must say something.
    if not isinstance(value, str) or (default is None and not value):
        raise UnusableAnswerError(f"its {name!r} is no text")
    return value


def _audiences(document: Mapping[str, Any]) -> frozenset[str]:
    given = document.get("aud", [])
    audiences = [given] if isinstance(given, str) else given
    if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
        raise UnusableAnswerError("its 'aud' is neither a text nor a list of texts")
    return frozenset(audiences)


def _instant(document: Mapping[str, Any], name: str) -> datetime | None:
    if name not in document:
        return None
    seconds = document[name]
    # True is a number to Python, and "Integer timestamp" leaves no room for others.
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds < END_OF_TIME:
        raise UnusableAnswerError(f"its {name!r} is no instant")
    return datetime.fromtimestamp(seconds, tz=UTC)


def _networks(document: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    lists = document.get("networks", [])
    if not isinstance(lists, list) or not all(
        isinstance(each, list) and all(isinstance(text, str) for text in each) for each in lists
    ):
        raise UnusableAnswerError("its 'networks' are no lists of texts")
    return tuple(map(tuple, lists))
