"""Signed JSON in its compact writing (RFC 7515), read strictly and by the key's own algorithm."""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from django.views.decorators.debug import sensitive_variables

from ..core.errors import InvalidTokenError
from .json_text import read_object
from .keys import KeySet, PrivateKey

#: Characters of a token, before anything is decoded.
MOST_CHARACTERS = 8192

_DOTS = 2
_REMEMBERED_HEADERS = 64
_TO_URL = bytes.maketrans(b"+/", b"-_")
#: The letters of the other alphabet to what is a letter of none.
_FROM_URL = bytes.maketrans(b"-_+/", b"+/!!")


class UnknownSigningKeyError(InvalidTokenError):
    """Signed by a key that is not in the set: it may be published since."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a header says and somebody here reads. ``jku``, ``jwk``, ``x5u`` and ``x5c`` are read by nobody."""

    typ: str
    algorithm: str
    kid: str
    #: Extensions that the reader must understand (RFC 7515 section 4.1.11). None is understood here.
    has_extensions: bool


class Unverified:
    """A text that may be signed. What it says is read once, and believed by nobody before its signature is checked."""

    @sensitive_variables("text")
    def __init__(self, text: str, *, most_characters: int = MOST_CHARACTERS) -> None:
        self.text = text
        #: None if *text* is longer than *most_characters*, or not in three parts of which the first is a header.
        self.header = None if len(text) > most_characters else header_of(text)

    @cached_property
    def payload(self) -> dict[str, Any] | None:
        """What it says; None if that can't be read."""
        if self.header is None:
            return None
        try:
            return read_object(_decoded(self.text.split(".")[1]).decode())
        except ValueError:
            return None


def write_signed(payload: Mapping[str, Any], *, typ: str, key: PrivateKey) -> str:
    """Return *payload* signed by *key*."""
    header = {"typ": typ, "alg": key.algorithm, "kid": key.kid}
    message = f"{_encoded(header)}.{_encoded(payload)}"
    return f"{message}.{_base64url(key.sign(message.encode()))}"


@sensitive_variables()
def read_signed(unverified: Unverified, *, types: AbstractSet[str], keys: KeySet) -> dict[str, Any]:
    """
    Return the payload of *unverified*, which one of *keys* has signed as one of *types*, in lower case.

    Raises:
        UnknownSigningKeyError: If its header is in order and names a key that is not in *keys*.
        InvalidTokenError: If it is anything else.
    """
    header = unverified.header
    if header is None or header.has_extensions or header.typ.lower() not in types or not header.kid:
        raise InvalidTokenError
    algorithm = keys.algorithm_of(header.kid)
    if algorithm is None:
        raise UnknownSigningKeyError
    # The key says which algorithm; the header may only agree.
    if header.algorithm != algorithm:
        raise InvalidTokenError
    message, _, tail = unverified.text.rpartition(".")
    try:
        signed = message.encode("ascii")
        signature = _decoded(tail)
    except ValueError as error:
        raise InvalidTokenError from error
    if not keys.has_signed(signed, signature=signature, kid=header.kid) or unverified.payload is None:
        raise InvalidTokenError
    return unverified.payload


def header_of(text: str) -> Header | None:
    """Return the unverified header of *text*; None if it is not in three parts, of which the first is a header."""
    head = text.partition(".")[0]
    return None if len(head) > MOST_CHARACTERS or text.count(".") != _DOTS else _header(head)


@sensitive_variables("text")
def payload_of(text: str) -> dict[str, Any] | None:
    """Return the unverified payload of *text*; None if it is no signed text or too long."""
    return Unverified(text).payload


@lru_cache(maxsize=_REMEMBERED_HEADERS)
def _header(encoded: str) -> Header | None:
    """Return what *encoded* says; what is missing or of another type is empty. All tokens of a key have the same."""
    try:
        members = read_object(_decoded(encoded).decode())
    except ValueError:
        return None
    return Header(
        typ=_text(members, "typ"),
        algorithm=_text(members, "alg"),
        kid=_text(members, "kid"),
        has_extensions="crit" in members,
    )


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _encoded(members: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(members, separators=(",", ":"), allow_nan=False).encode())


def _base64url(data: bytes) -> str:
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode()


def _decoded(text: str) -> bytes:
    """
    Return the bytes of *text* (RFC 7515 section 2).

    Raises:
        ValueError: If it is not how they are written: with padding, other characters, or bits that mean nothing.
    """
    letters = text.encode("ascii").translate(_FROM_URL)
    data = a2b_base64(letters + b"=" * (-len(letters) % 4))
    # What is no letter was passed over.
    if b2a_base64(data, newline=False).rstrip(b"=") != letters:
        raise ValueError("not as it is written")
    return data
