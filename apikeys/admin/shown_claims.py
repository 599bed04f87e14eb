"""What a key says besides scopes, who said so, and who is told."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from ..core.claims import Claim, counting
from ..forms.claims import in_words
from ..models import APIKey, Client
from ..registry import declared_claims


@dataclass(frozen=True, kw_only=True)
class ShownClaim:
    """One claim that counts."""

    name: str
    label: str
    value: str
    #: Who said so: this key or the client.
    source: str
    #: Who is told besides this site.
    readers: str


def claims_of_key(key: APIKey) -> list[ShownClaim]:
    """Return what counts of what *key* and its client say. No query."""
    counted = counting(declared_claims(), key.client.claims, key.claims)
    return [
        _shown(name, value, source=_("this key") if name in key.claims else _("the client"))
        for name, value in counted.items()
    ]


def claims_of_client(client: Client) -> list[ShownClaim]:
    """Return what counts of what *client* says. No query."""
    counted = counting(declared_claims(), client.claims)
    return [_shown(name, value, source=_("the client")) for name, value in counted.items()]


def _shown(name: str, value: object, *, source: str) -> ShownClaim:
    claim = declared_claims()[name]
    return ShownClaim(name=name, label=str(claim.label), value=in_words(value), source=source, readers=_readers(claim))


def _readers(claim: Claim) -> str:
    if claim.visible_to is None:
        return _("each API server that may know the key")
    return ", ".join(sorted(claim.visible_to)) or _("nobody else")
