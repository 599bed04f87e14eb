"""One authenticated request under way, as it is counted when it is answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from .networks import Address
from .principals import Principal

#: Why a verified caller was sent away, where the status alone does not tell.
RefusedAs = Literal["", "limited", "scope_missing"]
#: Where the HttpRequest carries its call.
ATTRIBUTE = "apikeys_call"


class Call:
    """Who is calling, and what was asked of the credential so far."""

    __slots__ = ("address", "is_uncounted", "principal", "refused_as", "scopes")

    def __init__(self, principal: Principal, *, address: Address | None = None) -> None:
        self.principal = principal
        #: As ``request_parts`` read it.
        self.address = address
        #: The scopes that the request needed, of those that the credential has: the same set.
        self.scopes = principal.needed
        self.refused_as: RefusedAs = ""
        #: Whether it was let in because nobody could tell what its rates have left.
        self.is_uncounted = False


def call_of(request: Any) -> Call | None:
    """Return the call of *request*, an ``HttpRequest``; None where nobody presented a credential of ours."""
    found = getattr(request, ATTRIBUTE, None)
    return found if isinstance(found, Call) else None


def note_scopes(request: Any, names: Iterable[str]) -> None:
    """Note that *request* needs *names*."""
    call = call_of(request)
    if call is not None:
        call.scopes.update(names)


def note_refusal(request: Any, refused_as: RefusedAs) -> None:
    """Note why *request* is sent away. Where it is let in after all, its status says so."""
    call = call_of(request)
    if call is not None:
        call.refused_as = refused_as


def note_uncounted(request: Any) -> None:
    """Note that *request* was let in though its rates could not be counted."""
    call = call_of(request)
    if call is not None:
        call.is_uncounted = True
