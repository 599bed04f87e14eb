"""
The secrets that tag keys: read or made when a key is issued, cached where keys are checked.

They are rows, not settings: a rotated ``SECRET_KEY`` must not kill customers' keys, and a tag shares the fate of the
key it stands on.
"""

from __future__ import annotations

import threading
import time

from django.db import router

from .core import keyformat
from .models import TagSecret

#: A flood of forged keys re-reads the table at most this often in a process.
_REREAD_SECONDS = 5.0


class _Cached:
    def __init__(self) -> None:
        self.secrets: tuple[bytes, ...] = ()
        self.read_at = float("-inf")
        self.lock = threading.Lock()


_cached = _Cached()


def newest() -> bytes:
    """
    Return the secret that tags new keys, made if there is none.

    Reads the table, never the cache, in the caller's transaction: a rollback takes a new secret and the keys that it
    tags away together.
    """
    rows = TagSecret.objects.using(_database()).order_by("-pk")
    row = rows.first() or make()
    # What was just read may be newer than the cache, or a flushed table's first: look again on the next mismatch.
    _cached.read_at = float("-inf")
    return bytes(row.secret)


def make() -> TagSecret:
    """Return a new secret, which tags keys from now on; older ones still admit theirs."""
    row = TagSecret.objects.using(_database()).create(secret=keyformat.new_tag_secret())
    _cached.read_at = float("-inf")
    return row


def admits(key_text: keyformat.KeyText) -> bool:
    """Whether *key_text* was tagged here. No query, but for one after a mismatch, at most every five seconds."""
    # No secret is a variable here: error trackers and debug pages show these.
    compared_with = _cached.read_at
    if key_text.is_tagged_by(_cached.secrets):
        return True
    # What another thread has read meanwhile was not compared with yet.
    if _is_fresh() and _cached.read_at == compared_with:
        return False
    _reread()
    return key_text.is_tagged_by(_cached.secrets)


def forget_all() -> None:
    """Forget what was read, as a new process would have."""
    _cached.secrets, _cached.read_at = (), float("-inf")


def _is_fresh() -> bool:
    # Until the first key there is nothing to flood, and the first key must work at once.
    return bool(_cached.secrets) and time.monotonic() - _cached.read_at < _REREAD_SECONDS


def _reread() -> None:
    with _cached.lock:
        # Whoever waited for the lock finds it done.
        if _is_fresh():
            return
        # Rows, because the repr of these names no secret.
        rows = TagSecret.objects.using(_database()).order_by("-pk")
        _cached.secrets = tuple(bytes(row.secret) for row in rows)
        _cached.read_at = time.monotonic()


def _database() -> str:
    return router.db_for_write(TagSecret)
