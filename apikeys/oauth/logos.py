"""Logos of clients: PNG, small, and nothing else in the file (PNG third edition, sections 5 and 11)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from ..core.errors import LogoRefusedError
from .models import MOST_LOGO_BYTES

#: In pixels, either way.
MOST_PIXELS = 512
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">II5B")
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    name: bytes
    data: bytes


def clean_logo(data: bytes) -> bytes:
    """
    Return *data*.

    Raises:
        LogoRefusedError: If it is no whole PNG of at most ``MOST_LOGO_BYTES`` and ``MOST_PIXELS`` each way, if it
            moves, or if anything stands behind its end.
    """
    if len(data) > MOST_LOGO_BYTES:
        message = _("The logo may have at most %(most)d KiB.") % {"most": MOST_LOGO_BYTES // 1024}
        raise LogoRefusedError(message)
    try:
        chunks = list(_chunks(data))
        header, end = chunks[0], chunks[-1]
        width, height, depth, colour, *methods = _HEADER.unpack(header.data)
    except (struct.error, IndexError, ValueError) as error:
        raise LogoRefusedError(_("The logo must be a PNG file.")) from error
    names = [chunk.name for chunk in chunks]
    is_whole = header.name == b"IHDR" and end.name == b"IEND" and b"IDAT" in names and names.count(b"IHDR") == 1
    # A picture that moves could say one thing to whoever checks the app, and another later.
    is_still = b"acTL" not in names
    if not (is_whole and is_still) or depth not in _DEPTHS.get(colour, ()) or methods[:2] != [0, 0] or methods[2] > 1:
        raise LogoRefusedError(_("The logo must be a PNG file."))
    if not (0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS):
        raise LogoRefusedError(_("The logo may have at most %(most)d × %(most)d pixels.") % {"most": MOST_PIXELS})
    return data


def _chunks(data: bytes) -> Iterator[_Chunk]:
    if not data.startswith(_SIGNATURE):
        raise ValueError
    position, name = len(_SIGNATURE), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if zlib.crc32(name + content) != checksum:
            raise ValueError
        position += 12 + length
        yield _Chunk(name=name, data=content)
    # What follows the end could be another kind of file.
    if position != len(data):
        raise ValueError
