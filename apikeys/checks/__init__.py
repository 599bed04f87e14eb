"""
System checks. None runs a query, and what is imported here needs no models: API servers have some of them.

``drf.checks`` and ``drf.limit_checks`` have those of the views.
"""

from __future__ import annotations

from .rules import RULES as RULES

#: ``manage.py check --tag apikeys`` runs these alone.
TAG = "apikeys"
