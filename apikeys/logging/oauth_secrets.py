"""What of a failed request is a secret of OAuth: no shape tells, but its name does (RFC 6749, 7636, 8628)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from django.http import HttpRequest
from django.utils.html import escape

_NAMES = frozenset(
    {
        "access_token",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "raw_token",
        "refresh_token",
        "secret",
        "token",
        "user_code",
    }
)
_AUTHORIZATION = frozenset({"authorization", "http_authorization"})
#: Shorter texts of these names are codes of errors and the like, and would be found everywhere.
_SHORTEST = {"user_code": 8}
_SHORTEST_ELSE = 16
_MOST_LEVELS = 4
_MOST_MEMBERS = 200
#: Longer texts are not looked into: no answer and no address of OAuth is.
_LONGEST_TEXT = 20_000


def secrets_of(request: HttpRequest | None, variables: Iterable[tuple[str, Any]]) -> set[str]:
    """
    Return the secrets in the parameters and headers of *request* and in *variables*, pairs of name and value.

    Each as it stands in addresses, in Python and in HTML, too.
    """
    found: set[str] = set()
    if request is not None:
        found.update(_in_authorization(request.META.get("HTTP_AUTHORIZATION", "")))
        for name in ("GET", "POST"):
            with suppress(Exception):  # what can't be read has no parameters to show
                found.update(_in_members(getattr(request, name)))
    for name, value in variables:
        with suppress(Exception):  # what foreign classes raise when they are read is not known
            found.update(_named(name, value, level=0))
    shown = {form for secret in found for form in _forms(secret)}
    return shown | {str(escape(form)) for form in shown}


def _forms(secret: str) -> tuple[str, ...]:
    # JSON may hold half a letter, which has no bytes: nobody could have put it into an address.
    encoded = secret.encode(errors="replace")
    return secret, quote(encoded), quote_plus(encoded), repr(secret)[1:-1]


def _in_members(members: Mapping[Any, Any], *, level: int = 0) -> Iterator[str]:
    lists = getattr(members, "lists", members.items)
    for name, value in islice(lists(), _MOST_MEMBERS):
        yield from _named(name, value, level=level)


def _named(name: object, value: Any, *, level: int) -> Iterator[str]:
    if level == _MOST_LEVELS:
        return
    lowered = name.lower() if type(name) is str else ""
    # Always by the type: isinstance() would have a lazy object load what it stands for.
    kind = type(value)
    if kind is str:
        if lowered in _AUTHORIZATION:
            yield from _in_authorization(value)
        elif lowered in _NAMES and len(value) >= _SHORTEST.get(lowered, _SHORTEST_ELSE):
            yield value
        elif len(value) <= _LONGEST_TEXT:
            yield from _in_members(_packed(value), level=level + 1)
    elif issubclass(kind, Mapping):
        yield from _in_members(value, level=level + 1)
    elif issubclass(kind, list | tuple):
        for item in value[:_MOST_MEMBERS]:
            yield from _named(name, item, level=level + 1)


def _packed(text: str) -> Mapping[Any, Any]:
    """Return the members of *text* where it is a JSON object, a form or an address with parameters."""
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
    return dict(parse_qsl(text.partition("?")[2] or text)) if "=" in text else {}


def _in_authorization(header: str) -> Iterator[str]:
    scheme, _, credentials = header.partition(" ")
    credentials = credentials.strip()
    if len(credentials) < _SHORTEST_ELSE:
        return
    yield credentials
    if scheme.lower() == "basic":
        try:
            _user, _, password = base64.b64decode(credentials).decode().partition(":")
        except ValueError:  # no Base64, or no text; letters beyond ASCII are no error of binascii's own
            return
        if len(password) >= _SHORTEST_ELSE:
            yield from {password, unquote(password)}
