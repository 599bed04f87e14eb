"""What an app can do for a person, and what it can't, as lines of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from ..core.scopes import Scope
from ..owners import has_rights
from ..registry import declared, scope_registry

#: What only shows something. Any other word behind the colon, and a name without a colon, may change it.
_LOOKING = {"read", "view", "list"}
#: What a scope may say that shows more of a person than what it is named for.
_ABOUT_PEOPLE = ("mail", "profile", "account", "openid")
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


def allowed(names: Iterable[str], *, user: Any, optional: Sequence[str] = ()) -> list[Sentence]:
    """Return a line for each of *names* that is declared, sensitive ones first."""
    lines = [
        Sentence(
            name=scope.name,
            text=_line(scope),
            is_sensitive=scope.sensitive,
            is_writing=scope.name.rpartition(":")[2] not in _LOOKING or ":" not in scope.name,
            is_optional=scope.name in optional,
            is_beyond_person=bool(scope.permissions) and not has_rights(user, scope),
        )
        for scope in declared(names)
    ]
    return sorted(lines, key=lambda line: not line.is_sensitive)


def denied(names: Iterable[str]) -> list[str]:
    """Return what an app with the scopes *names* can't do: what is nearest to them, the rest, then the account."""
    held = declared(names)
    resources = {str(scope.resource) for scope in held}
    others = [scope for scope in scope_registry().values() if not scope.is_reserved and scope not in held]
    others.sort(key=lambda scope: str(scope.resource) not in resources)
    lines = [_line(scope) for scope in others[:_MOST_DENIED]]
    if len(others) > _MOST_DENIED:
        lines.append(_("Anything else that is not listed above"))
    tells_of_people = any(word in f"{scope.name} {scope.text}".lower() for scope in held for word in _ABOUT_PEOPLE)
    lines.append(_("See your password") if tells_of_people else _("See your e-mail address or password"))
    return lines


def _line(scope: Scope) -> str:
    return str(scope.text).removesuffix(".")
