"""What an app can do for a person, and what it can't, as lines of a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from ..core.scopes import Scope
from ..owners import has_rights
from ..registry import declared, scope_registry

#: What only shows something. Any other word behind the colon, and a name without a colon, may change it.
_LOOKING = {"read", "view", "list"}
#: What a scope may say that shows more of a person than what it is named for, as a part of a word but for the last.
_ABOUT_PEOPLE = re.compile(
    r"account|address|contact|identit|mail|openid|people|person|profile|user|(?<![^\W\d_])me(?![^\W\d_])",
    re.IGNORECASE,
)
#: More that an app can't do is one line.
_MOST_DENIED = 5


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One permission as a line on a page."""

    name: str
    text: str
    is_sensitive: bool
    #: Whether it may change something.
    is_writing: bool
    #: Whether the person may leave it out.
    is_optional: bool
    #: Whether the person may not do this either, by Django's permissions: then it does not work for the app.
    is_beyond_person: bool


def allowed(names: Iterable[str], *, user: Any, optional: Iterable[str] = ()) -> list[Sentence]:
    """Return a line for each of *names* that is declared, sensitive ones first."""
    left_to_person = set(optional)
    lines = [
        Sentence(
            name=scope.name,
            text=_line(scope),
            is_sensitive=scope.sensitive,
            is_writing=scope.name.rpartition(":")[2] not in _LOOKING or ":" not in scope.name,
            is_optional=scope.name in left_to_person,
            is_beyond_person=bool(scope.permissions) and not has_rights(user, scope),
        )
        for scope in declared(names)
    ]
    return sorted(lines, key=lambda line: not line.is_sensitive)


def denied(names: Iterable[str]) -> list[str]:
    """Return what an app with the scopes *names* can't do: what is nearest to them, the rest, then the account."""
    held = {scope.name: scope for scope in declared(names)}
    resources = {str(scope.resource) for scope in held.values()}
    others = [scope for name, scope in scope_registry().items() if not scope.is_reserved and name not in held]
    others.sort(key=lambda scope: str(scope.resource) not in resources)
    lines = [_line(scope) for scope in others[:_MOST_DENIED]]
    if len(others) > _MOST_DENIED:
        lines.append(_("Anything else that is not listed above"))
    promise = _("See your password") if _tell_of_people(held.values()) else _("See your e-mail address or password")
    return [*lines, promise]


def _tell_of_people(scopes: Iterable[Scope]) -> bool:
    """Whether one of *scopes* may stand for more of a person than what they do here: an address, say."""
    said = [f"{scope.name} {scope.text}" for scope in scopes]
    # What is shown may be in a language whose words are not known here.
    with translation.override(None):
        said.extend(str(scope.text) for scope in scopes)
    return any(map(_ABOUT_PEOPLE.search, said))


def _line(scope: Scope) -> str:
    return str(scope.text).removesuffix(".")
