"""``HttpRequest`` to ``RequestParts``: the only reader of META and of proxies."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from django.conf import settings as django_settings
from django.http import HttpRequest

from .conf import settings
from .core.credentials import RequestParts
from .core.networks import Address, parse_address, parse_network

_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
_FORWARDED_PROTO = "HTTP_X_FORWARDED_PROTO"
#: A header that is longer comes from nobody honest, and walking it costs.
_MOST_HOPS = 32
UNIX = "unix"
#: Where the HttpRequest says that it has waited for a slow hash in vain.
_HAS_WAITED = "apikeys_has_waited"


def read(request: HttpRequest) -> RequestParts:
    """Return the parts of *request* that a credential can depend on."""
    meta = request.META
    peer = meta.get("REMOTE_ADDR", "")
    trusted = settings.TRUSTED_PROXIES
    behind_proxy = bool(trusted) and _is_trusted(peer, trusted)
    headers = {}
    if (value := meta.get("HTTP_AUTHORIZATION")) is not None:
        headers["authorization"] = value
    if (value := meta.get("HTTP_X_API_KEY")) is not None:
        headers["x-api-key"] = value
    return RequestParts(
        headers=headers,
        query_string=meta.get("QUERY_STRING", ""),
        address=_client_address(request, trusted=trusted) if behind_proxy else parse_address(peer),
        is_secure=_was_secure(request) if behind_proxy else _is_https(request),
        has_waited=hasattr(request, _HAS_WAITED),
    )


def note_wait(request: HttpRequest) -> None:
    """Note that *request* has waited for a check of its credential in vain, so that it does not wait once more."""
    setattr(request, _HAS_WAITED, True)


def _client_address(request: HttpRequest, *, trusted: tuple[str, ...]) -> Address | None:
    address = parse_address(request.META.get("REMOTE_ADDR", ""))
    if _FORWARDED_FOR not in request.META:
        return address
    # From the right: each hop was written by the one behind it, and the leftmost by whoever likes to.
    hops = request.META[_FORWARDED_FOR].split(",")[-_MOST_HOPS:]
    for hop in reversed(hops):
        address = parse_address(hop)
        if address is None or not _in_networks(address, trusted):
            return address
    return address


def _was_secure(request: HttpRequest) -> bool:
    name, secure_value = getattr(django_settings, "SECURE_PROXY_SSL_HEADER", None) or (_FORWARDED_PROTO, "https")
    if name not in request.META:
        return _is_https(request)
    # Also where the proxy itself came over TLS: it knows of a hop in the clear.
    protocols = [value.strip().lower() for value in request.META[name].split(",")]
    return all(value == secure_value.lower() for value in protocols)


def _is_https(request: HttpRequest) -> bool:
    # Not request.is_secure(): its SECURE_PROXY_SSL_HEADER believes whoever sends the header. The stubs lack the
    # method, which every handler's request has.
    return bool(request._get_scheme() == "https")  # type: ignore[attr-defined]  # noqa: SLF001


def _is_trusted(peer: str, trusted: tuple[str, ...]) -> bool:
    if not peer:
        # A server behind a socket has no address to give.
        return UNIX in trusted
    address = parse_address(peer)
    return address is not None and _in_networks(address, trusted)


def _in_networks(address: Address, trusted: tuple[str, ...]) -> bool:
    return any(address in network for network in _networks(trusted))


@lru_cache(maxsize=8)
def _networks(trusted: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(network for text in trusted if text != UNIX and (network := parse_network(text)) is not None)
