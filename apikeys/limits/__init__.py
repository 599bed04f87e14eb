"""Rates and quotas of callers: what a request spends, and where that is counted. Without models."""

from __future__ import annotations

from .fields import header_fields as header_fields
from .spending import spend as spend
