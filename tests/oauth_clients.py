"""The page of a client as a person fills it in who says how it signs in."""

from __future__ import annotations

import struct
import zlib
from typing import Any

CALLBACK = "https://summariser.example/callback"


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*, width: int = 1, height: int = 1, depth: int = 8, extra: bytes = b"") -> bytes:
    """Return a grey PNG; *extra* stands before its end, as whole chunks."""
    header = struct.pack(">II5B", width, height, depth, 0, 0, 0, 0)
    rows = (b"\x00" + b"\x80" * width) * height
    image = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + image + extra + png_chunk(b"IEND", b"")


PNG = png()


def sign_in_fields(**changed: Any) -> dict[str, Any]:
    """Return what is filled in for a third-party app; None leaves a field out."""
    fields = {
        "name": "LLM Summariser",
        "kind": "third_party",
        "description": "",
        "contact": "",
        "owner": "",
        "allowed_scopes-0": "todo:read todo:write",
        "max_key_lifetime": "",
        "allowed_networks": "",
        "is_active": "on",
        "sign_in": "authorization-code",
        "redirect_uris": CALLBACK,
        "minimum_scopes": ["todo:read"],
        "optional_scopes": ["todo:write"],
        "publisher": "Hooli Labs",
        "website": "https://summariser.example/",
        "privacy_policy": "",
        **changed,
    }
    return {name: value for name, value in fields.items() if value is not None}
