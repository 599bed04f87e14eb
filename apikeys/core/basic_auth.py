"""HTTP Basic as clients of OAuth use it (RFC 6749 section 2.3.1)."""

from __future__ import annotations

import base64
from urllib.parse import unquote_plus


def read(authorization: str) -> tuple[str, str] | None:
    """
    Return client id and secret of an ``Authorization`` header, None where it is of another scheme.

    Raises:
        ValueError: If they can't be read.
    """
    scheme, _space, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:
        # Without the cause: the error of the decoder holds what it was given.
        raise ValueError("not Base64 of UTF-8") from None
    if not colon:
        raise ValueError("no colon")
    return unquote_plus(client_id), unquote_plus(secret)
