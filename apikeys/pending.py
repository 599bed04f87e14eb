"""
What a request leaves to be written after its response.

Nothing is written while authenticating: with ``ATOMIC_REQUESTS`` a refusal would roll its event back, and an UPDATE
would hold a row lock until the view ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

#: A request leaves at most a handful; more means that nobody takes them, as in a shell.
_MOST = 64


@dataclass(frozen=True, kw_only=True)
class Use:
    """A key was used, and ``last_used_at`` is more than a minute old."""

    key_pk: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Rehash:
    """A proven secret whose stored text was made with other options than today's."""

    key_id: str
    old_verifier: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A credential was refused. ``key_id`` only where its tag says that it was issued here."""

    code: str
    at: datetime
    key_id: str = ""
    family: str = ""
    address: IPv4Address | IPv6Address | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What an app above writes in its own way. It decides nothing, and its fault costs no response."""

    write: Callable[[], object] = field(repr=False)


Item = Use | Rehash | Refusal | Task

#: One list for a request, which the tasks and threads that it starts share.
_items: ContextVar[list[Item] | None] = ContextVar("apikeys_pending", default=None)
#: Of requests that have no list. Under ASGI, Django 5.2 tells their beginning in a task of its own, whose context is
#: gone before the view runs; whichever response ends next takes what they left.
_homeless: deque[Item] = deque(maxlen=1024)


def begin(**kwargs: object) -> None:
    """Start with nothing, also where an earlier request never finished."""
    # A list of its own: a task may inherit that of the request which made it.
    _items.set([])


def leave(item: Item) -> None:
    """Keep *item* for after the response."""
    items = _items.get()
    if items is None:
        _homeless.append(item)
    elif len(items) < _MOST:
        items.append(item)


def take() -> list[Item]:
    """Return what this request left, and what others left that have no list; and forget it."""
    items = _items.get()
    taken: list[Item] = []
    if items:
        taken += items
        items.clear()
    while _homeless:
        try:
            taken.append(_homeless.popleft())
        except IndexError:  # another thread was faster
            break
    return taken


def forget() -> None:
    """Forget what nobody has taken, between two tests."""
    _items.set(None)
    _homeless.clear()
