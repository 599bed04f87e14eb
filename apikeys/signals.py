"""
Sent after the commit, never with a secret.

All but the last two carry ``event``, the ``KeyEvent`` row. A receiver that raises is logged and changes nothing: what
it was told about has happened.
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
#: ``key``, ``event``; for each key of a family
limits_changed = Signal()
#: ``key``, ``event``; for each key of a family. Of a client ``client_changed`` tells
claims_set = Signal()
#: ``key`` (the old one), ``event``: its replacement was used for the first time
overlap_started = Signal()
#: ``key``, ``event``, ``network``: the first use of its family from there; its very first where ``details`` say so
key_used_from_new_network = Signal()
#: ``client``, ``event``
client_changed = Signal()
#: ``code``, ``key_id`` (empty where nothing was proven), ``address``; after the response
credential_refused = Signal()
#: ``client_id``, ``key_id``, ``route``, ``method``, ``outcome``, ``seconds``, for exporters; by ``UsageMiddleware``, in
#: the request, so that receivers must be quick and run no query
request_counted = Signal()
