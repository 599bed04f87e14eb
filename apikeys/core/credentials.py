"""What a request presents, before anything is verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .keyformat import KeyText


@dataclass(frozen=True, kw_only=True)
class RequestParts:
    """The parts of an HTTP request that a credential can depend on."""

    #: Lower-case names; repeated headers joined by a comma, as servers do.
    headers: Mapping[str, str] = field(repr=False)
    #: As sent, undecoded, without ``?``.
    query_string: str = field(default="", repr=False)
    #: Who called, behind trusted proxies; None where that can't be known.
    address: IPv4Address | IPv6Address | None = None
    is_secure: bool = False
    #: Whether this request has waited for a check of its credential before, in vain.
    has_waited: bool = False


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The checkable part of a credential. A verifier accepts exactly one kind."""


@dataclass(frozen=True, kw_only=True)
class SecretProof(Proof):
    """A text that only its holder knows."""

    text: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A presented, unverified credential."""

    key_id: str
    proof: Proof
    #: The presented key, whose tag can be checked; None for a credential kind without a tag.
    key_text: KeyText | None = None
