"""Addresses that requests can be sent to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

_HTTPS_PORT, _HTTP_PORT = 443, 80


@dataclass(frozen=True, kw_only=True)
class Place:
    """What an ``https://`` or ``http://`` address names."""

    host: str
    port: int
    is_secure: bool
    path: str

    @property
    def default_port(self) -> int:
        """The port that addresses of this kind leave out."""
        return _default_port(is_secure=self.is_secure)


def place_of(address: str) -> Place | None:
    """Return what *address* names, as the settings may name the authority: without a query or a password; else None."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return None
    # A path beyond ASCII fits in no request.
    if parts.scheme not in {"https", "http"} or not host or not parts.path.isascii():
        return None
    if parts.query or parts.fragment or parts.username is not None:
        return None
    is_secure = parts.scheme == "https"
    return Place(host=host, port=port or _default_port(is_secure=is_secure), is_secure=is_secure, path=parts.path)


def _default_port(*, is_secure: bool) -> int:
    return _HTTPS_PORT if is_secure else _HTTP_PORT
