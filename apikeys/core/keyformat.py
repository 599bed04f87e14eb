"""
The text of a key: generate, parse, tag, mask.

``ak_live_4Qm9ZtR1xVb7_<43 base62: the secret><8 base62: the tag>``, letters, digits and ``_`` only, so that a
double click selects all of it and ``Bearer`` takes it unescaped (RFC 6750 section 2.1).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from .credentials import SecretProof
from .errors import MalformedKeyError

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MODES = ("live", "test")
KEY_ID_LENGTH = 12
#: 43 base62 characters carry 256 bits.
SECRET_LENGTH = 43
#: 8 base62 characters carry 47 bits: what a forger has to guess before a key costs a query.
TAG_LENGTH = 8
TAG_SECRET_BYTES = 32

#: By the value of their two digits, the smaller one first: half as many divisions on each request.
_PAIRS = tuple(low + high for high in ALPHABET for low in ALPHABET)

#: How many tags there are.
_TAGS = len(ALPHABET) ** TAG_LENGTH
_PREFIX = re.compile(r"[0-9A-Za-z]{1,16}\Z")


@dataclass(frozen=True, kw_only=True)
class KeyText(SecretProof):
    """The parts of a whole key. As a proof, its ``text`` is all before the tag: what a verifier is made of."""

    mode: str
    key_id: str
    tag: str = field(repr=False)

    @property
    def plaintext(self) -> str:
        """The whole key as a person copies it."""
        return self.text + self.tag

    def is_tagged_by(self, tag_secrets: Iterable[bytes]) -> bool:
        """Whether one of *tag_secrets* made the tag."""
        for tag_secret in tag_secrets:  # noqa: SIM110  # a generator takes as long as the tag
            if hmac.compare_digest(self.tag, _tag(self.text, tag_secret)):
                return True
        return False


@dataclass(frozen=True, kw_only=True)
class UntaggedKey:
    """A new key that still lacks its tag."""

    key_id: str
    body: str = field(repr=False)

    def tagged(self, tag_secret: bytes) -> str:
        """Return the plaintext, tagged by *tag_secret*."""
        return self.body + _tag(self.body, tag_secret)


def is_valid_prefix(prefix: str) -> bool:
    """Whether *prefix* is 1 to 16 letters and digits."""
    return _PREFIX.match(prefix) is not None


def generate(*, prefix: str, mode: str) -> UntaggedKey:
    """Return a new key of 256 random bits and a random, public ``key_id``."""
    key_id = _random_text(KEY_ID_LENGTH)
    return UntaggedKey(key_id=key_id, body=f"{prefix}_{mode}_{key_id}_{_random_text(SECRET_LENGTH)}")


def parse(text: str, *, prefix: str) -> KeyText:
    """
    Return the parts of *text*.

    Raises:
        MalformedKeyError: If the prefix, the mode, the length or the alphabet is not that of a key.
    """
    # Of one length, which bounds the work for a header of any size.
    whole = _whole_key(prefix).fullmatch(text)
    if whole is None:
        raise MalformedKeyError
    return KeyText(mode=whole[1], key_id=whole[2], text=text[:-TAG_LENGTH], tag=text[-TAG_LENGTH:])


def mask(*, prefix: str, mode: str, key_id: str) -> str:
    """Return how a key is written everywhere but on its reveal page: ``ak_live_4Qm9Zt…``."""
    return f"{prefix}_{mode}_{key_id[:6]}…"


def key_pattern(prefix: str) -> re.Pattern[str]:
    """
    Return a pattern that finds a key, or the leaking part of one, inside any text.

    It takes a key id and at least eight characters behind it, so that a key cut off by a log line is found too.
    """
    least = rf"{re.escape(prefix)}_(?:{'|'.join(MODES)})_[0-9A-Za-z]{{{KEY_ID_LENGTH}}}_[0-9A-Za-z]{{8,}}"
    return re.compile(least)


def keys_in(text: str, *, prefix: str) -> Iterator[str]:
    """Yield the keys in *text*, whole or cut off as ``key_pattern`` says, also where nothing stands between them."""
    return (found[0] for found in _any_key(prefix).finditer(text))


def key_id_in(text: str, *, prefix: str) -> str | None:
    """Return the key id of the first key in *text*, whole or cut off as ``key_pattern`` says; None for no key."""
    found = key_pattern(prefix).search(text)
    return None if found is None else found[0].split("_")[2]


def new_tag_secret() -> bytes:
    """Return 256 random bits that tag new keys."""
    return secrets.token_bytes(TAG_SECRET_BYTES)


@lru_cache(maxsize=8)
def _whole_key(prefix: str) -> re.Pattern[str]:
    secret_and_tag = f"[0-9A-Za-z]{{{SECRET_LENGTH + TAG_LENGTH}}}"
    return re.compile(rf"{re.escape(prefix)}_({'|'.join(MODES)})_([0-9A-Za-z]{{{KEY_ID_LENGTH}}})_{secret_and_tag}")


@lru_cache(maxsize=8)
def _any_key(prefix: str) -> re.Pattern[str]:
    start = rf"{re.escape(prefix)}_(?:{'|'.join(MODES)})_"
    # Neither longer than a key nor into the next one: fields of one line lose the line breaks of what is pasted.
    rest = rf"(?:(?!{start})[0-9A-Za-z]){{8,{SECRET_LENGTH + TAG_LENGTH}}}"
    return re.compile(rf"{start}[0-9A-Za-z]{{{KEY_ID_LENGTH}}}_{rest}")


def _random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _tag(body: str, tag_secret: bytes) -> str:
    # The secret is MACed whole and the body is all of the message, so no length prefix is needed.
    mac = _keyed(tag_secret).copy()
    mac.update(body.encode("ascii"))
    # Small before it is taken apart: large numbers divide slowly.
    number = int.from_bytes(mac.digest(), "big") % _TAGS
    letters = ""
    for _ in range(TAG_LENGTH // 2):
        number, index = divmod(number, len(_PAIRS))
        letters += _PAIRS[index]
    return letters


@lru_cache(maxsize=16)
def _keyed(tag_secret: bytes) -> hashlib.blake2b:
    # Taking the key in is half the work, and the same each time.
    return hashlib.blake2b(key=tag_secret, digest_size=16, person=b"apikeys-tag")
