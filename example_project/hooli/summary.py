"""A day in one sentence. No language model: a count and a few titles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

#: More titles would be a list, not a sentence.
_MOST_NAMED = 2


@dataclass(frozen=True, kw_only=True)
class OpenTodo:
    """A to-do that is not done."""

    title: str
    due_on: date | None


def sentence(todos: Sequence[OpenTodo], *, today: date) -> str:
    """Return what *todos* come to on the day *today*."""
    if not todos:
        return _("Nothing is open: enjoy your day.")
    late = [todo for todo in todos if todo.due_on is not None and todo.due_on < today]
    now = [todo for todo in todos if todo.due_on == today]
    later = [todo for todo in todos if todo.due_on is not None and todo.due_on > today]
    opening = ngettext("%(count)d to-do is open", "%(count)d to-dos are open", len(todos)) % {"count": len(todos)}
    parts = [
        _("%(titles)s late") % {"titles": _named(late)} if late else _("nothing late"),
        _("%(titles)s for today") % {"titles": _named(now)} if now else _("nothing for today"),
    ]
    if later:
        parts.append(_("%(titles)s after that") % {"titles": _named(later[:1])})
    return _("%(opening)s: %(parts)s.") % {"opening": opening, "parts": _(", ").join(parts)}


def _named(todos: Sequence[OpenTodo]) -> str:
    titles = [_("“%(title)s”") % {"title": todo.title} for todo in todos[:_MOST_NAMED]]
    rest = len(todos) - len(titles)
    if rest:
        titles.append(ngettext("%(count)d more", "%(count)d more", rest) % {"count": rest})
    if len(titles) == 1:
        return titles[0]
    return _("%(most)s and %(last)s") % {"most": _(", ").join(titles[:-1]), "last": titles[-1]}
