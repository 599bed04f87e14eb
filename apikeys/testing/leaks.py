"""A scan for a secret in everything that outlives a response: tables, sessions, messages, caches, cookies, logs."""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterable, Iterator, Mapping
from http.cookies import SimpleCookie
from typing import Any

from django.core import signing
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.db import connections

from ..conf import settings
from ..core import keyformat
from ..core.errors import CredentialError

#: A piece of a secret this long is found too, as in a line that was cut off.
_PIECE = 12


def assert_not_stored(plaintext: str, *, also: Mapping[str, object] | None = None) -> None:
    """
    Assert that neither *plaintext* nor a part of its secret is in any table or cache, or in *also*.

    *plaintext* is a key, or any other secret: an access token, a refresh token, a code, a client secret. *also* holds
    what the process can't find by itself, by what to call it: log text, headers, a client's cookies.
    What Django signs and packs, such as sessions and messages, is unpacked first.

    Raises:
        AssertionError: If it is; the message names the places, never the secret.
    """
    what, secret = _named(plaintext)
    starts = range(0, len(secret) - _PIECE + 1, _PIECE) if len(secret) >= 2 * _PIECE else ()
    pieces = {plaintext, *(secret[start : start + _PIECE] for start in starts), secret[-_PIECE:]}
    places = (*_tables(), *_caches(), *((place, _text(value)) for place, value in (also or {}).items()))
    found = {place for place, text in places for layer in _layers(text) if any(piece in layer for piece in pieces)}
    assert not found, f"the secret{what} is in: {', '.join(sorted(found))}"


def _named(plaintext: str) -> tuple[str, str]:
    """Return what a message may call *plaintext*, and the part of it that is secret."""
    try:
        key = keyformat.parse(plaintext, prefix=settings.PREFIX)
    except CredentialError:
        return "", plaintext
    return f" of key {key.key_id}", plaintext.rpartition("_")[2]


def _tables() -> Iterator[tuple[str, str]]:
    for connection in connections.all():
        quote = connection.ops.quote_name
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"SELECT * FROM {quote(table)}")  # noqa: S608  # a name from the database itself
                columns = [column[0] for column in cursor.description]
                for row in cursor.fetchall():
                    yield from ((f"{table}.{column}", _text(value)) for column, value in zip(columns, row, strict=True))


def _caches() -> Iterator[tuple[str, str]]:
    for alias in caches:
        for name, value in _entries(caches[alias]):
            yield f"cache {alias!r}", _text(name)
            yield f"cache {alias!r}", _text(value)


def _entries(cache: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(cache, DummyCache):
        return []
    if isinstance(cache, LocMemCache):
        return list(cache._cache.items())  # type: ignore[attr-defined]  # noqa: SLF001  # it can't list its entries
    if isinstance(cache, RedisCache):
        client = cache._cache.get_client()  # noqa: SLF001  # likewise
        return [(name, client.dump(name)) for name in client.scan_iter()]
    message = f"{type(cache).__name__} can't be scanned: run this test on the local memory, Redis or dummy cache."
    raise TypeError(message)


def _text(value: object) -> str:
    if isinstance(value, SimpleCookie):
        return "\n".join(f"{name}={morsel.value}" for name, morsel in value.items())
    if isinstance(value, bytes | bytearray | memoryview):
        # Every byte is a letter of this alphabet, so a secret inside stays readable.
        return bytes(value).decode("latin-1")
    return str(value)


def _layers(text: str) -> Iterator[str]:
    """Yield *text*, and what is inside where it is, or has in its lines, an object that Django signed."""
    yield text
    for line in text.splitlines():
        packed = line.partition("=")[2] or line
        body, separator, _rest = packed.strip('"').partition(":")
        if not separator:
            continue
        try:
            data = signing.b64_decode(body.removeprefix(".").encode())
            yield (zlib.decompress(data) if body.startswith(".") else data).decode("latin-1")
        except (binascii.Error, UnicodeError, ValueError, zlib.error):
            # Any other text with a colon.
            continue
