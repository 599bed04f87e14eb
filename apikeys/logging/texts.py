"""Keys inside of texts, masked: ``ak_live_4Qm9Zt…``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from urllib.parse import unquote

from ..conf import settings
from ..core import keyformat

#: A text with neither this nor the prefix and an underscore holds no key.
_ENCODED = "%"
#: Whoever encodes an address that is encoded already encodes the "%".
_ESCAPE = "%(?:25)*"
_MOST_ENCODINGS = 8
#: What is masked besides keys, here and now.
_others: ContextVar[tuple[str, ...]] = ContextVar("apikeys_masked_besides_keys", default=())
_HIDDEN = "…"


@contextmanager
def masking_also(secrets: Iterable[str]) -> Iterator[None]:
    """Mask *secrets* as well, wherever they stand in a text, as long as the context lasts."""
    # A long one may hold a short one.
    token = _others.set(tuple(sorted(secrets, key=len, reverse=True)))
    try:
        yield
    finally:
        _others.reset(token)


def mask_text(text: str) -> str:
    """
    Return *text* with each key masked; *text* itself where there is none.

    A key that is cut off, percent-encoded or in other letters, upper for lower, is found too.
    """
    for secret in _others.get():
        text = text.replace(secret, _HIDDEN)
    prefix = settings.PREFIX
    return _pattern(prefix).sub(_masked, text) if _may_hold_key(text, prefix) else text


def mask_bytes(data: bytes) -> bytes:
    """Return *data* with each key masked; *data* itself where there is none."""
    for secret in _others.get():
        # Half a letter, as JSON may hold it, has no bytes.
        data = data.replace(secret.encode(errors="replace"), _HIDDEN.encode())
    prefix = settings.PREFIX
    # Each byte is a letter of this alphabet, and the ellipsis three of them.
    text = data.decode("latin-1")
    if not _may_hold_key(text, prefix):
        return data
    masked = _pattern(prefix).sub(lambda found: _masked(found).encode().decode("latin-1"), text)
    return data if masked == text else masked.encode("latin-1")


def _may_hold_key(text: str, prefix: str) -> bool:
    # Runs over every text that is logged; the pattern would take ten times as long.
    return _ENCODED in text or _start(prefix) in text.lower()


@lru_cache(maxsize=8)
def _start(prefix: str) -> str:
    return f"{prefix}_".lower()


def _masked(found: re.Match[str]) -> str:
    prefix, mode, key_id = (_decoded(part) for part in found.groups())
    return keyformat.mask(prefix=prefix, mode=mode, key_id=key_id)


def _decoded(text: str) -> str:
    for _ in range(_MOST_ENCODINGS):
        if _ENCODED not in text:
            break
        text = unquote(text)
    return text


@lru_cache(maxsize=8)
def _pattern(prefix: str) -> re.Pattern[str]:
    # More than ``keyformat.key_pattern`` takes: nothing is decided here, and too much masked costs nothing.
    modes = "|".join("".join(map(_letter, mode)) for mode in keyformat.MODES)
    any_letter = rf"(?:[0-9a-z]|{_ESCAPE}(?:3[0-9]|[46][1-9a-f]|[57][0-9a]))"
    key_id = rf"{any_letter}{{{keyformat.KEY_ID_LENGTH}}}"
    line = _letter("_")
    # Where keys stand side by side, the secret of the first takes the prefix of the second along.
    more = rf"(?:{line}(?:{modes}){line}{key_id}{line}{any_letter}+)*"
    return re.compile(
        rf"({''.join(map(_letter, prefix))}){line}({modes}){line}({key_id}){line}{any_letter}+{more}",
        flags=re.IGNORECASE,
    )


def _letter(letter: str) -> str:
    codes = {f"{ord(form):02x}" for form in (letter.lower(), letter.upper())}
    return rf"(?:{re.escape(letter)}|{_ESCAPE}(?:{'|'.join(sorted(codes))}))"
