"""Claims: what a client or a key says of itself besides scopes, in words that the project declared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

from .claim_names import is_claim_name, may_be_declared
from .errors import ClaimSyntaxError
from .letters import is_unprintable

Kind = Literal["text", "integer", "number", "boolean", "texts"]
Values = Mapping[str, Any]

KINDS: tuple[Kind, ...] = ("text", "integer", "number", "boolean", "texts")
#: In ``visible_to``: each API server that may see the credential.
SERVERS = "servers"
#: Of all claims of one client, or of one key, as JSON: they stand in each token.
MOST_BYTES = 1024

#: Beyond it readers of JSON disagree about whole numbers (RFC 7493 section 2.2).
_LARGEST = 2**53 - 1
_MEMBERS = {"type", "choices", "visible_to", "label", "text"}
_NONE: Values = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim that may be said of clients and keys."""

    name: str
    kind: Kind
    #: What it may be; empty for anything of its kind. Of a list, what each item may be.
    choices: tuple[Any, ...] = ()
    #: Audiences that are told, ``None`` for each one that may see the credential. Nobody but this site by default.
    visible_to: frozenset[str] | None = frozenset()
    #: For people: a few words, and a sentence. May be lazy translations.
    label: str = ""
    text: str = ""

    def takes(self, value: Any) -> bool:
        """Whether *value* is of the kind and among the choices of this claim."""
        if self.kind != "texts":
            return _is_of(self.kind, value) and (not self.choices or value in self.choices)
        items = value if isinstance(value, list | tuple) and len(value) == len(set(map(repr, value))) else ()
        return bool(items) and all(_is_of("text", item) and item in (self.choices or (item,)) for item in items)

    def is_visible_to(self, audience: str) -> bool:
        """Whether *audience*, which may see the credential, is told."""
        return self.visible_to is None or audience in self.visible_to


def claim_from_declaration(name: object, declaration: object) -> Claim:
    """
    Return the claim that the setting ``CLAIMS`` declares.

    *declaration* is a type, one of ``KINDS``, or a dict with ``type`` and any of ``choices``, ``visible_to``,
    ``label`` and ``text``.

    Raises:
        ClaimSyntaxError: If the name means something already, or name or declaration can't be read.
    """
    if not may_be_declared(name):
        problem = "means something in tokens already" if is_claim_name(name) else "is not the name of a claim"
        message = f"{name!r} {problem}: use a name of your own, of lower-case letters, digits and underscores."
        raise ClaimSyntaxError(message)
    members = {"type": declaration} if isinstance(declaration, str) else declaration
    if not isinstance(members, Mapping):
        message = f"Claim {name!r} needs a type or a dict, not {declaration!r}."
        raise ClaimSyntaxError(message)
    if unknown := sorted(map(str, set(members) - _MEMBERS)):
        message = f"Claim {name!r} has unknown members: {', '.join(unknown)}."
        raise ClaimSyntaxError(message)
    kind = members.get("type")
    if kind not in KINDS:
        message = f"Claim {name!r} has the type {kind!r}, but types are {', '.join(KINDS)}."
        raise ClaimSyntaxError(message)
    return Claim(
        name=str(name),
        kind=cast("Kind", kind),
        choices=_choices(name, members.get("choices", ()), kind=cast("Kind", kind)),
        visible_to=_readers(name, members.get("visible_to", ())),
        label=members.get("label") or str(name).replace("_", " ").capitalize(),
        text=members.get("text", ""),
    )


def readable(declarations: Any) -> dict[str, Claim]:
    """Return the claims in *declarations* by name, without those that can't be read: nobody has these."""
    claims = {}
    for name, declaration in declarations.items() if isinstance(declarations, Mapping) else ():
        try:
            claims[name] = claim_from_declaration(name, declaration)
        except ClaimSyntaxError:
            continue
    return claims


def counting(declared: Mapping[str, Claim], *said: Values) -> Values:
    """
    Return what counts of the claims that were *said*, where the later goes before the earlier.

    What is not declared, or no longer as its declaration wants it, is absent. It gives no way to an earlier one: what
    a key says in place of its client may have been meant to be less.
    """
    if not any(said):
        return _NONE
    values = {name: value for each in said for name, value in each.items()}
    counted = {name: value for name, value in values.items() if name in declared and declared[name].takes(value)}
    return MappingProxyType(counted)


def visible(claims: Values, declared: Mapping[str, Claim], *, audience: str) -> dict[str, Any]:
    """
    Return what *audience* is told of *claims*: declared, as their declarations want them, and meant for it.

    No name that means something else in a token is among them, whatever was declared.
    """
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in counting(declared, claims).items()
        if may_be_declared(name) and declared[name].is_visible_to(audience)
    }


def size_of(claims: Values) -> int:
    """Return how many bytes *claims* are as JSON."""
    return len(json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode())


def _is_of(kind: Kind, value: Any) -> bool:
    if kind == "text":
        return isinstance(value, str) and value == value.strip() != "" and not any(map(is_unprintable, value))
    if kind == "boolean":
        return isinstance(value, bool)
    # True is a number for Python.
    if isinstance(value, bool) or not isinstance(value, int if kind == "integer" else int | float):
        return False
    # Neither of what is no number, nor of what has no end.
    return abs(value) <= _LARGEST


def _choices(name: object, given: object, *, kind: Kind) -> tuple[Any, ...]:
    if not isinstance(given, list | tuple):
        message = f"Claim {name!r}: choices must be a list."
        raise ClaimSyntaxError(message)
    if given and kind == "boolean":
        message = f"Claim {name!r} is yes or no, and has no other choices."
        raise ClaimSyntaxError(message)
    for choice in given:
        if not _is_of("text" if kind == "texts" else kind, choice):
            message = f"Claim {name!r} can't be {choice!r}, which is among its choices."
            raise ClaimSyntaxError(message)
    return tuple(given)


def _readers(name: object, given: object) -> frozenset[str] | None:
    if given == SERVERS:
        return None
    # A text is a list of letters to Python, of which none is an audience.
    audiences: Iterable[Any] = given if isinstance(given, list | tuple | set | frozenset) else [None]
    if not all(isinstance(audience, str) and audience for audience in audiences):
        message = f"Claim {name!r}: visible_to must be {SERVERS!r} or a list of audiences."
        raise ClaimSyntaxError(message)
    return frozenset(audiences)
