"""
Sent after the commit, never with a secret.

All but the last carry ``event``, the ``KeyEvent`` row. A receiver that raises is logged and changes nothing: what it
was told about has happened.
"""

from __future__ import annotations

from django.dispatch import Signal

#: ``key``, ``event``
key_issued = Signal()
#: ``key`` (the old one), ``replacement``, ``event``
key_rotated = Signal()
#: ``key``, ``event``
key_revoked = Signal()
#: ``key``, ``event``
key_narrowed = Signal()
#: ``key``, ``event``
key_edited = Signal()
#: ``key``, ``event``
key_expired = Signal()
#: ``client``, ``event``
client_changed = Signal()
#: ``code``, ``key_id`` (empty where nothing was proven), ``address``; after the response
credential_refused = Signal()
