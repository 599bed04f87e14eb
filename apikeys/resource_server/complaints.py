"""What this server's operator should know of the authority, in the log: each kind of it once a minute."""

from __future__ import annotations

import logging

from ..core.errors import AuthorityUnavailableError
from ..logging import complaints


def tell(message: str, *details: object, level: int = logging.WARNING) -> None:
    """Log *message*, unless that was done in the last minute. No secret may be among *details*."""
    complaints.tell(message, *details, reason=AuthorityUnavailableError.code, level=level)
