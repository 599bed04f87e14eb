"""
What no longer holds of signed tokens: a signed list that the authority tells, and what an API server keeps of it.

Entries say what is true, never when a token must have been issued to be concerned: clocks don't decide. Of several
about one subject the one with the highest sequence counts, so that lists may overlap, and repeat what was told. A list
of a later second goes before sequences: where a backup was restored, these begin anew. One of an earlier second, of a
host whose clock is behind, takes what it says is taken and gives nothing back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from ..core.errors import InvalidTokenError
from ..core.networks import parse_network
from ..core.scopes import is_scope_name
from .jws import Unverified, read_signed, write_signed
from .keys import KeySet, PrivateKey
from .tokens import SignedToken

TYPE: Final = "revocations+jwt"
#: Characters of a list, some 50,000 entries.
MOST_CHARACTERS: Final = 4 * 1024 * 1024
_MEMBERS: Final = ("iss", "aud", "iat", "since", "next", "window", "entries", "owners", "keys")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """
    One fact.

    ======================  ===========  ==========================================
    kind                    subject      value
    ======================  ===========  ==========================================
    ``key``                 key_id       None: it is dead
    ``key_until``           key_id       when it stops (seconds since 1970), or None
    ``key_scopes``          key_id       all scopes that it still has
    ``client``              client_id    whether it is active
    ``client_scopes``       client_id    all scopes that it may have
    ``client_networks``     client_id    where it may come from, None for anywhere
    ``token``               jti          None: it is dead
    ======================  ===========  ==========================================
    """

    sequence: int
    #: When it became true, in seconds since 1970.
    at: int
    kind: str
    subject: str
    value: Any = None


@dataclass(frozen=True, kw_only=True)
class RevocationList:
    """All that became true after ``since``."""

    issuer: str
    #: The API server that it is for: of clients that don't name this one it says nothing.
    audience: str
    issued_at: int
    #: The sequence that was asked for.
    since: int
    #: The sequence to ask for next: lower than the highest here while transactions may still commit lower ones.
    next: int
    #: After so many seconds a fact concerns no token any more that has not ended.
    window_seconds: int
    entries: tuple[Entry, ...]
    #: The ``sub`` of everybody who is disabled now, of those whom tokens stand for.
    owners: tuple[str, ...]
    #: The key_id of every key whose person is gone now, of those that tokens were issued for.
    keys: tuple[str, ...]


def sign_list(listed: RevocationList, *, key: PrivateKey) -> str:
    """Return *listed* as a text that *key* has signed."""
    payload = {
        "iss": listed.issuer,
        "aud": listed.audience,
        "iat": listed.issued_at,
        "since": listed.since,
        "next": listed.next,
        "window": listed.window_seconds,
        "entries": [_written(entry) for entry in listed.entries],
        "owners": listed.owners,
        "keys": listed.keys,
    }
    return write_signed(payload, typ=TYPE, key=key)


def read_list(text: str, *, keys: KeySet, issuer: str, audience: str) -> RevocationList:
    """
    Return the list in *text*.

    Raises:
        UnknownSigningKeyError: If its header is in order and names a key that is not in *keys*.
        InvalidTokenError: If it is anything else but a list of *issuer* for *audience* of which every entry is
            understood.
    """
    payload = read_signed(Unverified(text, most_characters=MOST_CHARACTERS), types=frozenset({TYPE}), keys=keys)
    if (payload.get("iss"), payload.get("aud")) != (issuer, audience) or not all(name in payload for name in _MEMBERS):
        raise InvalidTokenError
    numbers = {name: payload[name] for name in ("iat", "since", "next", "window")}
    if not all(map(_is_number, numbers.values())):
        raise InvalidTokenError
    if not isinstance(payload["entries"], list) or not all(map(_are_texts, (payload["owners"], payload["keys"]))):
        raise InvalidTokenError
    return RevocationList(
        issuer=issuer,
        audience=audience,
        issued_at=numbers["iat"],
        since=numbers["since"],
        next=numbers["next"],
        window_seconds=numbers["window"],
        entries=tuple(map(_read, payload["entries"])),
        owners=tuple(payload["owners"]),
        keys=tuple(payload["keys"]),
    )


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What holds, by kind and subject. Replaced as a whole, so that readers need no lock."""

    next: int = 0
    issued_at: int | None = None
    facts: Mapping[str, Mapping[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in _VALUES})
    owners: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    #: The longest that was told. Who shortens the life of tokens does not shorten that of those under way.
    window_seconds: int = 0


class Revocations:
    """What an API server knows of the lists that it was told. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = _Known()

    @property
    def next(self) -> int:
        """The sequence to ask for; 0 at first."""
        return self._known.next

    @property
    def issued_at(self) -> int | None:
        """When the newest list was issued, in seconds since 1970; None before the first."""
        return self._known.issued_at

    def merge(self, listed: RevocationList) -> None:
        """
        Add what *listed* says; of one that is older than the newest only what it takes.

        Raises:
            InvalidTokenError: If it begins after what is known: what lies between would be missed.
        """
        with self._lock:
            known = self._known
            if listed.since > known.next:
                raise InvalidTokenError
            if known.issued_at is not None and listed.issued_at < known.issued_at:
                self._known = _narrowed(known, listed)
                return
            window_seconds = max(known.window_seconds, listed.window_seconds)
            self._known = _Known(
                next=listed.next,
                issued_at=listed.issued_at,
                facts=_merged(
                    known.facts,
                    listed,
                    oldest=listed.issued_at - window_seconds,
                    is_later=known.issued_at is None or listed.issued_at > known.issued_at,
                ),
                owners=frozenset(listed.owners),
                keys=frozenset(listed.keys),
                window_seconds=window_seconds,
            )

    def refuses(self, token: SignedToken, *, now: datetime) -> bool:
        """Whether *token* is dead: itself, its key, its client or its person."""
        known = self._known
        if token.subject in known.owners or token.key_id in known.keys:
            return True
        facts = known.facts
        if token.jti in facts["token"] or token.key_id in facts["key"]:
            return True
        client = facts["client"].get(token.client_id)
        if client is not None and not client.value:
            return True
        until = facts["key_until"].get(token.key_id)
        return until is not None and until.value is not None and until.value <= now.timestamp()

    def scopes_of(self, token: SignedToken) -> frozenset[str]:
        """Return those of the scopes of *token* that its key and its client still have."""
        scopes = frozenset(token.scopes)
        facts = self._known.facts
        if (of_key := facts["key_scopes"].get(token.key_id)) is not None:
            scopes = scopes.intersection(of_key.value)
        if (of_client := facts["client_scopes"].get(token.client_id)) is not None:
            scopes = scopes.intersection(of_client.value)
        return scopes

    def networks_of(self, token: SignedToken) -> tuple[Sequence[str], ...]:
        """Return lists of networks, those of *token* and what its client is bound to since; each must be met."""
        since = self._known.facts["client_networks"].get(token.client_id)
        return token.networks if since is None or since.value is None else (*token.networks, since.value)


def _merged(
    facts: Mapping[str, Mapping[str, Entry]], listed: RevocationList, *, oldest: int, is_later: bool
) -> dict[str, dict[str, Entry]]:
    """Return *facts* with those of *listed*, without what became true before *oldest*."""
    merged = {kind: dict(entries) for kind, entries in facts.items()}
    for entry in sorted(listed.entries, key=lambda entry: entry.sequence):
        told = merged[entry.kind]
        before = told.get(entry.subject)
        if is_later or before is None or before.sequence <= entry.sequence:
            told[entry.subject] = entry
    return {
        kind: {subject: entry for subject, entry in entries.items() if entry.at >= oldest}
        for kind, entries in merged.items()
    }


def _narrowed(known: _Known, listed: RevocationList) -> _Known:
    """Return *known* and what *listed* takes from anybody: what it gives back is for a newer list to say."""
    facts = {kind: dict(entries) for kind, entries in known.facts.items()}
    for entry in sorted(listed.entries, key=lambda entry: entry.sequence):
        told = facts[entry.kind]
        before = told.get(entry.subject)
        if before is None or before.sequence < entry.sequence:
            narrower = _narrower(entry, before)
            if narrower is not None:
                told[entry.subject] = narrower
    return replace(known, facts=facts, owners=known.owners.union(listed.owners), keys=known.keys.union(listed.keys))


def _narrower(entry: Entry, before: Entry | None) -> Entry | None:
    """Return *entry*, which gives nothing back that *before* took; None if it would take nothing."""
    value, held = entry.value, None if before is None else before.value
    if entry.kind == "client":
        return None if value else entry
    if entry.kind == "key_until":
        return None if value is None or (held is not None and held <= value) else entry
    if entry.kind in _LISTED:
        if value is None or held is None:
            return None if value is None else entry
        return replace(entry, value=[each for each in value if each in held])
    return entry


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _are_scopes(value: object) -> bool:
    return isinstance(value, list) and all(map(is_scope_name, value))


def _are_networks(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and parse_network(text) for text in value)


#: The kinds whose value is all that is left of something.
_LISTED: Final = frozenset({"key_scopes", "client_scopes", "client_networks"})
#: What the value of each kind must be.
_VALUES: Final[Mapping[str, Callable[[object], bool]]] = MappingProxyType(
    {
        "key": lambda value: value is None,
        "key_until": lambda value: value is None or _is_number(value),
        "key_scopes": _are_scopes,
        "client": lambda value: isinstance(value, bool),
        "client_scopes": _are_scopes,
        "client_networks": lambda value: value is None or _are_networks(value),
        "token": lambda value: value is None,
    }
)


def _written(entry: Entry) -> list[Any]:
    written = [entry.sequence, entry.at, entry.kind, entry.subject]
    return written if entry.value is None else [*written, entry.value]


def _read(told: object) -> Entry:
    """Return an entry. One of an unknown kind refuses the list: not to understand it is not to know who is dead."""
    if not isinstance(told, list) or len(told) not in {4, 5}:
        raise InvalidTokenError
    sequence, at, kind, subject, value = told if len(told) == 5 else (*told, None)  # noqa: PLR2004
    if not _is_number(sequence) or not _is_number(at) or not isinstance(subject, str) or not isinstance(kind, str):
        raise InvalidTokenError
    if kind not in _VALUES or not _VALUES[kind](value):
        raise InvalidTokenError
    return Entry(sequence=sequence, at=at, kind=kind, subject=subject, value=value)
