"""How an API server reaches the authority, and how far it trusts what it was told before."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import cast

from .reading import read
from .shared import SharedSettings


class ServerSettings(SharedSettings):
    """The settings of ``apikeys.resource_server``."""

    @cached_property
    def AUTHORITY_URL(self) -> str:
        """Where the authority's endpoints are, with a slash at the end; ``ISSUER`` unless set."""
        address = str(read("AUTHORITY_URL") or read("ISSUER"))
        return f"{address.rstrip('/')}/" if address else ""

    @cached_property
    def AUTHORITY_KEY(self) -> str:
        """The API key of this server, which holds ``apikeys:introspect``."""
        return str(read("AUTHORITY_KEY"))

    @cached_property
    def AUTHORITY_CONNECT_TIMEOUT(self) -> timedelta:
        """How long to wait for a connection to the authority."""
        return cast("timedelta", read("AUTHORITY_CONNECT_TIMEOUT"))

    @cached_property
    def AUTHORITY_READ_TIMEOUT(self) -> timedelta:
        """How long to wait for the authority's answer."""
        return cast("timedelta", read("AUTHORITY_READ_TIMEOUT"))

    @cached_property
    def AUTHORITY_PAUSE(self) -> timedelta:
        """How long the authority is not asked after it failed to answer."""
        return cast("timedelta", read("AUTHORITY_PAUSE"))

    @cached_property
    def AUDIENCE(self) -> str:
        """The address that names this server in tokens, as the authority has it of this server's client."""
        return str(read("AUDIENCE"))

    @cached_property
    def INTROSPECTION_CACHE(self) -> timedelta:
        """How long an answer of the authority counts; zero asks on every request."""
        return cast("timedelta", read("INTROSPECTION_CACHE"))

    @cached_property
    def JWKS_KEPT(self) -> timedelta:
        """How long the last copy of the published keys counts while the authority does not answer."""
        return cast("timedelta", read("JWKS_KEPT"))

    @cached_property
    def REVOCATIONS_POLL_INTERVAL(self) -> timedelta | None:
        """How often the revocation list is fetched; None for never: then a token counts until it ends."""
        return cast("timedelta | None", read("REVOCATIONS_POLL_INTERVAL"))

    @cached_property
    def REVOCATIONS_MAX_AGE(self) -> timedelta | None:
        """How old the revocation list may be before signed tokens are refused; None for any age."""
        return cast("timedelta | None", read("REVOCATIONS_MAX_AGE"))

    @cached_property
    def REMEMBERED_TOKENS(self) -> int:
        """How many verified signed tokens a process remembers; zero checks each signature anew."""
        return int(read("REMEMBERED_TOKENS"))
