"""Which addresses an authorization code may be sent to (RFC 9700 section 4.1, RFC 8252 sections 7 and 8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from django.utils.translation import gettext as _

from ..core.errors import RedirectRefusedError

MOST_REDIRECTS = 20
MOST_CHARACTERS = 1000
#: Hosts that may do without https: what is sent there stays on the device.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: Those of RFC 3986. A host with other letters has an ASCII form (IDNA), in which look-alikes look unlike.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]!$&'()+,;=%@#*]+\Z")
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\Z")
#: A reversed domain name, so that it has an owner (RFC 8252 section 7.1).
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+\Z")
_HALF_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def clean_redirects(lines: Sequence[str], *, is_public: bool) -> list[str]:
    """
    Return *lines* without space around them, empty lines and repetition, otherwise as they were written.

    *is_public* says that the app keeps no secret: only such an app lives on people's devices and may have a scheme of
    its own.

    Raises:
        RedirectRefusedError: If a line is no address that may be registered; the message says why.
    """
    redirects = list(dict.fromkeys(filter(None, (line.strip() for line in lines))))
    if len(redirects) > MOST_REDIRECTS:
        message = _("At most %(most)d redirect addresses can be listed.") % {"most": MOST_REDIRECTS}
        raise RedirectRefusedError(message, text="")
    for text in redirects:
        if reason := _why_not(text, is_public=is_public):
            raise RedirectRefusedError(reason, text=text)
    return redirects


def _why_not(text: str, *, is_public: bool) -> str:
    """Return why *text* can't be registered; empty where it can."""
    if len(text) > MOST_CHARACTERS:
        return _("A redirect address may have at most %(most)d characters.") % {"most": MOST_CHARACTERS}
    parts = _split(text)
    if parts is None:
        return _no_address(text)
    if reason := _why_not_such_a_text(text, parts):
        return reason % {"text": text}
    if parts.scheme == "https":
        return "" if _is_host(parts.hostname or "") else _no_address(text)
    if parts.scheme == "http":
        is_here = parts.hostname in LOOPBACK
        return "" if is_here else _("Use https. Only 127.0.0.1, [::1] and localhost may use http.")
    return _why_not_such_a_scheme(text, parts, is_public=is_public)


def _why_not_such_a_text(text: str, parts: SplitResult) -> str:
    if "#" in text:
        return _("“%(text)s” has a fragment (#), which a redirect address must not have.")
    if "@" in parts.netloc:
        return _("“%(text)s” holds a user name, which a redirect address must not have.")
    if "*" in text:
        return _("“%(text)s” holds a *. Each redirect address must be written in full.")
    # Browsers resolve them, also escaped, and go to another address than the one that was compared.
    if {".", ".."} & set(unquote(parts.path).replace("\\", "/").split("/")):
        return _("“%(text)s” holds . or .. as a part of its path.")
    return ""


def _why_not_such_a_scheme(text: str, parts: SplitResult, *, is_public: bool) -> str:
    if not _PRIVATE_SCHEME.match(parts.scheme):
        return _no_address(text)
    if not is_public:
        message = _("Only an app that keeps no secret may have a scheme of its own: “%(text)s”.")
        return message % {"text": text}
    if not re.match(r"[^:]+:/(?!/)", text):
        return _("Write an address with a scheme of its own as com.example.app:/callback, with one slash.")
    return ""


def _no_address(text: str) -> str:
    message = _("“%(text)s” is not an address. Write it in full and in ASCII, as https://app.example/callback.")
    return message % {"text": text}


def _split(text: str) -> SplitResult | None:
    if not _CHARACTERS.match(text) or _HALF_ESCAPE.search(text):
        return None
    try:
        parts = urlsplit(text)
        # Asking is what raises.
        has_port = parts.port != 0
    except ValueError:
        return None
    # ``https://app.example:/`` has a port that is none.
    if not has_port or parts.netloc.endswith(":") or not text.startswith(f"{parts.scheme}:"):
        return None
    return parts


def _is_host(host: str) -> bool:
    # ``urlsplit`` has checked what stands in brackets.
    return ":" in host or bool(_NAME.match(host))
