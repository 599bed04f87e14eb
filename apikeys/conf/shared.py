"""What the authority and its API servers read alike: both sides must have the same."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import cast

from .reading import read


class SharedSettings:
    """The settings of both ``apikeys.authority`` and ``apikeys.resource_server``."""

    @cached_property
    def ISSUER(self) -> str:
        """The address that names the authority in tokens (RFC 8414 section 2), on its own site and on API servers."""
        return str(read("ISSUER"))

    @cached_property
    def JWKS_MAX_AGE(self) -> timedelta:
        """How long anybody may keep the published keys, and how old an API server lets its copy grow."""
        return cast("timedelta", read("JWKS_MAX_AGE"))

    @cached_property
    def CLOCK_LEEWAY(self) -> timedelta:
        """How far the clocks of authority and server may differ: what has ended counts for so much longer."""
        return cast("timedelta", read("CLOCK_LEEWAY"))
