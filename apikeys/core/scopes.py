"""Scopes: named permissions with a sentence for people, declared in code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .errors import ScopeSyntaxError, UndeclaredScopeError

#: ``scope-token`` of RFC 6749 section 3.3: printable ASCII without space, ``"`` and ``\``.
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,100}\Z")
_MEMBERS = {"resource", "label", "text", "sensitive", "permissions"}
_MOST_EXPLAINED = 10
#: Scopes with this beginning are declared by the app and granted by superusers only.
RESERVED_BEGINNING = "apikeys:"
#: What an API server holds, to ask about the keys and tokens of others.
INTROSPECT = f"{RESERVED_BEGINNING}introspect"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One named permission."""

    name: str
    #: What it is about; scopes of one resource stand together on screen. May be a lazy translation.
    resource: str
    #: A few words: ``"Read and write"``.
    label: str
    #: One sentence that says what a holder can do.
    text: str
    sensitive: bool = False
    #: Django permissions, ``"app_label.codename"``, that the person a key acts for must hold.
    permissions: tuple[str, ...] = ()

    @property
    def is_reserved(self) -> bool:
        """Whether only superusers may grant it."""
        return self.name.startswith(RESERVED_BEGINNING)


def is_scope_name(name: object) -> bool:
    """Whether *name* is a scope-token of at most 100 characters."""
    return isinstance(name, str) and _SCOPE_TOKEN.match(name) is not None


def scope_from_declaration(name: str, declaration: object) -> Scope:
    """
    Return the scope that a setting or an ``api_scopes.py`` declares.

    *declaration* is a sentence, or a dict with any of ``resource``, ``label``, ``text``, ``sensitive`` and
    ``permissions``.

    Raises:
        ScopeSyntaxError: If the name or the declaration can't be read.
    """
    if not is_scope_name(name):
        message = f"{name!r} is not a scope name: use printable ASCII without space, quote and backslash."
        raise ScopeSyntaxError(message, names=[str(name)])
    resource = name.partition(":")[0]
    if not isinstance(declaration, Mapping):
        # Lazy translations are welcome, so anything but a container of members counts as the sentence.
        if declaration is None or isinstance(declaration, list | tuple | set | bool | int):
            message = f"Scope {name!r} needs a sentence or a dict, not {declaration!r}."
            raise ScopeSyntaxError(message, names=[name])
        text: str = declaration  # type: ignore[assignment]  # a lazy translation stands for a str
        return Scope(name=name, resource=resource, label=text, text=text)
    if unknown := sorted(map(str, set(declaration) - _MEMBERS)):
        message = f"Scope {name!r} has unknown members: {', '.join(unknown)}."
        raise ScopeSyntaxError(message, names=[name])
    permissions = declaration.get("permissions", ())
    is_list = isinstance(permissions, list | tuple | set | frozenset)
    if not is_list or not all(isinstance(item, str) for item in permissions):
        message = f"Scope {name!r}: permissions must be a list of 'app_label.codename'."
        raise ScopeSyntaxError(message, names=[name])
    text = declaration.get("text") or declaration.get("label") or name
    return Scope(
        name=name,
        resource=declaration.get("resource", resource),
        label=declaration.get("label", text),
        text=text,
        sensitive=bool(declaration.get("sensitive", False)),
        permissions=tuple(permissions),
    )


class ScopeRegistry(Mapping[str, Scope]):
    """The declared scopes by name, in the order of their declaration."""

    def __init__(self, scopes: Iterable[Scope] = ()) -> None:
        self._scopes: dict[str, Scope] = {}
        for scope in scopes:
            if scope.name in self._scopes:
                message = f"Scope {scope.name!r} is declared twice."
                raise ScopeSyntaxError(message, names=[scope.name])
            self._scopes[scope.name] = scope

    def __getitem__(self, name: str) -> Scope:
        return self._scopes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scopes)

    def __len__(self) -> int:
        return len(self._scopes)

    def require(self, names: Iterable[str]) -> list[str]:
        """
        Return *names* without repetition, in the order of declaration.

        Raises:
            UndeclaredScopeError: If one is not declared; the message names it and what may have been meant.
        """
        wanted = set(names)
        if unknown := sorted(wanted - set(self._scopes), key=str):
            # Looking for what was meant costs time for each.
            explained = [self.explain_unknown(name) for name in unknown[:_MOST_EXPLAINED]]
            raise UndeclaredScopeError(" ".join(explained), names=unknown)
        return [name for name in self._scopes if name in wanted]

    def explain_unknown(self, name: str) -> str:
        """Return the sentence that refuses *name*, with a suggestion where one is near."""
        sentence = f"Scope {name!r} is not declared."
        near = difflib.get_close_matches(str(name), self._scopes, n=1)
        return f"{sentence} Did you mean {near[0]!r}?" if near else sentence

    def by_resource(self) -> dict[str, list[Scope]]:
        """Return the scopes grouped by resource, both in the order of declaration."""
        groups: dict[str, list[Scope]] = {}
        for scope in self._scopes.values():
            groups.setdefault(str(scope.resource), []).append(scope)
        return groups


def as_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return *names* as a tuple; a single text is one name. Lists, tuples and sets mean the same."""
    return (names,) if isinstance(names, str) else tuple(names)
