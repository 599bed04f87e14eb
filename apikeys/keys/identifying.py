"""Which keys stand in a text that somebody found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from .. import events, policy, tag_secrets
from ..conf import settings
from ..core import keyformat
from ..core.errors import MalformedKeyError
from ..models import APIKey, EventKind
from . import rows

#: So many keys of one text are looked up.
MOST_IDENTIFIED = 20


@dataclass(frozen=True, kw_only=True)
class IdentifiedKey:
    """One key-shaped piece of the text. It holds nothing of its secret."""

    #: As lists write it: ``ak_live_4Qm9Zt…``.
    masked: str
    #: Whether its tag proves that it was issued here. A public key id alone identifies nothing.
    is_genuine: bool
    #: The row of a genuine one, with its client, owner and revocation; None where there is none.
    key: APIKey | None


@dataclass(frozen=True, kw_only=True)
class Identification:
    """What was found in a text."""

    keys: tuple[IdentifiedKey, ...]
    #: How many more there are, which were not looked up.
    left_out: int


@sensitive_variables()
def identify(text: str, *, by: Any = None, source: str = "python") -> Identification:
    """
    Return the first ``MOST_IDENTIFIED`` keys in *text*, such as a line of a log. *text* is not stored.

    No secret is checked, and so none is confirmed: the tag alone says that a key was issued here. Each call leaves an
    event for every key that it found, or one without a key.

    Raises:
        NotPermittedError: If *by* may not see keys.
    """
    policy.require(permitted=policy.may_view(by))
    pieces = list(dict.fromkeys(keyformat.keys_in(text, prefix=settings.PREFIX)))
    found = tuple(_without_secrets(pieces[:MOST_IDENTIFIED]))
    with transaction.atomic(using=rows.database()):
        known: dict[APIKey, dict[str, Any]] = {each.key: {} for each in found if each.key is not None}
        if known:
            events.record_many(EventKind.IDENTIFIED, details=known, by=by, source=source)
        else:
            events.record(EventKind.IDENTIFIED, client=None, by=by, source=source, details={"unknown": len(found)})
    return Identification(keys=found, left_out=max(0, len(pieces) - MOST_IDENTIFIED))


@sensitive_variables()
def _without_secrets(pieces: Iterable[str]) -> Iterable[IdentifiedKey]:
    genuine = {piece: _key_id_of(piece) for piece in pieces}
    wanted = [key_id for key_id in genuine.values() if key_id is not None]
    keys = APIKey.objects.using(rows.database()).select_related("client", "owner", "revocation")
    # By the exact key id: a collation that folds case finds keys that differ only in it.
    known = {key.key_id: key for key in keys.filter(key_id__in=wanted)} if wanted else {}
    for piece, key_id in genuine.items():
        mode, shown_id = piece.split("_")[1:3]
        yield IdentifiedKey(
            masked=keyformat.mask(prefix=settings.PREFIX, mode=mode, key_id=shown_id),
            is_genuine=key_id is not None,
            key=None if key_id is None else known.get(key_id),
        )


@sensitive_variables()
def _key_id_of(piece: str) -> str | None:
    """Return the key id of *piece*, if its tag was made here."""
    try:
        key_text = keyformat.parse(piece, prefix=settings.PREFIX)
    except MalformedKeyError:
        # Cut off, so that nothing proves it.
        return None
    return key_text.key_id if tag_secrets.admits(key_text) else None
